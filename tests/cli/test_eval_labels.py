"""`embedkit eval labels`: labelled texts in, retrieval by label with intervals and its protocol out."""

import json
from pathlib import Path

import numpy as np
import pytest

from embedkit.data.affine import AffineMap
from embedkit.data.text.labelled import read_labelled
from embedkit.data.vectors.label_vectors import LabelVectors
from embedkit.embedding.encoder import with_maps
from embedkit.embedding.loading import load
from embedkit.evaluation.labels.influence import among_themselves
from embedkit.evaluation.labels.label_retrieval import evaluate_labels, label_figures, seen_only

TOPICS = {
    "pets": ["cat", "dog", "hamster", "leash"],
    "food": ["bread", "milk", "cheese", "soup"],
    "home": ["house", "door", "garden", "roof"],
    "water": ["river", "lake", "rain", "wave"],
}
KEYS = ("top1", "top5", "top10", "map")


def write(name, seed, rows=40):
    """Write a file of texts, three words each, two of them of its label."""
    numbers = np.random.default_rng(seed)
    every = [word for words in TOPICS.values() for word in words]
    lines = []
    for _ in range(rows):
        label = str(numbers.choice(list(TOPICS)))
        words = [*numbers.choice(TOPICS[label], 2), numbers.choice(every)]
        lines.append(f"{' '.join(words)}\t{label}\n")
    Path(name).write_text("".join(lines))
    return Path(name)


@pytest.fixture
def test(folder):
    return write("test.tsv", 1)


@pytest.fixture
def train(folder):
    return write("train.tsv", 2)


@pytest.fixture
def turned(folder):
    """The map `turn.safetensors`, which keeps the first three columns of eight."""
    AffineMap(np.eye(3, 8), np.ones(3), {}).save(Path("turn.safetensors"))
    return "turn.safetensors"


def expected(encoder, queries, gallery=None):
    """Return the figures of the library, times 100, in the order of KEYS."""
    sides = [queries] if gallery is None else [queries, gallery]
    sets = [each if hasattr(each, "rows") else read_labelled([str(each)]) for each in sides]
    parts = [(encoder.encode(each.texts()), [row.labels for row in each.rows]) for each in sets]
    return [100 * values.mean() for values in label_figures(*parts[0], *(parts[1] if parts[1:] else ()))[:4]]


def figures(result):
    return [result[key]["value"] for key in KEYS]


def results(done):
    assert (done.code, done.said) == (0, "")
    return json.loads(done.out)["results"]


def test_the_figures_are_those_of_the_library_times_100(run, test, train, turned):
    encoder, mapped = load("hash:dim=8"), with_maps(load("hash:dim=8"), [AffineMap.load(turned)])
    cases = {
        (): expected(encoder, test),
        ("--gallery", train): expected(encoder, test, train),
        ("-t", turned): expected(mapped, test),
    }
    for args, values in cases.items():
        assert figures(results(run("eval", "labels", test, *args, "--json"))[0]) == pytest.approx(
            values, abs=1e-5
        )
    assert len({tuple(values) for values in cases.values()}) == 3


def test_the_table_and_the_protocol_are_on_standard_output(run, test, train):
    done = run("eval", "labels", test, "--gallery", train)
    assert (done.code, done.said) == (0, "")
    head, *rows = done.out.splitlines()[:5]
    assert head.split() == ["figure", "value", "95", "%"]
    values = expected(load("hash:dim=8"), test, train)
    for row, name, value in zip(rows, ["top-1", "top-5", "top-10", "MAP"], values, strict=True):
        cells = row.split()
        assert cells[:2] == [name, f"{value:.2f}"]
        assert float(cells[2]) <= value <= float(cells[4])
    facts = dict(line.split(maxsplit=1) for line in done.out.splitlines()[6:])
    assert facts["files"] == "test.tsv (40 texts)"
    assert facts["gallery"] == "train.tsv (40 texts)"
    assert facts["labels"] == "4, one per text"
    assert facts["queries"] == "40; 0 left out, because no text shares their labels"
    assert facts["hits"].startswith("share a label with the query; ranked by cosine, ")
    assert facts["model"] == f"hash:dim=8 {load('hash:dim=8').identity.fingerprint}, unit length"
    assert facts["intervals"] == "95 %, percentile bootstrap over queries, 1,000 resamples, seed 0"
    assert facts["versions"].startswith("embedkit ")
    assert not {"holdout", "seen"} & set(facts)


def test_without_a_gallery_it_says_so_and_queries_left_out_are_counted(run, test):
    with test.open("a") as file:
        file.write("\nquite alone\tlonely\n")
    done = run("eval", "labels", test)
    assert "files      test.tsv (41 texts; 1 blank line skipped)\n" in done.out
    assert "gallery    each text queries all others\n" in done.out
    assert "queries    40; 1 left out, because no text shares their labels\n" in done.out
    one = results(run("eval", "labels", test, "--json"))[0]
    assert (one["queries"], one["left_out"]) == (40, 1)


