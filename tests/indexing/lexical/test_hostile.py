"""Texts of unusual size or content are indexed and searched like all others."""

import numpy as np
import pytest

from embedkit.data.vectors.vector_set import VectorMeta
from embedkit.errors import UsageError
from embedkit.indexing.building import build_index
from embedkit.indexing.edit import add, compact
from embedkit.indexing.lexical import postings_writing
from embedkit.indexing.lexical.fusion import Fusion
from embedkit.indexing.lexical.operators import literal_query, parse_query
from embedkit.indexing.query import Query, hits
from embedkit.indexing.store import Index

META = VectorMeta(8)
PLAIN = {"plain": "plain words", "other": "other words"}


def found(index, text, read=literal_query):
    """The ids of the hits of a search by words; a fused search finds the same documents with a word."""
    typed = [read(text, index.manifest.lexical)]
    (alone,) = hits(index, None, Query(20, explain=True), texts=typed)
    (fused,) = hits(index, np.ones((1, 8), np.float32), Query(20, fusion=Fusion()), texts=typed)
    assert all(np.isfinite([hit.score for hit in fused]))
    assert {hit.document["id"] for hit in alone} == {hit.document["id"] for hit in fused if hit.lexical}
    return sorted(hit.document["id"] for hit in alone)


@pytest.mark.parametrize(
    ("text", "queries"),
    [
        ("x" * 1_000_000, ["x" * 1_000_000, "x" * 255, "X" * 300]),
        ("1" * 1_000_000 + " end", ["end", "1" * 999]),
        ("人" * 100_000, ["人", "人人", '"人人人"']),
        ("a" + "\u0301" * 10_000 + " b", ["b", "a" + "\u0301" * 10_000]),
        ("term " * 100_000, ["term", '"term terms"']),
        (
            "mañana 人工智能 сегодня اليوم आज 오늘 วันนี้ ｗｉｄｅ",
            ["MAÑANA", "人工", "СЕГОДНЯ", "اليوم", "आज", "오늘", "นี้", "wide"],
        ),
        ("👩\u200d🔬 lab 🧪", ["lab", "👩 lab"]),
        ("１２３ ①② ½", ["123", "12", "1", "2"]),
        ("zero\0byte", ["zero", "byte"]),
        ("ﷺ", ["صلى"]),  # one character that becomes eighteen
        ("ﬃ" * 1000, ["ffi" * 1000]),
        ("\u202eright to left\u202c", ["right", '"right to left"']),
    ],
)
def test_strange_texts_are_found(folder, batch, text, queries):
    index = build_index("x.idx", META, [batch(PLAIN | {"strange": text})])
    for query in queries:
        assert found(index, query) == ["strange"]
        assert found(index, query, parse_query) == ["strange"]
    assert found(index, "plain") == ["plain"]
    index.verify()


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n\t\r",
        "!?.,;:—…",
        "👍🎉",
        "\u200b\u200d\ufeff",
        "\u0301\u0308",
        "___",
        "\0\0\0",
        "+-*/=<>|",
    ],
)
def test_texts_without_words_have_no_terms_and_find_nothing(folder, batch, text):
    index = build_index("x.idx", META, [batch(PLAIN | {"strange": text})])
    for query in (text, "missing"):
        assert found(index, query) == []
    assert found(index, "words") == ["other", "plain"]
    assert index.lexical.mean_length == pytest.approx(4 / 3)
    alone = build_index("alone.idx", META, [batch({"strange": text})])
    assert alone.segments[0].postings is None
    with pytest.raises(UsageError, match=r"^alone.idx: its documents have no text to search by words$"):
        _ = alone.lexical
    assert found(add("alone.idx", META, [batch(PLAIN)]).after, "plain") == ["plain"]
    assert compact("alone.idx").rows == 3


@pytest.mark.parametrize("run", [1 << 20, 30_000])
def test_many_distinct_words_are_found(folder, batch, monkeypatch, run):
    monkeypatch.setattr(postings_writing, "RUN_TERMS", run)
    texts = {f"d{row}": " ".join(f"t{row}x{word}" for word in range(2000)) for row in range(50)}
    index = build_index("x.idx", META, [batch(dict([pair])) for pair in texts.items()])
    assert len(index.segments[0].postings.terms) == 100_000
    for row in (0, 17, 49):
        assert found(index, f"t{row}x1999") == [f"d{row}"]
        assert found(index, f'"t{row}x5 t{row}x6"', parse_query) == [f"d{row}"]


@pytest.mark.slow
def test_a_million_distinct_words_of_one_text_are_found(folder, batch):
    index = build_index("x.idx", META, [batch(PLAIN | {"long": " ".join(f"t{n}" for n in range(1_000_000))})])
    assert index.lexical.mean_length == pytest.approx(1_000_004 / 3)
    for query in ("t0", "t999999", '"t123456 t123457"', "plain"):
        assert found(index, query, parse_query) == ["plain" if query == "plain" else "long"]


def test_a_query_of_many_words_is_searched(folder, batch):
    index = build_index("x.idx", META, [batch(PLAIN)])
    assert found(index, "plain " * 100_000) == ["plain"]
    assert found(index, " ".join(f"q{number}" for number in range(20_000)) + " other") == ["other"]


def test_ids_are_any_text(folder, batch):
    index = build_index("x.idx", META, [batch({"": "empty", "人 \n": "lines", "\0": "zero", "👍": "thumb"})])
    assert found(index, "empty") == [""]
    assert found(index, "lines zero thumb") == sorted(["人 \n", "\0", "👍"])
    assert found(Index.open("x.idx"), "zero") == ["\0"]
