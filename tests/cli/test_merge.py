"""`embedkit encode --shard` and `--reuse`, and `embedkit merge`, as typed."""

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from embedkit.cli.app import app
from embedkit.data.vectors.shards import SHARD_ROWS


def run(*words):
    return CliRunner().invoke(app, [*words, "-m", "hash:dim=8"] if words[0] == "encode" else list(words))


def content(path):
    return {file.name: file.read_bytes() for file in Path(path).iterdir()}


def test_parts_merge_into_the_unsplit_set(folder):
    Path("t.txt").write_text("".join(f"line {number}\n" for number in range(2 * SHARD_ROWS + 7)))
    for part in ("1/2", "2/2"):
        assert run("encode", "t.txt", "-o", f"{part[0]}.vec", "--shard", part, "-q").exit_code == 0
    assert run("encode", "t.txt", "-o", "whole.vec", "-q").exit_code == 0
    merged = run("merge", "2.vec", "1.vec", "-o", "merged.vec")
    assert merged.exit_code == 0
    assert merged.stderr.startswith(f"embedkit: {2 * SHARD_ROWS + 7:,} rows of 8 dimensions in ")
    assert content("merged.vec") == content("whole.vec")


def test_reuse_says_how_many_were_copied(folder):
    Path("old.txt").write_text("a\nb\n")
    Path("new.txt").write_text("b\nc\n")
    assert run("encode", "old.txt", "-o", "old.vec", "-q").exit_code == 0
    done = run("encode", "new.txt", "-o", "new.vec", "--reuse", "old.vec")
    assert done.exit_code == 0
    assert done.stderr.splitlines()[0] == "embedkit: 1 vector copied from old.vec"


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (
            ["encode", "t.txt", "--shard", "3/2", "-o", "x"],
            2,
            "--shard: must be a slice like 2/4, the second of four, got '3/2'",
        ),
        (["encode", "t.txt", "--shard", "1/2"], 2, "--shard: needs an output; name it with -o"),
        (["merge", "no.vec", "-o", "x"], 1, "no.vec: is not a vector set: it has no meta.json"),
        (["merge", "-o", "x"], 2, "Missing argument 'SET'."),
    ],
)
def test_a_mistake_is_one_line(folder, words, code, line):
    Path("t.txt").write_text("a\n")
    done = run(*words)
    assert (done.exit_code, done.stderr) == (code, f"embedkit: {line}\n")
    assert sorted(path.name for path in folder.iterdir()) == ["t.txt"]


def test_a_field_of_several_types_is_said_once_by_every_command_that_joins_it(folder):
    for number, kind in enumerate(["text", 1, 2, "text", 3]):
        line = orjson.dumps({"id": str(number), "text": "a", "lang": kind})
        Path(f"{number}.jsonl").write_bytes(line)
        assert run("encode", f"{number}.jsonl", "-o", f"{number}.vec", "-q").exit_code == 0
        assert run("index", f"{number}.vec", "-o", f"{number}.idx", "-q").exit_code == 0
    sets, indexes = ([f"{number}.{kind}" for number in range(5)] for kind in ("vec", "idx"))
    warning = (
        "embedkit: field 'lang' is string in some rows and int64 in others, which have no common type; "
        "--where compares texts"
    )
    for command in (
        ["merge", *sets, "-o", "all.vec"],
        ["index", "all.vec", "-o", "all.idx"],
        ["index", "merge", *indexes, "-o", "merged.idx"],
        ["index", "compact", "merged.idx"],
        ["index", "add", "0.idx", "1.vec"],
    ):
        done = run(*command)
        assert done.exit_code == 0
        assert done.stderr.splitlines().count(warning) == 1, command
        assert "common type" not in run(*command, "--force" if "-o" in command else "-q", "-q").stderr