def test_without_a_gallery_texts_are_drawn_as_queries_and_as_what_others_find(run, test):
    done = run("eval", "labels", test, "--json")
    drawn = "95 %, percentile bootstrap over texts, each as a query and as a hit of others"
    assert json.loads(done.out)["protocol"]["intervals"].startswith(drawn)
    texts = read_labelled([str(test)])
    vectors = load("hash:dim=8").encode(texts.texts())
    oracle = evaluate_labels([among_themselves(vectors, [row.labels for row in texts.rows])])
    for each, key in zip(oracle, KEYS, strict=True):
        found = results(done)[0][key]
        assert [found["low"], found["high"]] == pytest.approx([100 * end for end in each.value[1:]], abs=1e-5)


@pytest.mark.parametrize("door", ["argument", "hyphen", "pipe", "gallery"])
def test_texts_come_by_every_door(run, test, train, door):
    piped = {} if door == "argument" else {"stdin": (train if door == "gallery" else test).read_text()}
    args = {"argument": [test], "hyphen": ["-"], "pipe": [], "gallery": [test, "--gallery", "-"]}[door]
    done = run("eval", "labels", *args, "--json", **piped)
    values = expected(load("hash:dim=8"), test, *([train] if door == "gallery" else []))
    assert figures(results(done)[0]) == pytest.approx(values, abs=1e-5)


def test_several_files_are_one_set(run, test, train):
    both = read_labelled([str(test), str(train)])
    done = run("eval", "labels", test, train, "--gallery", train, "--gallery", test, "--json")
    assert figures(results(done)[0]) == pytest.approx(expected(load("hash:dim=8"), both, both), abs=1e-5)
    assert json.loads(done.out)["protocol"]["gallery"] == "train.tsv, test.tsv (80 texts)"


def test_systems_stand_side_by_side_with_the_difference(run, test, turned):
    compare = ("--compare", turned, "--compare", "hash:dim=64", "--compare", "none")
    measured = results(run("eval", "labels", test, *compare, "--json"))
    names = ["hash:dim=8", "hash:dim=8 + turn.safetensors", "hash:dim=64", "hash:dim=8"]
    assert [each["system"] for each in measured] == names
    maps = [AffineMap.load(turned)]
    encoders = [load("hash:dim=8"), with_maps(load("hash:dim=8"), maps), load("hash:dim=64")]
    for each, encoder in zip(measured, encoders, strict=False):
        assert figures(each) == pytest.approx(expected(encoder, test), abs=1e-5)
    assert "difference" not in measured[0]
    for each in measured[1:]:
        gains = [each["difference"][key]["value"] for key in KEYS]
        assert gains == pytest.approx(np.subtract(figures(each), figures(measured[0])), abs=1e-5)
    same = {"value": 0, "low": 0, "high": 0, "p": 1}
    assert measured[3]["difference"] == dict.fromkeys(KEYS, same)
    table = run("eval", "labels", test, *compare).out.splitlines()
    assert table[0].split()[-4:] == ["difference", "95", "%", "p"]
    assert [line.split()[:2] for line in table[13:15]] == [["MAP", "hash:dim=8"]] * 2
    assert "model 3      hash:dim=64 " in "\n".join(table)


def test_each_distinct_text_is_encoded_once_an_encoder(run, test, train, monkeypatch):
    encoded = []
    encode = type(load("hash:dim=8")).encode

    def counted(self, texts, role="document"):
        encoded.extend(texts)
        return encode(self, texts, role)

    monkeypatch.setattr(type(load("hash:dim=8")), "encode", counted)
    run("eval", "labels", test, "--gallery", train, test, "--compare", "none", "--json")
    assert sorted(encoded) == sorted({*read_labelled([str(test), str(train)]).texts()})


def test_the_seed_and_the_resamples_settle_the_intervals(run, test):
    def interval(*args):
        return results(run("eval", "labels", test, "--json", *args))[0]["map"]["low"]

    assert interval() == interval("--seed", "0")
    assert len({interval(), interval("--seed", "1"), interval("--resamples", "500")}) == 3


def test_fields_are_named_by_options_and_bad_records_skipped(run, folder):
    Path("a.csv").write_text("said,kind\na b,x\na c,x\n,x\nb,y\n")
    args = ("--text-field", "said", "--label-field", "kind", "--on-error", "skip")
    done = run("eval", "labels", "a.csv", *args)
    assert "a.csv (3 texts; 1 unreadable record skipped)" in done.out


def test_any_label_of_a_list_is_a_hit(run, folder):
    rows = [("one", ["a", "b"]), ("one two", ["b"]), ("three", []), ("three two", ["c", "a"])]
    Path("a.jsonl").write_text("".join(json.dumps({"text": t, "labels": n}) + "\n" for t, n in rows))
    done = run("eval", "labels", "a.jsonl")
    assert "labels     3, lists of them\n" in done.out
    assert "queries    3; 1 left out, " in done.out


