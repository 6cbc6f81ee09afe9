"""`pretrain` from the command line: what it says, reads, writes, continues and refuses."""

import json
import random
from pathlib import Path

import orjson
import pytest
import torch

from tests.training.pretraining.conftest import sentence

TINY = [
    "--arch", "bert:layers=1,width=16,heads=2", "--vocabulary-size", "60", "--max-length", "24",
    "--batch-size", "8", "--precision", "fp32",
]  # fmt: skip
SHORT = ["--max-steps", "2", "--eval-steps", "1", "-o", "out"]


@pytest.fixture(autouse=True)
def corpus(folder):
    """The files `a.txt` of 40 sentences, and `dev.tsv` of 12 scored pairs."""
    Path("a.txt").write_text("".join(f"{sentence(seed)}\n" for seed in range(40)))
    rows = (f"{sentence(seed)}\t{sentence(seed + seed % 3)}\t{seed % 3}\n" for seed in range(12))
    Path("dev.tsv").write_text("".join(rows))


def story():
    return orjson.loads(Path("out/embedkit.json").read_bytes())


def test_it_says_what_came_of_it_and_the_commands_that_follow_take_it(run):
    done = run("pretrain", "a.txt", *TINY, *SHORT, "--eval", "dev.tsv")
    assert (done.code, done.out) == (0, "")
    lines = done.said.splitlines()
    assert lines[0].startswith("embedkit: training on cpu in fp32, in one pass; dropout: ")
    assert lines[1].startswith("embedkit: step 0 of 2: perplexity ")
    assert lines[1].endswith(" of held-out texts")
    assert lines[-1].startswith("embedkit: seed 0: 2 steps in ")
    assert ", Spearman before " in lines[-1]
    assert lines[-1].endswith(", which is kept -> out")
    details = run("info", "out").out
    assert "embedkit pretrain" in details
    assert "perplexity" in details
    again = run("pretrain", "a.txt", *TINY, *SHORT, "--eval", "dev.tsv", "--resume")
    assert again.said == "embedkit: out: is already trained\n"
    trained = run("train-simcse", "a.txt", "-m", "out", "-o", "simcse", "--batch-size", "8", "-q")
    assert trained.code == 0
    torch = ["--runtime", "torch"]
    assert run("encode", "a.txt", "-m", "simcse", *torch, "-o", "a.vec", "-q").code == 0
    assert run("eval", "sts", "dev.tsv", "-m", "out", *torch, "-q").code == 0


@pytest.mark.parametrize(
    ("given", "native", "precision"),
    [("auto", True, "bf16"), ("auto", False, "fp32"), ("bf16", False, "bf16")],
)
def test_bf16_is_used_where_it_is_native_or_asked_for(run, monkeypatch, given, native, precision):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native})
    done = run("pretrain", "a.txt", *TINY, *SHORT, "--precision", given, "--device", "cpu")
    assert done.code == 0, done.said
    assert done.said.startswith(f"embedkit: training on cpu in {precision}, ")


def test_json_for_machines(run):
    done = run("pretrain", "a.txt", *TINY, *SHORT, "--json", "-q")
    (facts,) = json.loads(done.out)["runs"]
    assert (facts["measure"], facts["steps"]) == ("perplexity", 2)
    assert facts["best"] <= facts["before"]
    assert done.said == ""


def test_the_model_of_the_environment_is_not_the_start(run, monkeypatch):
    monkeypatch.setenv("EMBEDKIT_MODEL", "nowhere/to-be-found")
    assert run("pretrain", "a.txt", *TINY, *SHORT, "-q").code == 0
    assert story()["settings"]["model"] == "none"


def test_a_continued_model_has_other_defaults(run):
    assert run("pretrain", "a.txt", *TINY, *SHORT, "-q").code == 0
    given = ["-m", "out", "--batch-size", "8", "--max-steps", "1", "-o", "again", "-q"]
    assert run("pretrain", "a.txt", *given).code == 0
    settings = orjson.loads(Path("again/embedkit.json").read_bytes())["settings"]
    assert (settings["learning_rate"], settings["epochs"]) == (5e-5, 1.0)
    assert (story()["settings"]["learning_rate"], story()["settings"]["epochs"]) == (5e-4, 3.0)


