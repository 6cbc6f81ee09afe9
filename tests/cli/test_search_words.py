"""`embedkit search --lexical` and `--hybrid`: words alone, and words with vectors."""

import json
import math
import shutil
from pathlib import Path

import pytest

TEXTS = {
    "folder": "Copies of a whole folder are made here.",
    "mail": "Send a letter by electronic mail, then copy the letter.",
    "number": "The part number is ZX-81 and costs 5 euros.",
    "zh": "复制整个目录树",
    "empty": "!!!",
}


@pytest.fixture
def idx(run):
    """The index `x.idx` of five texts."""
    lines = (json.dumps({"id": id, "text": text, "letters": len(text)}) for id, text in TEXTS.items())
    Path("texts.jsonl").write_text("\n".join(lines))
    assert run("index", "texts.jsonl", "-o", "x.idx", "-q") == (0, "", "")
    return "x.idx"


def hits(done):
    assert (done.code, done.said) == (0, "")
    return [json.loads(line) for line in done.out.splitlines()]


def ids(done):
    return [hit["id"] for hit in hits(done)]


def weight(documents, holding):
    """The weight of a term that `holding` of all documents hold."""
    return math.log(1 + (documents - holding + 0.5) / (holding + 0.5))


def test_words_alone_are_scored_by_bm25(run, idx):
    (hit,) = hits(run("search", idx, "zx", "--lexical"))
    mean_length = (8 + 10 + 10 + 7 + 0) / 5
    expected = weight(5, 1) / (1 + 1.2 * (0.25 + 0.75 * 10 / mean_length))
    assert hit["id"] == "number"
    assert hit["score"] == pytest.approx(expected, rel=1e-6)
    assert "dense" not in hit


def test_a_fused_hit_has_its_similarity_and_its_bm25_score(run, idx):
    similarities = {hit["id"]: hit["score"] for hit in hits(run("search", idx, "copy the folder"))}
    scores = {hit["id"]: hit["score"] for hit in hits(run("search", idx, "copy the folder", "--lexical"))}
    fused = hits(run("search", idx, "copy the folder", "--hybrid"))
    assert {hit["id"] for hit in fused} == set(TEXTS)
    for hit in fused:
        assert hit["dense"] == pytest.approx(similarities[hit["id"]], abs=1e-6)
        assert hit["lexical"] == pytest.approx(scores.get(hit["id"], 0), rel=1e-6)
    assert list(fused[0])[:6] == ["query", "rank", "id", "score", "dense", "lexical"]


@pytest.mark.parametrize("place", ["before", "behind"])
def test_the_weight_may_be_left_out_wherever_the_option_stands(run, idx, place):
    words = (
        ["--hybrid", idx, "copy the folder"] if place == "before" else [idx, "copy the folder", "--hybrid"]
    )
    assert hits(run("search", *words)) == hits(run("search", idx, "copy the folder", "--hybrid", ".15"))


@pytest.mark.parametrize(("given", "part"), [("1", "dense"), ("0", "lexical")])
def test_a_weight_at_its_end_ranks_by_one_part_alone(run, idx, given, part):
    found = hits(run("search", idx, "copy a letter", "--hybrid", given))
    assert [hit[part] for hit in found] == sorted((hit[part] for hit in found), reverse=True)


def test_reciprocal_ranks(run, idx):
    (first, *_) = hits(run("search", idx, "letter", "--fusion", "rrf"))
    dense = ids(run("search", idx, "letter"))
    assert first["id"] == "mail"
    assert first["score"] == pytest.approx(1 / 61 + 1 / (61 + dense.index("mail")), rel=1e-6)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("copies", {"folder", "mail"}),  # one stem
        ('"the letter"', {"mail"}),
        ('"letter the"', set()),
        ("copy -letter", {"folder"}),
        ("copy +electronic", {"mail"}),
        ('copy -"whole folder"', {"mail"}),
        ("目录", {"zh"}),
        ("树", {"zh"}),
        ("目树", set()),
        ("ＺＸ", {"number"}),
        ("!!!", set()),
        ("😀", set()),
    ],
)
def test_what_people_type(run, idx, query, found):
    assert set(ids(run("search", idx, query, "--lexical"))) == found


