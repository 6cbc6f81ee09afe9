"""Vectors leave and come in by every door as they were; what is faulty is named by its place."""

import io
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from embedkit.data import tables
from embedkit.data.inputs import open_vectors
from embedkit.data.records import Record
from embedkit.data.vector_files import export, is_file_output, write_arrow_stream, write_jsonl
from embedkit.data.vectors import Batch, VectorMeta, VectorSetWriter
from embedkit.embedding.encoder import load
from embedkit.errors import EmbedkitError, UsageError

IDENTITY = load("hash:dim=3").identity
META = VectorMeta(3, IDENTITY, map_file=b"a map")
ROWS = [Record(f"é {n}", f"text {n}", {"n": n, "any": [n, "x"]}) for n in range(10)]
VECTORS = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)


def one_set(meta=META):
    writer = VectorSetWriter(Path("x.vec"), meta, force=True, shard_rows=4)
    writer.write(Batch(tables.to_table(ROWS), VECTORS))
    return writer.finish()


def content(name):
    """What is known of an input, its rows and its vectors."""
    with open_vectors(name) as source:
        parts = list(source)
        rows = [row for table, _ in parts for row in tables.to_rows(table)]
        return source.meta, rows, np.concatenate([vectors for _, vectors in parts])


def refusal(name, data=None):
    if data is not None:
        Path(name).write_bytes(data)
    with pytest.raises(EmbedkitError) as caught:
        content(name)
    return str(caught.value)


@pytest.mark.parametrize("name", ["y.npy", "y.parquet", "y.arrow", "y.jsonl"])
def test_what_is_exported_reads_back_equal(folder, name):
    export(one_set(), Path(name))
    meta, rows, vectors = content(name)
    np.testing.assert_array_equal(vectors, VECTORS)
    text = {} if name == "y.npy" else {"text": "text 9"}
    assert rows[9] == {"id": "é 9", **text, "n": 9, "any": [9, "x"]}
    assert [row["id"] for row in rows] == [record.id for record in ROWS]
    if name in ("y.parquet", "y.arrow"):
        assert meta == META


def test_halves_stay_halves_in_files(folder):
    export(one_set(VectorMeta(3, dtype="float16")), Path("y.npy"))
    assert np.load("y.npy").dtype == np.float16


def test_numpy_and_pyarrow_read_the_files_themselves(folder):
    for name in ("y.npy", "y.parquet"):
        export(one_set(), Path(name))
    np.testing.assert_array_equal(np.load("y.npy"), VECTORS)
    np.testing.assert_array_equal(np.stack(parquet.read_table("y.parquet")["vector"].to_numpy()), VECTORS)


def test_an_arrow_stream_reads_back_equal(folder):
    with open("y.arrows", "wb") as file:
        write_arrow_stream(META, one_set(), file)
    meta, rows, vectors = content("y.arrows")
    np.testing.assert_array_equal(vectors, VECTORS)
    assert (meta, rows[9]["any"]) == (META, [9, "x"])


def test_an_arrow_stream_refuses_fields_that_change(folder):
    parts = [
        Batch(tables.to_table([Record(id, "", {"x": value})]), VECTORS[:1])
        for id, value in (("a", 1), ("b", "c"))
    ]
    with pytest.raises(EmbedkitError, match=r"^field types change at id 'b'"):
        write_arrow_stream(META, parts, io.BytesIO())


def test_jsonl_is_one_object_a_row(folder):
    out = io.BytesIO()
    write_jsonl([Batch(tables.to_table([Record("a", "b", {})]), np.array([[1, 0.5]], np.float32))], out)
    assert out.getvalue() == b'{"id":"a","vector":[1.0,0.5],"text":"b"}\n'


