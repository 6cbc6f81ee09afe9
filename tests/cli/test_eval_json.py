"""Every command that measures: its `--json` is JSON as RFC 8259 has it, without NaN, whatever it met."""

import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import orjson
import pytest

from embedkit.embedding.loading import load

WORDS = "cat dog river stone bread moon tree song night door house garden".split()  # noqa: SIM905


@pytest.fixture
def things(run, folder):
    """Texts, vectors, pairs, labels and a retrieval task, of odd kinds too."""
    numbers = np.random.default_rng(1)
    texts = [" ".join(numbers.choice(WORDS, 4)) for _ in range(80)]
    Path("docs.txt").write_text("\n".join(texts))
    Path("pairs.tsv").write_text("".join(f"{a}\t{b}\t{n % 4}\n" for n, (a, b) in enumerate(pairwise(texts))))
    Path("three.tsv").write_text("a cat\ta dog\t0\na cat\ta cat\t1\na cat\t\t1\n")
    Path("labels.tsv").write_text(
        "text\tlabel\n" + "".join(f"{text}\t{n % 9}\n" for n, text in enumerate(texts))
    )
    Path("twins.tsv").write_text("text\tlabel\na\tx\na\tx\na\ty\n")
    np.save("same.npy", np.ones((30, 8), np.float32))
    np.save("zero.npy", np.zeros((30, 8), np.float32))
    np.save("two.npy", np.eye(2, 8, dtype=np.float32))
    np.save("line.npy", numbers.normal(size=(30, 1)).astype(np.float32))
    np.save("some.npy", numbers.normal(size=(60, 8)).astype(np.float32))
    Path("qrels.tsv").write_text("1\t2\t1\n2\t2\t1\n3\t70\t0\n4\t5\t1\n")
    Path("one.tsv").write_text("1\t2\t1\n")
    Path("run.trec").write_text("1 Q0 1 1 3 a\n2 Q0 9 1 1 a\n")
    run("index", "docs.txt", "-o", "docs.idx", "-q")
    run("index", "docs.txt", "-o", "empty.idx", "-q")
    Path("ids.txt").write_text("\n".join(str(number) for number in range(1, 81)))
    run("index", "delete", "empty.idx", "--ids", "ids.txt", "-q")


COMMANDS = [
    "eval sts pairs.tsv",
    "eval sts pairs.tsv three.tsv --compare hash:dim=16",
    "eval sts three.tsv",
    "eval labels labels.tsv",
    "eval labels twins.tsv --compare hash:dim=16",
    "eval labels twins.tsv --gallery labels.tsv",
    "eval labels labels.tsv --gallery labels.tsv",
    "eval retrieval --qrels qrels.tsv --run run.trec",
    "eval retrieval --qrels one.tsv --run run.trec --run run.trec",
    "eval retrieval --qrels qrels.tsv --index docs.idx --queries docs.txt",
    "eval retrieval --qrels qrels.tsv --corpus docs.txt --queries docs.txt --compare hash:dim=16 --keep-self",
    "eval geometry docs.txt --pairs pairs.tsv",
    "eval geometry same.npy --compare zero.npy",
    "eval geometry same.npy --compare some.npy",
    "eval geometry same.npy",
    "eval geometry zero.npy",
    "eval geometry two.npy",
    "eval geometry line.npy",
    "eval index docs.idx -k 3",
    "eval index empty.idx",
    "advise some.npy",
    "advise same.npy",
    "advise zero.npy",
    "advise two.npy",
    "advise line.npy",
    "advise docs.txt --pairs pairs.tsv",
    "advise docs.txt --pairs three.tsv",
    "whiten docs.txt --tune pairs.tsv -o map.safetensors",
    "whiten docs.txt --tune three.tsv -o map.safetensors",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_printed_is_json_or_there_is_one_line_of_error(run, things, command):
    done = run(*command.split(), "--json")
    if done.code:
        assert (done.code, done.out, done.said.count("\n")) == (1, "", 1), done.said
        assert "nan" not in done.said
        return
    facts = orjson.loads(done.out)  # which refuses NaN and Infinity
    assert facts
    if "-o" not in command.split():
        Path("facts.json").write_text(done.out)
        assert run("report", "facts.json", "-o", "page.html").code == 0
        assert "nan" not in Path("page.html").read_text().partition("</style>")[2].split()
    told = run(*command.split(), "--force")
    assert "nan" not in told.out.replace("/", " ").split()


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize(
    "command",
    [
        "eval sts pairs.tsv",
        "eval sts pairs.tsv --compare hash:dim=8",
        "eval labels labels.tsv",
        "eval labels twins.tsv --gallery labels.tsv",
        "eval retrieval --qrels qrels.tsv --corpus docs.txt --queries docs.txt",
        "eval retrieval --qrels qrels.tsv --index docs.idx --queries docs.txt",
        "eval geometry docs.txt",
        "eval geometry some.npy -m hash:dim=8 --pairs pairs.tsv",
        "eval index docs.idx --queries docs.txt",
        "advise docs.txt",
        "advise some.npy -m hash:dim=8 --pairs pairs.tsv",
        "whiten docs.txt --tune pairs.tsv -o map.safetensors",
        "whiten some.npy -m hash:dim=8 --tune pairs.tsv -o map.safetensors",
    ],
)
def test_a_model_whose_vector_of_one_text_is_not_finite_is_refused(run, things, monkeypatch, command, number):
    """One of 80 texts: cosines with it counted as 0, or NaN went through to the figures."""
    kind, bad = type(load("hash:dim=8")), Path("docs.txt").read_text().splitlines()[3]
    encode = kind.encode

    def spoilt(self, texts, role="document"):
        vectors = encode(self, texts, role)
        vectors[[text == bad for text in texts], 1] = number
        return vectors

    monkeypatch.setattr(kind, "encode", spoilt)
    done = run(*command.split(), "--json")
    assert (done.code, done.out, done.said.count("\n")) == (1, "", 1), done.out
    assert "finite" in done.said
    assert repr(bad) in done.said or re.search(r"\b4\b", done.said)
    assert not Path("map.safetensors").exists()


def test_json_of_the_standard_library_writes_what_is_none():
    """What the tests above would meet: json.dumps lets NaN through by itself."""
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(json.dumps({"value": float("nan")}))
