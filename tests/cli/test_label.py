"""`embedkit label`: texts by every door, labels in every format; label vectors by other commands."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedkit.data.affine import AffineMap
from embedkit.data.vectors.label_vectors import Calibration, LabelVectors
from embedkit.embedding.encoder import unit_length
from embedkit.embedding.labelling import Labeller
from embedkit.embedding.loading import load
from tests.embedding.conftest import BUILDERS

NAMES = ("animals", "files", "places")
OF = ("the quick brown fox", "copy a whole directory tree", "the old stone bridge")
TORCH = ("--runtime", "torch", "--device", "cpu")
FOUND = Calibration(2.0, 0.9, 10, 3, 0.9, 0.4, 0.3, 0.1, 0.05, 0.95, 0.5)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return BUILDERS["bert"](tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture
def write(folder, tiny, monkeypatch):
    """Return the function that writes label vectors, those of the texts in OF, into the model's folder."""
    monkeypatch.setenv("EMBEDKIT_MODEL", str(tiny))
    encoder = load(str(tiny), runtime="torch", device="cpu")
    vectors = unit_length(encoder.encode(OF))
    labels = LabelVectors(NAMES, vectors, scale=9.0, fingerprint=encoder.identity.fingerprint)

    def call(**fields):
        made = replace(labels, **fields)
        made.save(tiny)
        return made

    return call


@pytest.fixture
def predict(tiny):
    """Return the function that gives the predictions of the library."""

    def call(texts, *settings):
        return Labeller(*settings).predict(load(str(tiny), runtime="torch", device="cpu").encode(texts))

    return call


def lines(done):
    assert done.code == 0, done.said
    return [json.loads(line) for line in done.out.splitlines()]


TEXTS = ["the quick brown fox", "how do i copy a directory", "night"]


@pytest.mark.parametrize("door", ["file", "pipe", "hyphen", "jsonl", "csv"])
def test_texts_come_by_every_door(run, write, predict, door):
    labels = write()
    Path("a.txt").write_text("\n".join(TEXTS))
    rows = [{"id": f"id{n}", "text": text, "year": n} for n, text in enumerate(TEXTS)]
    Path("a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    Path("a.csv").write_text(
        "\n".join(["id,text,year", *(f"{r['id']},{r['text']},{r['year']}" for r in rows)])
    )
    done = {
        "file": lambda: run("label", "a.txt", *TORCH),
        "pipe": lambda: run("label", *TORCH, stdin="\n".join(TEXTS)),
        "hyphen": lambda: run("label", "-", *TORCH, stdin="\n".join(TEXTS)),
        "jsonl": lambda: run("label", "a.jsonl", *TORCH),
        "csv": lambda: run("label", "a.csv", *TORCH),
    }[door]()
    assert done.said == ""
    for number, (line, expected) in enumerate(zip(lines(done), predict(TEXTS, labels), strict=True)):
        named = door in ("jsonl", "csv")
        assert line == {
            "id": f"id{number}" if named else str(number + 1),
            "text": TEXTS[number],
            "label": expected.label,
            "score": pytest.approx(expected.score, abs=2e-6),
            "cosine": pytest.approx(expected.cosine, abs=2e-6),
            **({"year": str(number) if door == "csv" else number} if named else {}),
        }


def test_a_text_beyond_the_threshold_is_none_of_these(run, write):
    write(calibration=FOUND)
    far, near = lines(run("label", *TORCH, stdin="river founded\nthe quick brown fox"))
    assert (far["label"], near["label"]) == (None, "animals")
    assert 0 < far["cosine"] < FOUND.threshold < near["cosine"]
    (forced,) = lines(run("label", *TORCH, "--threshold", "none", stdin="river founded"))
    assert forced["label"] in NAMES
    numbers = [name for name, value in far.items() if isinstance(value, float)]
    assert "cosine" in numbers
    for name in numbers:  # those of a text alone, and in a batch
        assert forced.pop(name) == pytest.approx(far.pop(name), abs=1e-5)
    assert forced == {**far, "label": forced["label"]}
    (strict,) = lines(run("label", *TORCH, "--threshold", "1", stdin="the quick fox"))
    assert strict["label"] is None
    (loose,) = lines(run("label", *TORCH, "--threshold", "-1", stdin="river founded"))
    assert loose["label"] == forced["label"]


def test_k_labels_come_nearest_first(run, write, predict):
    labels = write(calibration=FOUND)
    (found,) = lines(run("label", *TORCH, "-k", 2, stdin="river founded"))
    (expected,) = predict(["river founded"], labels, 2, FOUND.threshold)
    assert [one["label"] for one in found["labels"]] == [name for name, _ in expected.ranked]
    assert [one["score"] for one in found["labels"]] == pytest.approx(
        [s for _, s in expected.ranked], abs=2e-6
    )
    assert (len(found["labels"]), found["label"]) == (2, None)
    (every,) = lines(run("label", *TORCH, "-k", 99, stdin="river founded"))
    assert {one["label"] for one in every["labels"]} == {*NAMES}
    assert sum(one["score"] for one in every["labels"]) == pytest.approx(1, abs=1e-5)