@pytest.mark.parametrize("compressed", [False, True])
def test_npy_comes_through_pipes_and_compression(folder, monkeypatch, compressed):
    file = io.BytesIO()
    np.save(file, VECTORS.astype(float))
    data = pa.compress(file.getvalue(), codec="gzip", asbytes=True) if compressed else file.getvalue()
    with io.TextIOWrapper(io.BufferedReader(io.BytesIO(data))) as stand_in:
        monkeypatch.setattr(sys, "stdin", stand_in)
        _, rows, vectors = content("-")
    np.testing.assert_array_equal(vectors, VECTORS)
    assert rows[9] == {"id": "10"}


def saved(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (saved(VECTORS)[:-1], "y.npy: is cut short: it should hold 10 vectors"),
        (saved(VECTORS)[:20], "y.npy: is not a whole npy file: "),
        (b"text", "y.npy: is not a whole npy file: "),
        (saved(VECTORS[0]), "y.npy: holds float32 of shape (3,), not rows of vectors"),
        (saved(np.eye(3, dtype=int)), "y.npy: holds int64 of shape (3, 3), not rows of vectors"),
        (
            saved(np.asfortranarray(VECTORS)),
            "y.npy: is stored by columns; save numpy.ascontiguousarray of it",
        ),
        (saved(np.array([[1.0], [np.nan]])), "y.npy:2: the vector is not finite"),
        (saved(np.array([[1.0], [1e300]])), "y.npy:2: the vector is not finite"),
    ],
)
def test_a_faulty_npy_file_is_refused(folder, data, message):
    assert refusal("y.npy", data).startswith(message)


def test_ids_that_do_not_go_with_the_npy_file_are_refused(folder):
    (folder / "y.npy.ids.jsonl").write_bytes(b'{"id": "a"}\n')
    assert refusal("y.npy", saved(VECTORS)) == "y.npy.ids.jsonl: has 1 ids for 10 vectors"


GOOD = b'{"id": "a", "vector": [1, 2.5]}\n'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"id": "b"}', "has no vector"),
        (b'{"vector": null}', "has no vector"),
        (b'{"vector": []}', "has no vector"),
        (b'{"vector": 5}', "has no vector"),
        (b'{"vector": ["1", "2"]}', "has no vector"),
        (b'{"vector": [true, false]}', "has no vector"),
        (b'{"vector": [[1, 2]]}', "has no vector"),
        (b'{"vector": [1, null]}', "the vector is not finite"),
        (b'{"vector": [1, 1e300]}', "the vector is not finite"),
        (b'{"vector": [1]}', "the vector has 1 columns, those before it 2"),
        (b'{"vector": [1, NaN]}', "is not JSON"),
        (b'{"id": null, "vector": [1, 2]}', "field 'id' is neither text nor a whole number"),
        (b'{"text": [], "vector": [1, 2]}', "field 'text' is neither text nor a whole number"),
    ],
)
def test_a_faulty_json_vector_is_refused_by_its_line(folder, line, message):
    assert refusal("y.jsonl", GOOD + b"\n" + line).startswith(f"y.jsonl:3: {message}")


@pytest.mark.parametrize(
    "line",
    [
        b'{"text": "a", "tags": ["vector"]}',
        b'{"text": "a", "vector": null}',
        b'{"text": "a", "meta": {"vector": [1, 2]}}',
        b'{"text": "a", "near": [{"vector": [1, 2]}]}',
        b'{"text": "the \\"vector\\": [1"}',
    ],
)
def test_a_text_that_only_speaks_of_vectors_is_text(folder, line):
    assert refusal("y.jsonl", line).startswith("y.jsonl: holds text, not vectors")


def table(vectors, kind, **columns):
    rows = len(vectors)
    return pa.table({"id": [str(n) for n in range(rows)], **columns, "vector": pa.array(vectors, kind)})


def save_parquet(what, **options):
    parquet.write_table(what, "y.parquet", **options)


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float64()), pa.large_list(pa.float16()), pa.list_(pa.int8(), 2)]
)
def test_every_kind_of_numeric_list_is_vectors(folder, kind):
    save_parquet(table([[1, 2], [3, 4]], kind))
    np.testing.assert_array_equal(content("y.parquet")[2], [[1, 2], [3, 4]])


