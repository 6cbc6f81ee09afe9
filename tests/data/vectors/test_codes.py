"""Codes keep what they promise: signs an angle, bytes a number to half a step; and they say what they are."""

from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from embedkit.data.inputs import open_input
from embedkit.data.text.record import Record
from embedkit.data.text.records import TextFormat
from embedkit.data.vectors import tables
from embedkit.data.vectors.codes import Int8Codes, SignCodes, calibrate, cosine_from_agreement, sign_cosines
from embedkit.data.vectors.slices import merge
from embedkit.data.vectors.vector_set import Batch, VectorMeta, VectorSet
from embedkit.data.vectors.vector_set_writing import VectorSetWriter
from embedkit.embedding.loading import load
from embedkit.errors import DataError, FormatError, MismatchError

NUMBERS = np.random.default_rng(5)
VECTORS = NUMBERS.normal(size=(10, 13)).astype(np.float32)
ROWS = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 6), st.integers(1, 20)),
    elements=st.floats(-(2.0**20), 2.0**20, width=32),
)


def written(dtype, vectors=VECTORS, path="x.vec", first=0, identity=None):
    rows = [Record(str(first + row), f"text {row}", {"n": row}) for row in range(len(vectors))]
    meta = VectorMeta(vectors.shape[1], identity, dtype)
    writer = VectorSetWriter(Path(path), meta, force=True, shard_rows=4)
    for start in range(0, len(rows), 3):
        writer.append(Batch(tables.to_table(rows[start : start + 3]), vectors[start : start + 3]))
    return writer.finish()


def all_vectors(made):
    return np.concatenate([vectors for _, vectors in made])


def all_codes(made):
    return np.concatenate([codes for _, codes in made.coded_batches()])


@given(vectors=ROWS)
def test_signs_are_those_of_the_numbers_and_have_unit_length(vectors):
    signs = SignCodes(vectors.shape[1])
    decoded = signs.decode(signs.encode(vectors))
    np.testing.assert_array_equal(decoded > 0, vectors > 0)
    np.testing.assert_allclose(np.linalg.norm(decoded.astype(float), axis=1), 1, rtol=1e-6)
    assert len(set(np.abs(decoded).ravel().tolist())) == 1


@pytest.mark.parametrize(("columns", "width", "padding"), [(1, 1, 7), (8, 1, 0), (9, 2, 7), (384, 48, 0)])
def test_signs_take_a_bit_a_column_and_say_what_lies_behind(columns, width, padding):
    signs = SignCodes(columns)
    codes = signs.encode(np.ones((2, columns), np.float32))
    assert codes.shape == (2, width)
    assert np.unpackbits(codes, axis=1).sum(axis=1).tolist() == [columns, columns]
    assert signs.to_json() == {"bits": columns, "bytes": width, "padding": padding}


def test_signs_are_the_bytes_of_sentence_transformers():
    from sentence_transformers.util.quantization import quantize_embeddings

    vectors = NUMBERS.normal(size=(20, 24)).astype(np.float32)
    np.testing.assert_array_equal(
        SignCodes(24).encode(vectors), quantize_embeddings(vectors, precision="ubinary")
    )


@given(vectors=ROWS)
def test_bytes_come_back_within_half_a_step(vectors):
    codes = calibrate([vectors])
    decoded = codes.decode(codes.encode(vectors)).astype(float)
    spans = vectors.max(axis=0).astype(float) - vectors.min(axis=0)
    assert (np.abs(decoded - vectors) <= spans / 510 + 1e-6 * np.abs(vectors)).all()
    np.testing.assert_array_equal(codes.encode(codes.decode(codes.encode(vectors))), codes.encode(vectors))


@given(vectors=ROWS, split=st.integers(0, 6))
def test_ranges_of_blocks_are_those_of_all_rows(vectors, split):
    codes = calibrate([vectors[:split], vectors[split:]])
    assert (codes.low, codes.high) == (
        tuple(vectors.min(axis=0).tolist()),
        tuple(vectors.max(axis=0).tolist()),
    )


