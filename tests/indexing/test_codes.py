"""Indexes of codes: what the first pass holds, what stays on disk, and codes that are indexed as they are."""

import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pytest

from embedkit.data.vectors.codes import calibrate
from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.data.vectors.vector_set_writing import VectorSetWriter
from embedkit.embedding.encoder import unit_length
from embedkit.embedding.loading import load
from embedkit.errors import DataError, UsageError
from embedkit.indexing.building import build_index, default_kind, takes_codes

NUMBERS = np.random.default_rng(8)
CENTRES = NUMBERS.normal(size=(40, 96))


def around(rows, spread=0.7):
    """Unit vectors in clusters, as those of texts are."""
    return unit_length(
        (CENTRES[np.arange(rows) % 40] + spread * NUMBERS.normal(size=(rows, 96))).astype(np.float32)
    )


ROWS, QUERIES = around(4000), around(60)
UNIT = load("hash:dim=96").identity


def batches(rows, step=1000):
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        yield Batch(pa.table({"id": [str(start + row) for row in range(len(block))]}), block)


def built(kind, rows=ROWS, name="x.idx", **options):
    return build_index(name, VectorMeta(rows.shape[1]), batches(rows), kind=kind, **options)


def recall(index, k=10):
    _, rows = index.search(QUERIES, k)
    best = np.argsort(-QUERIES.astype(float) @ ROWS.T.astype(float), axis=1)[:, :k]
    return np.mean([len(set(one) & set(other)) / k for one, other in zip(rows, best, strict=True)])


@pytest.mark.parametrize(("kind", "floor"), [("binary", 0.97), ("int8", 1.0), ("int8:rescore=none", 0.97)])
def test_a_second_pass_finds_nearly_everything(folder, kind, floor):
    assert recall(built(kind)) >= floor


def test_more_candidates_find_more(folder):
    index = built("binary")
    found = [recall(index.tuned(oversample=oversample), 50) for oversample in (1, 2, 4, 80)]
    assert found == sorted(found)
    assert found[0] < found[-1] == 1  # 80 x 50 is every row


@pytest.mark.parametrize(("kind", "share"), [("binary", 32), ("int8", 4)])
def test_the_first_pass_holds_a_fraction_of_the_vectors(folder, kind, share):
    (codes,) = [file for file in built(kind).segments[0].files if file.name == "codes.faiss"]
    assert codes.bytes == pytest.approx(ROWS.nbytes / share, abs=1000)


def test_the_binary_file_is_what_faiss_writes(folder):
    oracle = faiss.IndexBinaryFlat(96)
    oracle.add(np.packbits(ROWS > 0, axis=1))
    faiss.write_index_binary(oracle, "oracle.faiss")
    built("binary")
    written = folder / "x.idx/segments/00000/codes.faiss"
    assert written.read_bytes() == (folder / "oracle.faiss").read_bytes()


def test_faiss_decodes_the_int8_file_as_our_codes_do(folder):
    built("int8")
    index = faiss.read_index("x.idx/segments/00000/codes.faiss")
    codes = calibrate([ROWS])
    expected = codes.decode(codes.encode(ROWS))
    np.testing.assert_allclose(index.reconstruct_n(0, len(ROWS)), expected, atol=1e-6)


def test_without_rescoring_a_score_is_the_cosine_of_the_angle(folder):
    """Plain numpy: the angle that signs agree by, 1 - 2 theta / pi."""
    scores, rows = built("binary:rescore=none").search(QUERIES, 10)
    signs = [np.where(vectors > 0, 1, -1) for vectors in (QUERIES, ROWS)]
    agreement = np.take_along_axis(signs[0] @ signs[1].T / 96, rows, axis=1)
    np.testing.assert_allclose(scores, np.sin(np.pi * agreement / 2), atol=1e-6)


def test_halves_on_disk_take_half_and_score_almost_the_same(folder):
    exact, _ = built("binary", name="x.idx").search(QUERIES, 5)
    index = built("binary:rescore=float16", name="y.idx")
    assert (folder / "y.idx/segments/00000/vectors.npy").stat().st_size == 128 + ROWS.nbytes // 2
    np.testing.assert_allclose(index.search(QUERIES, 5)[0], exact, atol=1e-3)


def test_a_number_too_large_for_halves_is_refused(folder):
    with pytest.raises(DataError, match=r"^1e\+06 is too large for float16; rescore=float32$"):
        built("int8:rescore=float16", np.full((2, 4), 1e6, np.float32), metric="dot")
    assert list(folder.iterdir()) == []


