"""Bytes of the command line that are not UTF-8: refused in one line where a text is wanted, and taken in the
names of files.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest
import typer

from embedkit.cli.app import app
from embedkit.cli.command import require_text
from embedkit.errors import UsageError

BAD = os.fsdecode(b"a\xffb")
NOT_TEXT = "is not UTF-8 (byte 2); encode it as UTF-8; only names of files may contain other bytes"


def command_lines() -> Iterator[tuple[str, ...]]:
    """Yield command lines with BAD as the value of each option and argument that takes one; others are there
    where they must be.
    """
    waiting = [((), typer.main.get_command(app))]
    while waiting:
        words, command = waiting.pop()
        if hasattr(command, "list_commands"):
            asking = SimpleNamespace(resilient_parsing=False)
            names = command.list_commands(asking)
            waiting += [((*words, name), command.get_command(asking, name)) for name in names]
            continue
        valued = [each for each in command.params if not getattr(each, "is_flag", False)]
        for bad in valued:
            line = words
            for each in valued:
                if each is bad or each.required:
                    option = () if each.param_type_name == "argument" else (each.opts[-1],)
                    line = (*line, *option, BAD if each is bad else "docs.jsonl")
            yield line


@pytest.mark.parametrize("line", sorted(set(command_lines())), ids=lambda line: ascii(" ".join(line)))
def test_no_option_and_no_argument_ends_in_a_traceback(line, run, docs, monkeypatch):
    monkeypatch.setenv("EMBEDKIT_MODEL", "no/such/model/at/all")  # so that nothing begins
    code, _, said = run(*line)
    assert code in (1, 2)
    assert said.startswith("embedkit: ")
    assert said.count("\n") == 1


@pytest.fixture
def program(folder):
    """Run the program as a process of its own, whose arguments may be bytes."""

    def call(*args):
        program = Path(sys.executable).with_name("embedkit")
        return subprocess.run([program, *args], capture_output=True, check=False, stdin=subprocess.DEVNULL)

    return call


@pytest.mark.parametrize(
    ("args", "where"),
    [
        (["search", "x.idx", BAD], "QUERY"),
        (["search", "x.idx", "--more-like", BAD], "--more-like"),
        (["search", "x.idx", "word", "--where", BAD], "--where"),
        (["search", BAD, "word"], "INDEX"),
        (["index", "delete", "x.idx", "tree", BAD], "IDS"),
        (["index", "docs.jsonl", "-o", BAD], "--output"),
        (["encode", "docs.jsonl", "-o", "x.vec", "--document-prompt", BAD], "--document-prompt"),
        (["encode", "docs.jsonl", "-o", "x.vec", "--text-field", BAD], "--text-field"),
        (["encode", "docs.jsonl", "-o", "x.vec", "-m", BAD], "--model"),
        (["fit", BAD, "docs.jsonl", "-o", "x.safetensors"], "KIND"),
        (["eval", "retrieval", "--qrels", "docs.jsonl", "--measure", BAD], "--measure"),
        (["train-simcse", "docs.jsonl", "-o", "model", "--columns", BAD], "--columns"),
        (["train-simcse", BAD, "-o", "model"], r"a\udcffb"),
        (["report", "docs.jsonl", "-o", "x.html", "--title", BAD], "--title"),
    ],
)
def test_a_text_that_is_not_utf8_is_refused_before_anything_is_read(run, docs, args, where):
    assert run(*args) == (2, "", f"embedkit: {where}: {NOT_TEXT}\n")
    assert [path.name for path in Path().iterdir()] == ["docs.jsonl"]


def test_the_model_of_the_environment_is_text_too(run, docs, monkeypatch):
    monkeypatch.setenv("EMBEDKIT_MODEL", BAD)
    assert run("encode", "docs.jsonl", "-o", "x.vec") == (2, "", f"embedkit: EMBEDKIT_MODEL: {NOT_TEXT}\n")


@pytest.mark.parametrize(("before", "byte"), [("", 1), ("é", 3), ("日本 ", 8)])
def test_the_byte_is_counted_in_bytes(before, byte):
    with pytest.raises(UsageError, match=rf"^--x: is not UTF-8 \(byte {byte}\)"):
        require_text(before + os.fsdecode(b"\xff"), where="--x")
    require_text(before + "\U0001f600", where="--x")


@pytest.mark.parametrize("kind", [".vec", ".npy", ".parquet", ".arrow", ".jsonl"])
def test_files_whose_names_are_not_utf8_are_read_and_written(run, docs, kind):
    os.rename("docs.jsonl", f"{BAD}.jsonl")
    done = run("encode", f"{BAD}.jsonl", "-o", f"v{BAD}{kind}", "--json")
    assert (done.code, done.said, orjson.loads(done.out)["output"]) == (0, "", rf"va\udcffb{kind}")
    done = run("info", f"v{BAD}{kind}", "--json")
    assert (done.code, done.said, orjson.loads(done.out)["dimension"]) == (0, "", 8)
    both = orjson.loads(run("info", f"v{BAD}{kind}", "hash:dim=8", "--json").out)
    assert list(both["things"]) == [rf"va\udcffb{kind}", "hash:dim=8"]
    assert run("index", f"v{BAD}{kind}", "-o", "x.idx", "-q") == (0, "", "")


def test_maps_have_such_names_too(run, docs):
    assert run("fit", "centre", "docs.jsonl", "-o", f"{BAD}.safetensors", "--json").code == 0
    assert run("info", f"{BAD}.safetensors", "--json").code == 0
    done = run("apply", "docs.jsonl", "-t", f"{BAD}.safetensors", "-o", f"{BAD}.vec", "--json")
    assert (done.code, done.said) == (0, "")
    assert run("merge", f"{BAD}.vec", "-o", f"x{BAD}.vec", "-q") == (0, "", "")


def test_names_are_printed_with_their_bytes_escaped(run, docs, program):
    run("encode", "docs.jsonl", "-o", f"{BAD}.vec", "-q")
    done = program("info", b"a\xffb.vec", "hash:dim=8")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"a\\udcffb.vec\n")
    done = program("info", b"no\xffthing")
    assert (done.returncode, done.stderr) == (1, b"embedkit: no\\udcffthing: no such model folder\n")


def test_evaluations_of_files_with_such_names_are_json_that_every_reader_takes(run):
    rows = [f"word{row}\tword{row % 4}\t{row % 5}\n" for row in range(20)]
    Path(f"{BAD}.tsv").write_text("".join(rows), encoding="utf-8")
    done = run("eval", "sts", f"{BAD}.tsv", "--json", "--resamples", "100")
    assert (done.code, orjson.loads(done.out)["results"][0]["file"]) == (0, r"a\udcffb.tsv")
    Path(f"{BAD}.json").write_text(done.out, encoding="utf-8")
    done = run("report", f"{BAD}.json", "-o", f"{BAD}.html", "--json")
    assert (done.code, orjson.loads(done.out)["output"]) == (0, r"a\udcffb.html")


def test_an_index_is_tuned_on_queries_of_such_a_name(run, docs):
    assert run("index", "docs.jsonl", "-o", "x.idx", "--kind", "hnsw", "-q").code == 0
    os.rename("docs.jsonl", f"{BAD}.jsonl")
    assert run("index", "tune", "x.idx", "--queries", f"{BAD}.jsonl", "-k", "1", "--json").code == 0
    assert r"a\udcffb.jsonl" in orjson.loads(run("info", "x.idx", "--json").out)["recall measured"]