def test_lists_of_labels_are_those_above_an_even_chance(run, write, predict):
    labels = write(multiple=True, offset=0.8)
    found = lines(run("label", *TORCH, stdin="\n".join(TEXTS)))
    for line, expected in zip(found, predict(TEXTS, labels, None, 0.5), strict=True):
        assert [one["label"] for one in line["labels"]] == [name for name, _ in expected.ranked]
        assert all(one["score"] > 0.5 for one in line["labels"])
        assert line["label"] == (line["labels"][0]["label"] if line["labels"] else None)
    assert {bool(line["labels"]) for line in found} == {True, False}
    (most,) = lines(run("label", *TORCH, "--threshold", "none", "-k", 2, stdin="night"))
    assert len(most["labels"]) == 2


def test_fields_by_our_names_are_all_kept(run, write):
    write()
    row = {
        "id": "a",
        "text": "fox",
        "label": "mine",
        "label_": 2,
        "labels": [1],
        "score": 3,
        "cosine": 4,
        "no": None,
    }
    (line,) = lines(run("label", *TORCH, "--input-format", "jsonl", stdin=json.dumps(row)))
    assert line["label"] in NAMES
    kept = {"label__": "mine", "label_": 2, "labels_": [1], "score_": 3, "cosine_": 4}
    assert {name: line.get(name) for name in kept} == kept
    assert {*line} == {*kept, "id", "text", "label", "score", "cosine"}


def test_an_output_is_a_file_of_the_same_lines(run, write):
    write(calibration=FOUND)
    stdin = "the quick brown fox\n\nriver founded\nthe quick brown fox\n"
    done = run("label", *TORCH, "-o", "a.jsonl", stdin=stdin)
    assert (done.code, done.out) == (0, "")
    assert done.said.startswith("embedkit: 3 texts labelled, 1 matched none of the labels, in ")
    assert done.said.endswith(" s -> a.jsonl; 1 blank line skipped\n")
    printed = run("label", *TORCH, stdin=stdin)
    assert (Path("a.jsonl").read_text(), printed.said) == (printed.out, "embedkit: 1 blank line skipped\n")
    again = run("label", *TORCH, "-o", "a.jsonl", stdin=stdin)
    assert again == (1, "", "embedkit: a.jsonl: already exists; overwrite it with --force\n")
    facts = json.loads(run("label", *TORCH, "-o", "a.jsonl", "--force", "--json", stdin=stdin).out)
    assert (facts["output"], facts["rows"], facts["none"], facts["blank"]) == ("a.jsonl", 3, 1, 1)
    assert run("label", *TORCH, "-o", "b.jsonl", "-q", stdin=stdin) == (0, "", "")


def test_nothing_is_left_of_an_output_that_fails(run, write):
    write()
    done = run(
        "label", *TORCH, "--input-format", "jsonl", "-o", "a.jsonl", stdin='{"text": "fox"}\n{"text": 1}\n'
    )
    assert done.code == 1
    assert done.said.startswith("embedkit: -:2: field 'text' is not text")
    assert list(Path().iterdir()) == []


def test_a_table_is_for_people(run, write):
    write(calibration=FOUND)
    done = run("label", *TORCH, "--format", "table", stdin="the quick\x1b brown fox\nriver founded\n")
    head, fox, river = done.out.splitlines()
    assert head.split() == ["id", "label", "score", "cosine", "text"]
    assert fox.split()[:2] == ["1", "animals"]
    assert river.split()[:4] == ["2", "(none", "of", "these)"]
    assert "\x1b" not in done.out
    several = run("label", *TORCH, "--format", "table", "-k", 2, stdin="river founded\n").out.splitlines()
    assert [line.split()[0] in NAMES for line in several[2:4]] == [True, True]


def test_windows_keep_the_order(run, write, predict):
    labels = write()
    texts = [f"{word} {number}" for number in range(200) for word in ("fox", "tree", "bridge")]
    found = lines(run("label", *TORCH, stdin="\n".join(texts)))
    assert [line["text"] for line in found] == texts
    assert [line["label"] for line in found] == [one.label for one in predict(texts, labels)]


NO_HUB = "is neither a folder nor available from the hub (LocalEntryNotFoundError)"
NO_LABELS = "has no label vectors; train a model with labels.safetensors by embedkit train-amsoftmax"


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (
            ["-t", "m"],
            2,
            "--transform: cannot be used, because label vectors lie in the model's own space, without maps",
        ),
        (
            ["-o", "a", "--format", "table"],
            2,
            "--format: table is only for a terminal; write jsonl to the file",
        ),
        (["--threshold", "2"], 2, "--threshold: must be a cosine from -1 to 1, or none, got '2'"),
        (["--threshold", "nan"], 2, "--threshold: must be a cosine from -1 to 1, or none, got 'nan'"),
        (["--threshold", "some"], 2, "--threshold: must be a cosine from -1 to 1, or none, got 'some'"),
        (["no.txt"], 1, "no.txt: no such file"),
        (
            ["-m", "no/where"],
            1,
            f"no/where: {NO_HUB}; name a local folder, or minilm or e5 with their packages installed",
        ),
        (["-m", "hash:dim=8"], 1, f"hash:dim=8: {NO_LABELS}"),
        ([], 1, "-: the input contains no text"),
    ],
)
def test_a_mistake_is_one_line(run, write, args, code, message):
    write()
    assert run("label", *args, stdin="") == (code, "", f"embedkit: {message}\n")
    assert list(Path().iterdir()) == []