# Labels that models were trained on


@pytest.fixture
def trained(folder, monkeypatch):
    """The folders `one` and `two`, models that were trained on labels; the hash encoder stands in."""
    for name, labels in (("one", ["pets", "food"]), ("two", ["food", "home", "extra"])):
        Path(name).mkdir()
        LabelVectors(tuple(labels), np.eye(len(labels), 8, dtype=np.float32)).save(Path(name))
    plain = load

    def stand_in(settings):
        return plain("hash:dim=16" if settings.model in ("one", "two") else settings)

    monkeypatch.setattr("embedkit.embedding.loading.load", stand_in)


@pytest.mark.parametrize(
    ("args", "left", "words"),
    [
        (["-m", "one", "--holdout"], ["home", "water"], "not trained on by one (2 labels)"),
        (["-m", "one", "--seen"], ["food", "pets"], "trained on by one (2 labels)"),
        (
            ["-m", "one", "--compare", "two", "--compare", "hash:dim=8", "--holdout"],
            ["water"],
            "not trained on by one (2 labels) and two (3 labels)",
        ),
        (
            ["-m", "one", "--compare", "two", "--compare", "hash:dim=8", "--seen"],
            ["food"],
            "trained on by one (2 labels) and two (3 labels)",
        ),
        (
            ["--holdout"],
            sorted(TOPICS),
            "that no model was trained on; no model lists its labels, so these are all",
        ),
    ],
)
@pytest.mark.parametrize("gallery", [[], ["--gallery", "train.tsv"]])
def test_only_labels_that_were_or_were_not_trained_on(run, test, train, trained, args, left, words, gallery):
    done = run("eval", "labels", test, *args, *gallery, "--json")
    sets = [read_labelled([str(name)]) for name in ([test, train] if gallery else [test])]
    kept = [seen_only(each, left) for each in sets]
    assert {name for each in kept for name in each.names()} == set(left)
    encoder = load("hash:dim=16" if "-m" in args else "hash:dim=8")
    assert figures(results(done)[0]) == pytest.approx(expected(encoder, *kept), abs=1e-5)
    protocol = json.loads(done.out)["protocol"]
    assert protocol["holdout" if "--holdout" in args else "seen"] == f"only texts of labels {words}"
    assert protocol["files"] == f"test.tsv ({len(kept[0])} texts)"


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["no.tsv", "-m", "no/model"], 1, "no.tsv: no such file"),  # the files first
        (["bad.tsv", "-m", "no/model"], 1, "bad.tsv:2: has an empty label; "),
        (["test.tsv", "--gallery", "bad.tsv"], 1, "bad.tsv:2: has an empty label; "),
        (["test.tsv", "--label-field", "kind"], 1, "test.tsv:1: has no field"),
        (["test.tsv", "--compare", "no.safetensors"], 1, "no.safetensors: no such map"),
        (["test.tsv", "--compare", "other.safetensors"], 1, "the map expects 9 dimensions, "),
        (["one.tsv"], 1, "no query shares a label with another text"),
        (["test.tsv", "--gallery", "one.tsv"], 1, "no query shares a label with another text"),
        (
            ["test.tsv", "-m", "all", "--holdout"],
            1,
            "test.tsv: none of the 40 texts has a label that is measured; omit --holdout or --seen",
        ),
        (
            ["test.tsv", "--seen"],
            2,
            "--seen: the training labels of hash:dim=8 are unknown; name a folder ",
        ),
        (
            ["no.tsv", "--seen", "--holdout"],
            2,
            "--holdout: cannot be used with --seen; omit one of them",
        ),
        (["-", "-"], 2, "-: standard input can be read only once"),
        (["-", "--gallery", "-"], 2, "--gallery: standard input can be read only once"),
        (["test.tsv", "--id-field", "id"], 2, "--id-field: "),
        (["test.tsv", "--query-prompt", "query: "], 2, "--query-prompt: is for queries, and all "),
        (["test.tsv", "--resamples", "9"], 2, "Invalid value for '--resamples': "),
    ],
)
def test_a_mistake_is_one_line(run, test, args, code, message):
    Path("bad.tsv").write_text("a\tb\na\t\n")
    Path("one.tsv").write_text("a\tx\n")
    Path("all").mkdir()
    LabelVectors(tuple(TOPICS), np.eye(4, 8, dtype=np.float32)).save(Path("all"))
    AffineMap(np.eye(9), np.zeros(9), {}).save(Path("other.safetensors"))
    done = run("eval", "labels", *args)
    assert (done.code, done.out, done.said.count("\n")) == (code, "", 1)
    assert done.said.startswith(f"embedkit: {message}")