def test_the_ends_of_a_range_are_the_ends_of_a_byte_and_what_lies_beyond_is_cut():
    codes = Int8Codes((-1.0, 5.0), (1.0, 5.0))
    rows = np.array([[-1, 5], [1, 5], [-9, 0], [9, 9]], np.float32)
    assert codes.encode(rows)[:, 0].tolist() == [-128, 127, -128, 127]
    np.testing.assert_allclose(codes.decode(codes.encode(rows))[:, 1], 5)  # a column of one value stays


def test_ranges_of_nothing_are_refused():
    with pytest.raises(DataError, match=r"^the input contains no vectors to take ranges from$"):
        calibrate([])


def pair_at(cosine, columns=32):
    """Two unit vectors, `(2, columns)`, at that cosine."""
    pair = np.zeros((2, columns))
    pair[0, 0], pair[1, 0], pair[1, 1] = 1, cosine, np.sqrt(1 - cosine**2)
    return pair


def projected_signs(pair, bits, seed):
    A = np.random.default_rng(seed).normal(size=(bits, pair.shape[1]))
    return SignCodes(bits).encode((pair @ A.T).astype(np.float32))


COSINES = [-0.9, -0.5, 0.0, 0.3, 0.6, 0.95]


@pytest.mark.parametrize("cosine", COSINES)
def test_the_cosine_is_recovered_from_enough_random_signs(cosine):
    codes = projected_signs(pair_at(cosine), 65536, seed=0)
    assert sign_cosines(codes, codes, 65536)[0, 1] == pytest.approx(cosine, abs=0.02)


@pytest.mark.parametrize("cosine", COSINES)
def test_random_signs_agree_by_the_angle_on_average(cosine):
    """E[cosine of signs] = 1 - 2 theta / pi, which is not the cosine."""
    found = []
    for seed in range(400):
        codes = projected_signs(pair_at(cosine), 256, seed)
        agreement = 1 - 2 * np.unpackbits(codes[0] ^ codes[1]).sum() / 256
        found.append(agreement)
    expected = 1 - 2 * np.arccos(cosine) / np.pi
    error = np.sqrt((1 - expected**2) / 256 / len(found))  # of the mean of as many independent signs
    assert np.mean(found) == pytest.approx(expected, abs=4 * error)
    assert cosine_from_agreement(expected) == pytest.approx(cosine)
    if cosine not in (0.0,):
        assert abs(expected - cosine) > 0.04


@pytest.mark.parametrize("dtype", ["binary", "int8"])
def test_a_set_of_codes_gives_their_rows_and_the_codes_themselves(folder, dtype):
    made = written(dtype)
    codes = SignCodes(13) if dtype == "binary" else calibrate([VECTORS])
    assert made.meta.codes == codes
    np.testing.assert_array_equal(all_vectors(made), codes.decode(codes.encode(VECTORS)))
    np.testing.assert_array_equal(all_codes(made), codes.encode(VECTORS))
    assert [row["n"] for table, _ in made for row in tables.to_rows(table)] == list(range(10))
    made.verify()
    assert [path.name for path in folder.iterdir()] == ["x.vec"]
    assert not (folder / "x.vec/journal.jsonl").exists()


def test_int8_ranges_are_those_of_all_shards(folder):
    vectors = VECTORS.copy()
    vectors[9] = 100  # in the last shard
    vectors[0] = -50
    assert written("int8", vectors).meta.ranges == Int8Codes((-50.0,) * 13, (100.0,) * 13)


@pytest.mark.parametrize(("dtype", "version"), [("float32", 1), ("float16", 1), ("binary", 2), ("int8", 2)])
def test_a_set_says_the_lowest_version_that_can_read_it(folder, dtype, version):
    written(dtype)
    assert orjson.loads((folder / "x.vec/meta.json").read_bytes())["version"] == version


def test_a_set_of_floats_has_no_codes(folder):
    with pytest.raises(MismatchError, match=r"^x.vec: stores float16, not codes$"):
        next(written("float16").coded_batches())