@pytest.mark.parametrize(
    ("name", "content", "examples"),
    [
        ("pairs.jsonl", [{"sentence1": sentence(n), "sentence2": sentence(n + 1)} for n in range(20)], 19),
        ("texts.jsonl", [{"title": sentence(n), "text": sentence(n + 1)} for n in range(20)], 19),
        (
            "triplets.jsonl",
            [{"anchor": f"{n} cat", "positive": f"{n} dog", "negative": f"{n} owl"} for n in range(8)],
            23,
        ),
    ],
)
def test_tables_give_pairs_or_texts(run, name, content, examples):
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in content))
    done = run("pretrain", name, *TINY, *SHORT, "--tokens", "words", "--holdout", "1")
    assert done.code == 0, done.said
    assert story()["examples"] == examples
    assert done.said.startswith(f"embedkit: {name}: ")  # which columns were read


def test_a_folder_gives_passages(run):
    Path("notes").mkdir()
    for seed in range(10):
        Path("notes", f"{seed}.md").write_text(
            f"# Animal {seed}\n\n{sentence(seed)}\n\n{sentence(seed + 50)}\n"
        )
    done = run("pretrain", "notes", *TINY, *SHORT, "-q", "--chunk", "20", "--batch-size", "2")
    assert done.code == 0, done.said
    assert story()["examples"] >= 9


def test_odd_texts_are_read(run):
    rng = random.Random(0)
    odd = ["x" * 1_000_000, "a b " * 50_000, "\u0000\u200b", "中文 句子", "\U0001f600 " * 9]
    lines = [*odd, *("".join(rng.choices("abc 中文é", k=30)) for _ in range(30))]
    Path("odd.txt").write_text("\n".join(lines), encoding="utf-8")
    done = run("pretrain", "odd.txt", *TINY, *SHORT, "--holdout", "3")
    assert done.code == 0, done.said


@pytest.mark.parametrize(
    ("content", "given", "code", "said"),
    [
        ("", [], 1, "empty.txt: the input contains no text"),
        ("one\n", [], 1, "pretraining needs at least 2 different texts, got 1; give more texts"),
        ("a\nb\nc\nd\n", ["--batch-size", "2"], 1, "no character occurs twice"),
        ("a\na\n", ["-m", "hash", "--arch", "bert"], 2, "--arch: is for a new model; omit it or the --model"),
        ("a\nb\n", ["--tokens", "bytes"], 2, "Invalid value for '--tokens'"),
        (
            "a\nb\n",
            ["--vocabulary", "replace"],
            2,
            "--vocabulary: changes a model's vocabulary; name a --model",
        ),
        ("a\nb\n", ["--arch", "bret"], 2, "unknown architecture kind 'bret'; did you mean bert?"),
    ],
)
def test_what_cannot_be_done_is_one_line(run, content, given, code, said):
    Path("empty.txt").write_text(content)
    done = run("pretrain", "empty.txt", "-o", "out", *given)
    assert done.code == code, done.said
    assert done.said.splitlines()[-1].startswith(f"embedkit: {said}")
    assert not Path("out").exists()
    assert not Path("out.partial").exists()


def test_text_in_another_encoding_is_one_line(run):
    Path("utf16.txt").write_bytes("the cat\nthe dog\n".encode("utf-16"))
    done = run("pretrain", "utf16.txt", "-o", "out")
    assert (done.code, done.said.count("\n")) == (1, 1)
    assert done.said.startswith("embedkit: utf16.txt: is UTF-16 text, expected UTF-8")


def test_check_exact(run):
    done = run("pretrain", "a.txt", *TINY, "--check-exact")
    assert float(done.out.rpartition(" ")[2]) < 1e-5