def test_operators_are_read_in_the_argument_only_unless_the_user_decides(run, idx):
    query = "copy -letter"
    assert ids(run("search", idx, query, "--lexical")) == ["folder"]
    assert set(ids(run("search", idx, query, "--lexical", "--literal"))) == {"folder", "mail"}
    assert set(ids(run("search", idx, "--lexical", stdin=query))) == {"folder", "mail"}
    assert ids(run("search", idx, "--lexical", "--operators", stdin=query)) == ["folder"]


def test_operators_hold_for_vectors_too(run, idx):
    assert set(ids(run("search", idx, "copy -letter", "--hybrid"))) == set(TEXTS) - {"mail"}
    assert ids(run("search", idx, '"whole folder"', "--hybrid")) == ["folder"]


def test_explained_terms_sum_up_to_the_score(run, idx):
    for hit in hits(run("search", idx, "copy the letter", "--hybrid", "--explain")):
        assert sum(hit["terms"].values()) == pytest.approx(hit["lexical"], abs=1e-6)
    (first, *_) = hits(run("search", idx, "letter folders", "--lexical", "--explain"))
    assert set(first["terms"]) == {"letter"}


def test_a_table_shows_both_parts_and_the_terms(run, idx):
    lines = run("search", idx, "copy letters", "--hybrid", "--explain", "--format", "table", "-k", 1).out
    title, heads, row, terms = (line.split() for line in lines.splitlines())
    assert (title, heads) == (["copy", "letters"], ["rank", "score", "dense", "lexical", "id", "text"])
    assert row[4:7] == ["mail", "Send", "a"]
    assert terms[::2] == ["letter", "copi"]


def test_a_table_without_hits_says_so(run, idx):
    table = run("search", idx, "+copy of nothing at all +elsewhere", "--lexical", "--format", "table").out
    assert table == "+copy of nothing at all +elsewhere\nno hits\n"


