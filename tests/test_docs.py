"""The manual: its pages of commands are those of the program, its links lead somewhere, its Python does what
the commands do.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from embedkit.cli.app import COMMANDS
from embedkit.data import affine
from embedkit.data.folders import file_states
from embedkit.data.vectors import label_vectors
from embedkit.embedding import compiled
from embedkit.embedding.export import sentence_transformers
from embedkit.indexing import manifest
from embedkit.training.pretraining import prediction_head

PROJECT = Path(__file__).resolve().parent.parent
DOCS = PROJECT / "docs"
PROGRAM = str(Path(sys.executable).with_name("embedkit"))
LAUNCHED = re.compile(
    r"^ {4}(?:ray start .*|(?:torchrun|accelerate launch) (?:.*\\\n)*?.*-m embedkit)", re.MULTILINE
)


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_of_commands_and_kinds_are_those_of_the_program(generate):
    pages = generate.made()
    stale = [name for name, page in pages.items() if (DOCS / name).read_text(encoding="utf-8") != page]
    assert stale == [], "python docs/generate.py writes them anew"
    there = {path.relative_to(DOCS).as_posix() for path in DOCS.glob("commands/*.md")}
    assert there == {name for name in pages if name.startswith("commands/")}


def test_every_command_and_every_option_is_in_its_page(generate):
    pages = generate.made()
    assert len(pages) == len(COMMANDS) + 2
    assert "## embedkit index build" in pages["commands/embedkit-index.md"]
    assert "--more-like ID" in pages["commands/embedkit-search.md"]
    assert "| `whitening` | `dim=none` `beta=1.0` `gamma=1.0`" in pages["kinds.md"]


def test_help_in_the_pages_does_not_depend_on_the_terminal(generate, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    narrow = generate.shown("encode")
    monkeypatch.setenv("COLUMNS", "200")
    assert generate.shown("encode") == narrow
    assert 80 < max(map(len, narrow.splitlines())) <= generate.WIDTH


@pytest.mark.parametrize("page", sorted(DOCS.glob("**/*.md")), ids=lambda page: page.stem)
def test_links_lead_to_pages_that_are_there(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).is_file()] == []


def test_what_pages_say_of_commands_and_options_is_in_the_program(generate):
    known = set(re.findall(r"--[a-z][a-z-]+", "".join(generate.made().values()))) | {"--install-completion"}
    for page in DOCS.glob("**/*.md"):
        text = LAUNCHED.sub("    embedkit", page.read_text(encoding="utf-8"))
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) <= known, page
        named = re.findall(r"^ {4}embedkit ([a-z-]+)", text, flags=re.MULTILINE)
        assert set(named) <= set(COMMANDS), page


def test_the_tour_in_python_gives_what_the_commands_give(tmp_path):
    page = (DOCS / "python.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert len([line for line in script.splitlines() if line]) == 10
    environment = {**os.environ, "PATH": f"{Path(PROGRAM).parent}:{os.environ['PATH']}"}
    console = "".join(re.findall(r"```console\n(.*?)```", page, flags=re.DOTALL))
    commands = [line[2:] for line in console.splitlines() if line.startswith("$ ")]
    searched = ""
    for command in commands:
        searched = subprocess.check_output(["bash", "-c", command], cwd=tmp_path, env=environment, text=True)
    hits = [json.loads(line) for line in searched.splitlines()]
    printed = subprocess.check_output([sys.executable, "-c", script], cwd=tmp_path, text=True).splitlines()
    assert [line.split()[:2] for line in printed] == [[str(hit["rank"]), hit["id"]] for hit in hits]
    scores = [float(line.split()[2]) for line in printed]
    assert scores == pytest.approx([hit["score"] for hit in hits], abs=1e-6)
    assert len(hits) == 2


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "docs/formats.md"])
def test_the_versions_of_formats_are_those_of_the_program(page):
    written = dict(re.findall(r"(embedkit-[a-z]+) (\d+)", (PROJECT / page).read_text(encoding="utf-8")))
    known = {
        each.FORMAT: str(each.VERSION) for each in (affine, compiled, file_states, label_vectors, manifest)
    }
    known |= {each.FORMAT: str(each.VERSION) for each in (sentence_transformers, prediction_head)}
    assert {name: written.get(name) for name in known} == known