def test_a_probability_is_asked_for_where_labels_are_lists(run, write):
    write(multiple=True)
    message = "--threshold: must be a probability from 0 to 1, or none, got '-0.5'"
    assert run("label", "--threshold", "-0.5", stdin="a") == (2, "", f"embedkit: {message}\n")


def test_another_encoder_is_refused_naming_both(run, write, tiny):
    labels = write()
    done = run("label", *TORCH, "--pooling", "cls", stdin="a")
    other = load(str(tiny), pooling="cls").identity
    assert (done.code, done.out) == (1, "")
    both = f"belong to encoder {labels.fingerprint}, texts are encoded by {other}; "
    assert done.said.startswith(f"embedkit: {tiny}: label vectors {both}")


def test_a_closed_pipe_ends_silently(shell, write):
    write()
    done = shell(
        "yes fox | head -1500 | embedkit label --runtime torch --device cpu | head -2 > out; wc -l < out"
    )
    assert (done.out.strip(), done.said) == ("2", "")


def test_an_index_of_labels_names_the_labels_of_a_text(run, write, tiny):
    write()
    done = run("index", tiny / "labels.safetensors", "-o", "labels.idx", "-q")
    assert done == (0, "", "")
    hits = lines(run("search", "labels.idx", OF[1], "-k", 2, *TORCH))
    (labelled,) = lines(run("label", *TORCH, "-k", 2, stdin=OF[1]))
    assert [hit["id"] for hit in hits] == [one["label"] for one in labelled["labels"]]
    assert hits[0] | {"id": "files", "text": "files"} == hits[0]
    assert hits[0]["score"] == pytest.approx(1, abs=1e-5) == pytest.approx(labelled["cosine"], abs=1e-5)
    facts = json.loads(run("info", "labels.idx", "--json").out)
    assert (facts["encoder"], facts["documents"]) == (str(tiny), 3)


def test_label_vectors_alone_go_with_the_model_that_is_named(run, write, tiny):
    write().save("mine.safetensors")
    done = run("index", "mine.safetensors", "-o", "a.idx", "-m", "hash:dim=8")
    assert done == (
        1,
        "",
        "embedkit: mine.safetensors: label vectors have 32 dimensions, hash:dim=8 gives 8\n",
    )
    done = run("index", "mine.safetensors", "-o", "a.idx", "-m", tiny, "--pooling", "cls")
    assert done.said.startswith("embedkit: mine.safetensors: label vectors belong to encoder ")
    assert "contains no model" in run("index", "mine.safetensors", "-o", "a.idx").said
    assert not Path("a.idx").exists()
    assert run("index", "mine.safetensors", "-o", "a.idx", "-m", tiny, "-q").code == 0


def test_maps_apply_to_label_vectors_as_to_others(run, write, tiny):
    labels = write()
    A = np.random.default_rng(0).normal(size=(4, 32))
    AffineMap(A, np.ones(4), {"encoder": labels.fingerprint, "maps": []}).save(Path("turn.safetensors"))
    done = run("apply", "-t", "turn.safetensors", tiny / "labels.safetensors")
    mapped = labels.vectors @ A.T + 1
    expected = mapped / np.linalg.norm(mapped, axis=1, keepdims=True)  # the model gives unit length
    assert [line["id"] for line in lines(done)] == [*NAMES]
    np.testing.assert_allclose([line["vector"] for line in lines(done)], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("thing", ["file", "folder"])
def test_info_says_what_labels_there_are(run, write, tiny, thing):
    labels = write(centres=1, calibration=FOUND, held_out=("x", "y"), loss="am-softmax")
    path = tiny if thing == "folder" else tiny / "labels.safetensors"
    facts = json.loads(run("info", path, "--json").out)
    expected = {
        "type": "model with label vectors" if thing == "folder" else "label vectors, format version 1",
        "classes": 3, "first classes": [*NAMES], "labels a text": "one", "centres a class": 1,
        "dimension": 32, "loss": "am-softmax", "scale": 9.0, "calibrated on texts": 10,
        "and texts of other labels": 3,
        "temperature": 2.0, "threshold on the cosine": 0.9, "accuracy": 0.9, "held-out labels": 2,
        "first held-out labels": ["x", "y"], "labels of encoder": labels.fingerprint,
    }  # fmt: skip
    assert facts == facts | expected
    assert facts.get("model") == (str(tiny) if thing == "folder" else None)
    assert "threshold on the cosine    0.9" in run("info", path).out
    write()
    assert json.loads(run("info", path, "--json").out)["calibrated"] is False
