"""`embedkit encode`: text in by every door, vectors out, and one line for whatever goes wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from embedkit.data.affine import AffineMap
from embedkit.data.vectors.vector_set import VectorSet
from embedkit.embedding.loading import load

PROGRAM = str(Path(sys.executable).with_name("embedkit"))
LISTENING = (  # to Ctrl-C, which a shell has its background jobs, and all that they start, ignore
    sys.executable,
    "-c",
    "import os, signal, sys; signal.signal(2, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])",
)


def names():
    return sorted(os.listdir())


@pytest.mark.parametrize("door", ["argument", "hyphen", "pipe"])
@pytest.mark.parametrize("text", ["one\ntwo\n", '{"text": "one"}\n{"text": "two"}\n'])
def test_text_comes_as_argument_file_and_pipe(run, door, text):
    Path("in").write_text(text)
    done = {
        "argument": lambda: run("encode", "in"),
        "hyphen": lambda: run("encode", "-", stdin=text),
        "pipe": lambda: run("encode", stdin=text),
    }[door]()
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert (done.code, done.said) == (0, "")
    assert [(row["id"], row["text"]) for row in rows] == [("1", "one"), ("2", "two")]
    assert rows[0]["vector"] == pytest.approx(load("hash:dim=8").encode(["one"])[0].tolist())


def test_a_vector_set_is_written_and_reported(run, docs):
    done = run("encode", docs, "-o", "x.vec")
    assert (done.code, done.out) == (0, "")
    assert done.said.startswith("embedkit: 3 rows of 8 dimensions in ")
    assert done.said.endswith(" rows/s) -> x.vec\n")
    assert VectorSet.open(Path("x.vec")).rows == 3


def test_quiet_says_nothing(run, docs):
    assert run("encode", docs, "-o", "x.vec", "-q") == (0, "", "")
    assert run("encode", docs, "-o", "x.vec", "-q", "--resume") == (0, "", "")


def test_json_is_for_machines(run):
    done = run("encode", "-", "-o", "x.vec", "--json", stdin="one\n\ntwo\n")
    facts = json.loads(done.out)
    assert (facts["output"], facts["rows"], facts["dimension"], facts["blank"]) == ("x.vec", 2, 8, 1)
    assert done.said == ""


def test_blank_lines_are_counted(run):
    assert run("encode", stdin="one\n\n").said == "embedkit: 1 blank line skipped\n"


def test_an_arrow_stream_is_an_input(run, shell):
    done = shell(
        "echo one | embedkit encode --format arrow | embedkit index - -o x.idx -q; embedkit search x.idx one"
    )
    assert (json.loads(done.out)["id"], done.said) == ("1", "")


def test_a_map_is_applied(run, docs):
    import numpy as np

    AffineMap(np.eye(4, 8), np.zeros(4), {}).save(Path("map.safetensors"))
    assert run("encode", docs, "-t", "map.safetensors", "-o", "x.vec").code == 0
    assert VectorSet.open(Path("x.vec")).meta.dimension == 4


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["no.txt"], 1, "no.txt: no such file"),
        (["empty.txt"], 1, "empty.txt: the input contains no text"),
        (
            ["bad.jsonl"],
            1,
            "bad.jsonl:2: is not JSON: unexpected character, expected a string key (column 2); "
            "pass over such records with --on-error skip",
        ),
        (
            ["latin.txt"],
            1,
            "latin.txt:1: is not UTF-8 (byte 2); convert the file from its own encoding, "
            "as iconv -f LATIN1 -t UTF-8 does",
        ),
        (["one.txt", "-m", "hash:dim=0"], 2, "hash:dim=0: dim=0 is not between 1 and 65536"),
        (["one.txt", "-m", "hsh"], 2, "--model: unknown model 'hsh'; did you mean hash?"),
        (["one.txt", "--modle", "x"], 2, "No such option: --modle (Possible options: --model)"),
        (["one.txt", "-t", "no"], 1, "no: no such map"),
        (["one.txt", "--resume"], 2, "--resume: needs an output; name it with -o"),
        (["-", "-"], 2, "-: standard input can be read only once"),
        (["one.txt", "--dtype", "int4"], 2, None),
        (["one.txt", "--pooling", "cls"], 2, "--pooling cls: the hash encoder has no such setting"),
    ],
)
@pytest.mark.parametrize("output", ["x.vec", "x.npy"])
def test_a_mistake_is_one_line_and_leaves_nothing(run, args, code, message, output):
    Path("one.txt").write_text("one\n")
    Path("empty.txt").touch()
    Path("bad.jsonl").write_text('{"text": "one"}\n{bad\n')
    Path("latin.txt").write_bytes(b"a\xffb\n")
    before = names()
    done = run("encode", *args, *([] if "--resume" in args else ["-o", output]))
    assert (done.code, done.out) == (code, "")
    if message is not None:
        assert done.said == f"embedkit: {message}\n"
    assert done.said.count("\n") == 1
    assert names() == before


@pytest.mark.parametrize("output", ["x.vec", "x.npy"])
def test_an_output_that_exists_is_kept_unless_forced(run, output):
    run("encode", "-o", output, stdin="one\n")
    before = Path(output, "meta.json").read_bytes() if output == "x.vec" else Path(output).read_bytes()
    done = run("encode", "-o", output, stdin="one\ntwo\n")
    assert done == (1, "", f"embedkit: {output}: already exists; overwrite it with --force\n")
    kept = Path(output, "meta.json") if output == "x.vec" else Path(output)
    assert kept.read_bytes() == before
    assert run("encode", "-o", output, "--force", stdin="one\ntwo\n").code == 0
    assert kept.read_bytes() != before


@pytest.mark.parametrize("option", ["--force", "--resume"])
def test_a_folder_of_someone_else_is_never_replaced(run, option):
    Path("mine").mkdir()
    Path("mine/thesis").touch()
    done = run("encode", "-o", "mine", option, stdin="one\n")
    assert (done.code, names()) == (1, ["mine"])
    assert Path("mine/thesis").exists()


def test_a_device_is_never_replaced(run):
    os.mkfifo("pipe")
    done = run("encode", "-o", "pipe", "--force", stdin="one\n")
    assert done == (1, "", "embedkit: pipe: is a device or a pipe, not a file\n")
    assert names() == ["pipe"]


def test_a_keyboard_is_not_waited_for(folder):
    keyboard, other_end = os.openpty()
    with subprocess.Popen([PROGRAM, "encode"], stdin=other_end, stderr=subprocess.PIPE, text=True) as process:
        said = process.communicate(timeout=20)[1]
    os.close(keyboard)
    os.close(other_end)
    message = "embedkit: no input: stdin is a terminal; name a FILE or pipe text in\n"
    assert (process.returncode, said) == (2, message)


def test_a_record_that_cannot_be_read_may_be_passed_over(run):
    done = run("encode", "--on-error", "skip", "--input-format", "jsonl", stdin='{"text": "one"}\n{bad\n')
    assert (done.code, done.out.count("\n")) == (0, 1)
    assert done.said == "embedkit: 1 unreadable record skipped\n"


def test_a_closed_pipe_ends_silently(shell):
    done = shell("seq 100000 | embedkit encode -q | head -3 > out; wc -l < out")
    assert (done.out.strip(), done.said) == ("3", "")


def test_a_full_disk_is_one_line(shell):
    for options in ("", "--format arrow"):
        done = shell(f"echo one | embedkit encode {options} > /dev/full")
        assert done.said == "embedkit: no space left on device\n"


def test_a_name_that_is_not_utf_8_is_no_trouble(shell):
    done = shell(
        "echo one > $'\\xff.txt'; cp $'\\xff.txt' b.txt; embedkit encode -q $'\\xff.txt' b.txt -o x.vec"
    )
    assert (done.code, done.said) == (0, "")


def test_a_million_characters_and_nul_are_text(run):
    done = run("encode", "-o", "x.vec", stdin="x" * 1_000_000 + "\na\0b\n")
    assert done.code == 0
    assert VectorSet.open(Path("x.vec")).rows == 2


def test_ctrl_c_keeps_what_is_done(folder):
    command = [*LISTENING, PROGRAM, "encode", "-o", "x.vec"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdin.write("line\n" * 40_000)
        process.stdin.flush()
        while not Path("x.vec.partial/part-00000.arrow").exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        said = process.communicate()[1]
    assert process.returncode == 130
    assert said == "embedkit: interrupted; x.vec.partial keeps the finished part; continue it with --resume\n"


def test_ctrl_c_before_anything_is_done_leaves_nothing(folder):
    command = [*LISTENING, PROGRAM, "encode", "-o", "x.vec"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdin.write("line\n" * 100)
        process.stdin.flush()
        while not Path("x.vec.partial/journal.jsonl").exists():
            time.sleep(0.01)
        time.sleep(0.2)  # now it waits for more text
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert (process.returncode, names()) == (130, [])