@pytest.mark.parametrize("dtype", ["binary", "int8"])
def test_codes_are_never_taken_for_numbers(folder, dtype):
    written(dtype)
    with (
        pytest.raises(DataError, match=r"^x.vec/part-00000.arrow: holds codes; name the folder"),
        open_input(["x.vec/part-00000.arrow"], TextFormat()),
    ):
        pass


@pytest.mark.parametrize(("dtype", "other"), [("binary", "int8"), ("int8", "binary"), ("binary", "float32")])
def test_a_shard_of_another_kind_is_refused(folder, dtype, other):
    made = written(dtype)
    written(other, path="y.vec")
    (folder / "x.vec/part-00000.arrow").write_bytes((folder / "y.vec/part-00000.arrow").read_bytes())
    with pytest.raises(FormatError, match=rf"^x.vec: expected {dtype} codes, found fixed_size_list"):
        list(made)


@pytest.mark.parametrize(
    "ranges",
    [
        {"low": [0.0] * 12, "high": [1.0] * 12},
        {"low": [2.0] * 13, "high": [1.0] * 13},
        {"low": [0.0] * 13, "high": [1.0] * 12},
        {"low": [0.0] * 13},
        None,
    ],
)
def test_damaged_ranges_are_one_line(folder, ranges):
    written("int8")
    meta = folder / "x.vec/meta.json"
    meta.write_bytes(orjson.dumps({**orjson.loads(meta.read_bytes()), "codes": ranges}))
    with pytest.raises(FormatError, match=r"^x.vec: meta.json is damaged: "):
        VectorSet.open("x.vec")


@pytest.mark.parametrize("dtype", ["binary", "int8"])
def test_a_run_goes_on_to_the_same_bytes(folder, dtype):
    written(dtype)
    rows = [Record(str(row), f"text {row}", {"n": row}) for row in range(10)]
    parts = [Batch(tables.to_table(rows[at]), VECTORS[at]) for at in (slice(0, 4), slice(4, 10))]
    with VectorSetWriter(Path("y.vec"), VectorMeta(13, dtype=dtype), shard_rows=4) as writer:
        writer.append(parts[0])
    writer = VectorSetWriter(Path("y.vec"), VectorMeta(13, dtype=dtype), shard_rows=4, resume=True)
    assert writer.sealed_rows == 4
    writer.append(parts[1])
    writer.finish()
    for name in ("part-00000.arrow", "part-00002.arrow"):
        one, other = (pa.ipc.open_file(f"{path}/{name}").read_all() for path in ("x.vec", "y.vec"))
        assert one.equals(other, check_metadata=True)
    assert sorted(path.name for path in folder.iterdir()) == ["x.vec", "y.vec"]


def test_int8_sets_of_other_ranges_are_not_merged(folder):
    one, two = written("int8", path="a.vec"), written("int8", VECTORS * 2, "b.vec", first=10)
    with pytest.raises(
        MismatchError, match=r"^b.vec: has int8 codes of other ranges than a.vec; merge the vectors"
    ):
        merge([one, two], Path("c.vec"))


def test_sets_of_signs_are_merged(folder):
    one, two = written("binary", path="a.vec"), written("binary", -VECTORS, "b.vec", first=10)
    merged = merge([one, two], Path("c.vec"))
    np.testing.assert_array_equal(all_vectors(merged)[10:], all_vectors(two))


@pytest.mark.parametrize("dtype", ["binary", "int8"])
@pytest.mark.parametrize("package", ["polars", "pandas", "duckdb"])
def test_other_programs_read_the_codes_as_they_are(folder, package, dtype):
    module = pytest.importorskip(package)
    codes = all_codes(written(dtype))[:4]
    file = "x.vec/part-00000.arrow"
    if package == "polars":
        found = module.read_ipc(file)["vector"].to_numpy()
    elif package == "pandas":
        found = np.stack(module.read_feather(file)["vector"])
    else:
        shard = pa.ipc.open_file(file).read_all()
        found = [row for (row,) in module.from_arrow(shard).project("vector").fetchall()]
    np.testing.assert_array_equal(np.asarray(found), codes)


def test_identity_stays_with_codes(folder):
    identity = load("hash:dim=13").identity
    assert written("binary", identity=identity).meta.identity == identity