def test_large_scores_leave_the_heads_of_a_table_whole(run, idx, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("embedkit.cli.printed_hits._LEAST_TEXT", 0)
    given = ["--hybrid", "--format", "table", "-k", 1]
    heads = run("search", idx, "copy letters " * 50, *given).out.splitlines()[-2].split()
    assert heads == ["rank", "score", "dense", "lexical", "id", "text"]


def test_filters_and_thresholds_apply(run, idx):
    assert ids(run("search", idx, "copy", "--lexical", "--where", "letters > 45")) == ["mail"]
    assert "mail" not in ids(run("search", idx, "copy", "--hybrid", "--where", "letters < 45"))
    fused = hits(run("search", idx, "copy the letter", "--hybrid"))
    least = fused[1]["score"]
    assert ids(run("search", idx, "copy the letter", "--hybrid", "--min-score", least)) == [
        hit["id"] for hit in fused[:2]
    ]


def test_every_format_takes_a_fused_search(run, idx):
    Path("q.jsonl").write_text('{"id": "q1", "text": "letter"}\n{"id": "q2", "text": "folder"}\n')
    trec = run("search", idx, "-i", "q.jsonl", "--hybrid", "--format", "trec", "-k", 1).out
    assert [line.split()[:4] for line in trec.splitlines()] == [
        ["q1", "Q0", "mail", "1"], ["q2", "Q0", "folder", "1"],
    ]  # fmt: skip
    assert run("search", idx, "letter", "--lexical", "--format", "ids").out == "mail\n"


def test_words_follow_adds_and_deletes(run, idx):
    Path("more.jsonl").write_text(
        '{"id": "mail", "text": "A parcel"}\n{"id": "new", "text": "Another letter"}'
    )
    assert run("index", "add", idx, "more.jsonl", "-q").code == 0
    assert ids(run("search", idx, "letter", "--lexical")) == ["new"]
    before = hits(run("search", idx, "parcel another", "--lexical"))
    assert run("index", "compact", idx, "-q").code == 0
    assert hits(run("search", idx, "parcel another", "--lexical")) == before
    assert run("index", "delete", idx, "new", "-q").code == 0
    assert ids(run("search", idx, "letter", "--lexical")) == []


def test_a_language_and_its_change(run, idx):
    assert run("index", "texts.jsonl", "-o", "y.idx", "-q", "--lexical", "language=none").code == 0
    assert ids(run("search", "y.idx", "copy", "--lexical")) == ["mail"]
    assert run("index", "compact", "y.idx", "-q", "--lexical", "language=en").code == 0
    assert set(ids(run("search", "y.idx", "copy", "--lexical"))) == {"folder", "mail"}


def test_an_earlier_index_says_how_to_add_words(run, idx):
    golden = Path(__file__).parent.parent / "golden" / "index-v3"
    shutil.copytree(golden, "old.idx")
    done = run("search", "old.idx", "word", "--lexical")
    assert (done.code, done.out) == (2, "")
    assert done.said == "embedkit: old.idx: has no lexical part; add it with embedkit index compact old.idx\n"
    assert run("index", "compact", "old.idx", "-q").code == 0
    assert run("search", "old.idx", "word", "--lexical").code == 0


def test_words_that_were_left_out(run, idx):
    assert run("index", "texts.jsonl", "-o", "y.idx", "-q", "--no-lexical").code == 0
    assert not list(Path("y.idx").rglob("lexical*"))
    done = run("search", "y.idx", "copy", "--hybrid")
    assert (done.code, done.out, done.said.count("\n")) == (2, "", 1)
    assert "--lexical language=en" in done.said
    assert run("index", "compact", "y.idx", "-q").code == 0
    assert not list(Path("y.idx").rglob("lexical*"))


def test_an_index_of_vectors_has_no_words(run, idx):
    Path("v.jsonl").write_text('{"id": "a", "vector": [1, 0]}\n')
    assert run("index", "v.jsonl", "-o", "v.idx", "-q").code == 0
    done = run("search", "v.idx", "copy", "--lexical")
    assert (done.code, done.said) == (2, "embedkit: v.idx: its documents have no text to search by words\n")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["copy", "--hybrid", "1.5"], "--hybrid: the weight must lie between 0 and 1, got 1.5"),
        (["copy", "--hybrid=x"], "--hybrid: 'x' is not a weight from 0 to 1"),
        (["copy", "--lexical", "--hybrid"], "--lexical and --hybrid were both given; give one of them"),
        (
            ["copy", "--lexical", "--fusion", "rrf"],
            "--lexical and --fusion were both given; give one of them",
        ),
        (["copy", "--explain"], "--explain: applies to a search by words; add --hybrid or --lexical"),
        (
            ["copy", "--literal"],
            "--operators/--literal: applies to a search by words; add --hybrid or --lexical",
        ),
        (["--more-like", "mail", "--hybrid"], "--more-like: compares vectors; drop --hybrid and --lexical"),
        (["--lexical", "--", "-copy -letter"], "the query '-copy -letter' only excludes words"),
        (
            ["copy", "--lexical", "--exact"],
            "--exact: applies to vectors, and --lexical searches words alone; drop one of them",
        ),
        (["copy", "--lexical", "-m", "minilm"], "-m and -t: applies to vectors"),
    ],
)
def test_what_excludes_itself_is_one_line(run, idx, args, message):
    done = run("search", idx, *args)
    assert (done.code, done.out, done.said.count("\n")) == (2, "", 1)
    assert done.said.startswith(f"embedkit: {message}")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("language=xx", "language=xx: unknown language 'xx'"),
        ("langage=en", "langage=en: unknown setting 'langage'; did you mean language?"),
        ("b=2", "b=2: b must lie between 0 and 1, got 2"),
        ("k1=nan", "k1=nan: k1 must lie between 0 and 1000, got nan"),
    ],
)
def test_settings_that_do_not_exist_are_one_line(run, idx, settings, message):
    done = run("index", "texts.jsonl", "-o", "y.idx", "--lexical", settings)
    assert (done.code, done.out, done.said.count("\n")) == (2, "", 1)
    assert done.said.startswith(f"embedkit: {message}")
    assert not Path("y.idx").exists()