def test_lists_of_words_are_not_vectors(folder):
    save_parquet(table([["a"]], pa.list_(pa.string())))
    assert refusal("y.parquet") == "y.parquet: holds text, not vectors; embedkit encode makes vectors of it"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (None, "y.parquet:9001: has no vector"),
        ([1.0, float("nan")], "y.parquet:9001: the vector is not finite"),
        ([1.0, None], "y.parquet:9001: the vector is not finite"),
        ([1e300, 1.0], "y.parquet:9001: the vector is not finite"),
        ([1.0], "y.parquet: vectors have 1 and 2 columns, expected 2"),
    ],
)
def test_a_faulty_vector_of_a_table_is_refused_by_its_row(folder, bad, message):
    save_parquet(table([[1.0, 2.0]] * 9000 + [bad], pa.list_(pa.float64())))
    assert refusal("y.parquet") == message


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (pa.array([7, 8]), ["7", "8"]),
        (pa.array(["a", "b"], pa.large_string()), ["a", "b"]),
        (pa.array(["a", "b"], pa.string_view()), ["a", "b"]),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        (pa.array(["a", None]), "y.parquet:2: has no id"),
        (pa.array([0.5, 1]), "y.parquet: column 'id' is double, not text"),
    ],
)
def test_the_ids_of_a_table_are_words_or_whole_numbers(folder, ids, expected):
    save_parquet(pa.table({"id": ids, "vector": [[1.0], [2.0]]}))
    if isinstance(expected, str):
        assert refusal("y.parquet") == expected
    else:
        assert [row["id"] for row in content("y.parquet")[1]] == expected


def test_rows_without_ids_are_numbered_and_those_of_beir_are_understood(folder):
    save_parquet(pa.table({"vector": [[1.0], [2.0]]}))
    assert [row["id"] for row in content("y.parquet")[1]] == ["1", "2"]
    save_parquet(pa.table({"_id": ["a", "b"], "vector": [[1.0], [2.0]]}))
    assert content("y.parquet")[1] == [{"id": "a"}, {"id": "b"}]


def test_an_empty_batch_in_front_does_not_settle_the_width(folder):
    whole = table([[1.0, 2.0]], pa.list_(pa.float32()))
    with pa.ipc.new_stream("y.arrows", whole.schema) as writer:
        writer.write_batch(pa.record_batch([[], []], schema=whole.schema))
        writer.write_table(whole)
    meta, _, vectors = content("y.arrows")
    assert (meta.dimension, vectors.shape) == (2, (1, 2))


@pytest.mark.parametrize("annotation", [b"{", b"[]", b"{}"])
def test_a_damaged_annotation_is_one_line(folder, annotation):
    save_parquet(table([[1.0]], pa.list_(pa.float32())).replace_schema_metadata({b"embedkit": annotation}))
    assert refusal("y.parquet").startswith("y.parquet: what it says of its vectors is damaged: ")


def test_a_table_without_rows_is_refused(folder):
    save_parquet(table([], pa.list_(pa.float32())))
    assert refusal("y.parquet") == "y.parquet: holds no vectors"


@pytest.mark.parametrize("name", ["x.csv", "x.npz", "x.npy.gz", "x.safetensors"])
def test_a_name_that_asks_for_another_format_is_refused(name):
    with pytest.raises(
        UsageError, match=r"vectors are not written as \.(csv|npz|gz|safetensors); end the name in"
    ):
        is_file_output(Path(name))


@pytest.mark.parametrize(
    ("name", "file"), [("x.vec", False), ("x", False), ("x.npy", True), ("x.jsonl", True)]
)
def test_the_name_of_an_output_says_what_it_becomes(name, file):
    assert is_file_output(Path(name)) is file
