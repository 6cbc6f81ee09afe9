"""Kinds for those who know FAISS: factory strings and product codes, and what is wrong with some of them."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from embedkit import spec
from embedkit.data.isolated_call import apart
from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.errors import UsageError
from embedkit.indexing.building import build_index
from embedkit.indexing.edit import delete
from embedkit.indexing.kind import Layout

ROWS = np.random.default_rng(0).normal(size=(400, 16)).astype(np.float32)


def built(kind, rows=ROWS):
    batch = Batch(pa.table({"id": [str(row) for row in range(len(rows))]}), rows)
    return build_index("x.idx", VectorMeta(16), [batch], kind=kind, metric="dot")


@pytest.mark.parametrize("text", ["factory:IVF256,SQ8", "factory:OPQ8_16,IVF64_HNSW32,PQ8x4fs,RFlat"])
def test_a_factory_string_keeps_its_commas_there_and_back(text):
    assert spec.parse("index", text).description == text.partition(":")[2]
    assert spec.render(spec.parse("index", text)) == text


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("factory:", r"^factory:: needs description; write it after factory:$"),
        (
            "factory:IVF8,SQ9x",
            r"^factory:IVF8,SQ9x: FAISS refuses it: .*could not parse .*; read FAISS's page",
        ),
        ("factory:Nonsense", r"^factory:Nonsense: FAISS refuses it: could not parse index string Nonsense; "),
        (
            "factory:PCAR8,Flat",
            r"^factory:PCAR8,Flat: its map subtracts a mean, which changes inner products",
        ),
        ("factory:PCA0,Flat", r"^factory:PCA0,Flat: its map keeps no dimension; "),
        ("factory:LSH", r"^factory:LSH: FAISS refuses it: 'metric == METRIC_L2' failed; "),
        ("ivf:storage=pq,m=5,opq=no", r"^storage=pq: m=5 does not divide the 16 dimensions; m=4$"),
        ("ivf:storage=pq,m=17", r"^storage=pq: m=17 exceeds the 16 dimensions; m=4$"),
        ("ivf:storage=pq,bits=3", r"bits=3 is not between 4 and 12$"),
        ("ivf:m=4", r"^ivf:m=4: m, bits and opq apply to storage=pq, not to storage=flat$"),
    ],
)
def test_what_cannot_be_built_is_one_line_and_leaves_nothing(folder, kind, message):
    with pytest.raises(UsageError, match=message) as caught:
        built(kind)
    assert "\n" not in str(caught.value)
    assert os.listdir() == []


@pytest.mark.parametrize(
    "kind",
    ["ivf", "ivf:lists=3,storage=sq8", "ivf:storage=pq", "ivf:storage=pq,opq=no", "factory:IVF2,PQ4x4"],
)
def test_faiss_prints_nothing_of_its_own(folder, capfd, kind):
    """It warned of few points for a centroid on standard output, in the middle of the data."""
    built(kind, ROWS[:15]).search(ROWS[:2], 3)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("text", ["IVF4,PQ4x4fs", "IVF4,RQ3x4fs", "RR16,IVF4,PQ4x4fsr", "IVF4,PQ4x4fs,RFlat"])
def test_lists_of_fast_scan_codes_give_their_rows_back(folder, text):
    """`--more-like`, `--exact` and `--dedupe` ended in a segmentation fault."""
    import faiss

    oracle = faiss.index_factory(16, text, faiss.METRIC_INNER_PRODUCT)
    oracle.train(ROWS)
    oracle.add(ROWS)
    if lists := faiss.try_extract_index_ivf(oracle):
        lists.make_direct_map()
    given = apart(given_back, text)
    np.testing.assert_allclose(given, oracle.reconstruct_batch(np.arange(400)), atol=1e-5)


def given_back(text):
    """Stored rows of an index as read from disk; in a process of its own, which may crash."""
    return built(f"factory:{text}").vectors(np.arange(400)).tolist()


@pytest.mark.parametrize("text", ["PQ0", "IVF0,Flat", "HNSW0", "HNSW1", "PQ4x0", "RQ0x4", "IVF4,PQ4x4fs_0"])
def test_a_description_that_crashes_faiss_is_one_line(folder, text):
    with pytest.raises(UsageError, match=f"^factory:{text}: FAISS (refuses it: |crashes|needs)") as caught:
        built(f"factory:{text}")
    assert "\n" not in str(caught.value)
    assert os.listdir() == []


def test_rows_that_faiss_cannot_leave_out_are_left_out_all_the_same(folder):
    built("factory:IVF4,PQ4x4fs")
    index = delete("x.idx", [str(row) for row in range(0, 400, 2)]).after
    rows = index.search(ROWS[:20], 10)[1]
    assert rows.shape == (20, 10)
    assert (rows % 2 == 1).all()


def test_a_factory_finds_what_the_same_faiss_index_finds(folder):
    import faiss

    oracle = faiss.index_factory(16, "HNSW16,Flat", faiss.METRIC_INNER_PRODUCT)
    oracle.add(ROWS)
    scores, rows = built("factory:HNSW16,Flat").search(ROWS[:50], 5)
    np.testing.assert_array_equal(rows, oracle.search(ROWS[:50], 5)[1])
    np.testing.assert_allclose(scores, oracle.search(ROWS[:50], 5)[0], rtol=1e-5)


def test_product_codes_take_the_bytes_they_say_and_give_rows_back_nearly(folder):
    sizes, errors = [], []
    for m in (2, 8):
        index = built(f"ivf:lists=2,storage=pq,m={m},bits=4")
        sizes.append(index.segments[0].files[0].bytes)
        given = index.vectors(np.arange(400))
        errors.append(np.linalg.norm(given - ROWS) / np.linalg.norm(ROWS))
    assert sizes[1] - sizes[0] == 400 * 3  # half a byte a number
    assert errors[1] < errors[0] < 1


@pytest.mark.parametrize("kind", ["hnsw", "hnsw:storage=fp16", "hnsw:storage=sq8"])
def test_a_graph_whose_memory_was_taken_at_once_is_the_same_graph(folder, kind):
    settings = spec.parse("index", kind)
    for name, rows in (("grown", None), ("known", 400), ("fewer", 100)):
        Path(name).mkdir()
        settings.build(np.array_split(ROWS, 7), Layout(16, "dot", rows=rows), Path(name))
    files = [Path(name, "graph.faiss").read_bytes() for name in ("grown", "known", "fewer")]
    assert files[0] == files[1] == files[2]
