"""`distill` from the command line: a real teacher, a table, JSON, and faults in one line."""

import json
from pathlib import Path

import numpy as np
import pytest

from embedkit.data.affine import AffineMap
from embedkit.embedding.encoder import unit_length
from embedkit.embedding.loading import load
from tests.embedding.conftest import _bert

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "copy", "directory", "tree"]


@pytest.fixture
def model(folder, tmp_path_factory):
    """A tiny model's folder."""
    return str(_bert(tmp_path_factory.mktemp("models") / "bert"))


@pytest.fixture
def corpus(folder):
    """A file of 300 short texts."""
    rng = np.random.default_rng(0)
    Path("docs.txt").write_text("\n".join(" ".join(rng.choice(WORDS, 6)) for _ in range(300)))
    return "docs.txt"


def test_a_static_encoder_is_written_and_used(run, model, corpus):
    code, out, err = run("distill", corpus, "-m", model, "-o", "static", "--dim", "8")
    assert code == 0
    assert out.splitlines()[0].split() == ["30", "held-out", "texts", "teacher", "static"]
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["overlap", "Spearman", "texts"]
    assert err.splitlines()[-1].endswith(" s -> static")
    assert "tokens x 8 dimensions from 300 texts (penalty " in err.splitlines()[-1]
    assert run("encode", corpus, "-m", "static", "-o", "a.npy")[0] == 0
    expected = load("static").encode(Path(corpus).read_text().splitlines())
    np.testing.assert_allclose(np.load("a.npy"), expected, atol=1e-6)
    assert run("index", corpus, "-m", "static", "-o", "docs.idx")[0] == 0
    assert run("search", "docs.idx", "the quick fox", "-k", "1")[0] == 0
    assert run("search", "docs.idx", "the quick fox", "-k", "1", "--hybrid")[0] == 0


def test_json_has_every_measure(run, model, corpus):
    Path("pairs.tsv").write_text("the fox\ta fox\t5\na dog\tthe tree\t1\nlazy dog\tdog\t4\n")
    code, out, err = run(
        "distill", corpus, "-m", model, "-o", "static", "--json", "-q", "--eval", "pairs.tsv", "--no-refine"
    )
    facts = json.loads(out)
    assert (code, err) == (0, "")
    assert facts["fingerprint"] == load("static").identity.fingerprint
    assert (facts["texts"], facts["held_out"], facts["refined"]) == (300, 30, False)
    assert {"overlap@10", "spearman", "eval_spearman", "teacher_eval_spearman"} < facts.keys()


def test_the_teachers_space_is_kept(run, model, corpus):
    assert run("distill", corpus, "-m", model, "-o", "static", "--dim", "0", "-q")[0] == 0
    texts = Path(corpus).read_text().splitlines()
    cosines = np.sum(load("static").encode(texts) * load(model, normalize=True).encode(texts), axis=1)
    assert cosines.mean() > 0.9


def test_a_student_in_its_teachers_space_searches_the_teachers_documents(run, model, corpus):
    """Also behind the index's map; it is refused with other weights or settings, or in a space of its own."""
    for name, dim in (("static", "0"), ("narrow", "16")):
        assert run("distill", corpus, "-m", model, "-o", name, "--dim", dim, "-q")[0] == 0
    assert run("encode", corpus, "-m", model, "--normalize", "-o", "docs.vec", "-q")[0] == 0
    assert run("whiten", "docs.vec", "--dim", "8", "-o", "white.safetensors", "-q")[0] == 0
    assert run("index", "docs.vec", "-o", "plain.idx", "-q")[0] == 0
    assert run("index", "docs.vec", "-t", "white.safetensors", "-o", "white.idx", "-q")[0] == 0
    map, query = AffineMap.load("white.safetensors"), load("static").encode(["the quick fox"])
    documents = load(model, normalize=True).encode(Path(corpus).read_text().splitlines())
    for index, change in (("plain.idx", lambda rows: rows), ("white.idx", map.apply)):
        code, out, err = run("search", index, "the quick fox", "-m", "static", "-k", "3")
        assert (code, err) == (0, "")
        expected = unit_length(change(documents)) @ unit_length(change(query))[0]
        scores = [json.loads(line)["score"] for line in out.splitlines()]
        np.testing.assert_allclose(scores, np.sort(expected)[:-4:-1], atol=1e-5)
        for other in (["-m", "narrow"], ["-m", "static", "--max-length", "4"]):
            code, out, err = run("search", index, "the quick fox", *other)
            assert (code, out) == (1, "")
            assert len(err.splitlines()) == 1
    assert run("index", "add", "plain.idx", corpus, "-m", "static", "-q")[0] == 1
    code, out, err = run("info", "static", "plain.idx")
    assert "queries of static can search plain.idx, whose encoder taught it" in out
    table = Path("static/model.safetensors")
    table.write_bytes(table.read_bytes()[:-4] + b"\x00\x00\x80\x3f")
    code, out, err = run("search", "plain.idx", "the quick fox", "-m", "static")
    assert (code, out) == (1, "")
    assert "their vectors cannot be compared" in err


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            ["-m", "hash:dim=64"],
            "embedkit: hash:dim=64: is no network, so there is nothing to distil; name a model",
        ),
        (["--dim", "-1"], "embedkit: --dim: must be at least 1, got -1"),
        (["--vocabulary", "-1"], "embedkit: --vocabulary: must be at least 0, got -1"),
        (["--reuse", "none.vec"], "embedkit: none.vec: "),
        (["--eval", "none.tsv"], "embedkit: none.tsv: "),
    ],
)
def test_faults_are_one_line(run, corpus, model, options, line):
    code, out, err = run("distill", corpus, "-m", model, *options, "-o", "static")
    assert (code in (1, 2), out, len(err.splitlines())) == (True, "", 1)
    assert err.startswith(line)
    assert not Path("static").exists()
    assert not Path("static.partial").exists()


def test_too_few_texts_leave_nothing_behind(run, model):
    Path("few.txt").write_text("the quick fox\n" * 20)
    code, _, err = run("distill", "few.txt", "-m", model, "-o", "static", "-q")
    assert (code, err) == (1, "embedkit: few.txt: distillation needs at least 200 texts, got 20\n")
    assert not Path("static").exists()
    assert not Path("static.partial").exists()


def test_an_existing_folder_is_kept(run, corpus, model):
    Path("static").mkdir()
    Path("static/mine.txt").write_text("x")
    code, _, err = run("distill", corpus, "-m", model, "-o", "static", "--force")
    assert code == 1
    assert len(err.splitlines()) == 1
    assert Path("static/mine.txt").read_text() == "x"


@pytest.mark.parametrize(
    "command",
    [("export", "-o", "x"), ("train-simcse", "docs.txt", "-o", "x"), ("train-amsoftmax", "l.csv", "-o", "x")],
)
def test_commands_that_need_a_network_refuse_in_one_line(run, corpus, model, command):
    Path("l.csv").write_text("text,label\n" + "\n".join(f"the fox {n},{n % 2}" for n in range(100)))
    run("distill", corpus, "-m", model, "-o", "static", "-q")
    code, out, err = run(*command, "-m", "static")
    assert (code, out) == (1, "")
    assert [line for line in err.splitlines() if "is a static encoder" in line]
    assert "Traceback" not in err