def test_nothing_but_the_files_of_the_kind_is_left(folder):
    for kind, files in {
        "int8": ["codes.faiss", "vectors.npy"],
        "int8:rescore=float16": ["codes.faiss", "vectors.npy"],
        "int8:rescore=none": ["codes.faiss"],
        "binary:rescore=none": ["codes.faiss"],
    }.items():
        built(kind, name=f"{kind}.idx")
        left = sorted(path.name for path in (folder / f"{kind}.idx/segments/00000").iterdir())
        assert left == sorted([*files, "documents"])


@pytest.mark.parametrize("kind", ["binary", "binary:rescore=none", "int8", "int8:rescore=float16"])
def test_nothing_to_index_is_refused(folder, kind):
    with pytest.raises(DataError, match=r"^there is nothing to index$"):
        build_index("x.idx", VectorMeta(4), [], kind=kind)
    assert list(folder.iterdir()) == []


def test_signs_refuse_dot_products_without_vectors(folder):
    with pytest.raises(
        UsageError,
        match=r"^sign codes store angles and no lengths, so they cannot score dot products; use `metric",
    ):
        built("binary:rescore=none", metric="dot")


@pytest.mark.parametrize("setting", ["oversample=0", "oversample=-1"])
@pytest.mark.parametrize("kind", ["binary", "int8"])
def test_no_candidates_are_refused(folder, kind, setting):
    with pytest.raises(UsageError, match=r"oversample=.* is not positive$"):
        built(f"{kind}:{setting}")


def coded(dtype, rows=ROWS, identity=UNIT):
    writer = VectorSetWriter(Path("x.vec"), VectorMeta(rows.shape[1], identity, dtype), shard_rows=1024)
    for batch in batches(rows):
        writer.append(batch)
    return writer.finish()


@pytest.mark.parametrize(("dtype", "identity"), [("binary", UNIT), ("binary", None), ("int8", UNIT)])
def test_a_set_of_codes_is_indexed_as_it_is(folder, dtype, identity):
    made = coded(dtype, identity=identity)
    assert (default_kind(made.meta), takes_codes(made.meta, None, "cosine")) == (dtype, True)
    index = build_index("c.idx", made.meta, made.coded_batches(), coded=True)
    assert index.kind == f"{dtype}:rescore=none"
    floats = build_index("f.idx", VectorMeta(96, UNIT), batches(ROWS), kind=f"{dtype}:rescore=none")
    for one, other in zip(index.search(QUERIES, 10), floats.search(QUERIES, 10), strict=True):
        np.testing.assert_array_equal(one, other)
    assert index.segments[0].files == floats.segments[0].files


@pytest.mark.parametrize(
    ("dtype", "kind", "metric", "identity", "taken"),
    [
        ("binary", "binary", "cosine", UNIT, True),
        ("binary", "binary:oversample=9", "cosine", None, True),
        ("binary", "binary:rescore=none", "cosine", UNIT, True),
        ("binary", "binary:rescore=float32", "cosine", UNIT, False),  # asked for: queries stay floats
        ("binary", None, "dot", UNIT, False),
        ("binary", "int8", "cosine", UNIT, False),
        ("binary", "flat", "cosine", UNIT, False),
        ("int8", None, "cosine", None, False),  # of any length
        ("int8", None, "dot", None, True),
        ("float32", None, "cosine", UNIT, False),
    ],
)
def test_codes_are_taken_where_nothing_is_lost(dtype, kind, metric, identity, taken):
    meta = VectorMeta(96, identity, dtype)
    assert takes_codes(meta, kind, metric) is taken


class Watched:
    """Rows that note which of them are read."""

    def __init__(self, rows):
        self.rows, self.read = rows, set()

    def __getitem__(self, places):
        self.read.update(np.asarray(places).tolist())
        return self.rows[places]


@pytest.mark.parametrize("kind", ["binary", "int8"])
def test_a_search_reads_only_the_vectors_it_scores(folder, kind):
    (segment,) = built(kind).segments
    assert isinstance(segment.opened.vectors, np.memmap)
    watched = Watched(segment.opened.vectors)
    segment.kind.search(segment.opened._replace(vectors=watched), QUERIES[:1], 5)
    assert len(watched.read) == 100


PEAK = """
import resource, sys
import numpy as np, pyarrow as pa
from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.indexing.building import build_index
def batches(rows):
    numbers = np.random.default_rng(0)
    for start in range(0, rows, 4000):
        ids = pa.table({"id": [str(start + row) for row in range(4000)]})
        yield Batch(ids, numbers.normal(size=(4000, 128)).astype(np.float32))
build_index(f"{sys.argv[2]}.idx", VectorMeta(128), batches(int(sys.argv[2])), kind=sys.argv[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["binary", "int8", "int8:rescore=none"])
def test_ten_times_the_rows_are_built_in_the_same_memory(folder, kind):
    def peak(rows):
        command = [sys.executable, "-c", PEAK, kind, str(rows)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(done.stdout)

    small, large = peak(40_000), peak(400_000)
    assert large <= 1.1 * small
