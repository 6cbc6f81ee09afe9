"""Vectors leave and come in by every door as they were; what is faulty is named by its place."""

import gzip
import io
import sys
from decimal import Decimal
from functools import partial
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pytest
from pyarrow import parquet

from embedkit.data.affine import AffineMap
from embedkit.data.inputs import open_input, open_vectors
from embedkit.data.text.record import Record
from embedkit.data.text.records import RecordReader, TextFormat
from embedkit.data.vectors import tables
from embedkit.data.vectors.vector_files import export, is_file_output, write_arrow_stream, write_jsonl
from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.data.vectors.vector_set_writing import VectorSetWriter
from embedkit.embedding.loading import load
from embedkit.errors import EmbedkitError, UsageError

IDENTITY = load("hash:dim=3").identity
META = VectorMeta(3, IDENTITY, map=AffineMap(np.eye(3), np.zeros(3), {"spec": "example"}))
ROWS = [Record(f"é {n}", f"text {n}", {"n": n, "any": [n, "x"]}) for n in range(10)]
VECTORS = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)


def one_set(meta=META):
    writer = VectorSetWriter(Path("x.vec"), meta, force=True, shard_rows=4)
    writer.append(Batch(tables.to_table(ROWS), VECTORS))
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
        (saved(VECTORS)[:-1], "y.npy: is truncated: its header declares 10 vectors"),
        (saved(VECTORS)[:20], "y.npy: is truncated, or not an npy file: "),
        (b"text", "y.npy: is truncated, or not an npy file: "),
        (saved(VECTORS[0]), "y.npy: holds float32 of shape (3,), not rows of vectors"),
        (saved(np.eye(3, dtype=int)), "y.npy: holds int64 of shape (3, 3), not rows of vectors"),
        (
            saved(np.asfortranarray(VECTORS)),
            "y.npy: is stored column by column; save it through numpy.ascontiguousarray",
        ),
        (saved(np.array([[1.0], [np.nan]])), "y.npy:2: the vector is not finite"),
        (saved(np.array([[1.0], [1e300]])), "y.npy:2: the vector is not finite"),
    ],
)
def test_a_faulty_npy_file_is_refused(folder, data, message):
    assert refusal("y.npy", data).startswith(message)


@pytest.mark.parametrize("known", [True, False], ids=["file", "gzip"])
def test_an_npy_file_of_more_vectors_than_its_header_names_is_refused(folder, known):
    data = saved(VECTORS) + b"\0" * 12
    name = "y.npy" if known else "y.npy.gz"
    message = refusal(name, data if known else gzip.compress(data))
    assert message.startswith(f"{name}: is longer than the 10 vectors that its header declares; ")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"id": null}', ":2: field 'id' is neither text nor a whole number"),
        (b'{"id": 1.5}', ":2: field 'id' is neither text nor a whole number"),
        (b'{"id": true}', ":2: field 'id' is neither text nor a whole number"),
        (b'{"id": ["x"]}', ":2: field 'id' is neither text nor a whole number"),
        (b'{"id": {"a": 1}}', ":2: field 'id' is neither text nor a whole number"),
        (b"{}", ":2: has no id"),
        (b"", ":2: the line is blank, expected an id"),
        (b"  ", ":2: the line is blank, expected an id"),
        (b"[]", ":2: is a list, not a JSON object"),
        (b'{"id": "b"}\n{"id": "c"}', ": has 4 ids for 3 vectors"),
    ],
)
def test_an_id_beside_an_npy_file_is_text_or_a_whole_number_on_each_line(folder, line, message):
    (folder / "y.npy.ids.jsonl").write_bytes(b'{"id": 7}\n' + line + b'\n{"id": "z"}\n')
    assert refusal("y.npy", saved(VECTORS[:3])).startswith(f"y.npy.ids.jsonl{message}")


def test_ids_that_do_not_go_with_the_npy_file_are_refused(folder):
    (folder / "y.npy.ids.jsonl").write_bytes(b'{"id": "a"}\n')
    assert refusal("y.npy", saved(VECTORS)) == "y.npy.ids.jsonl: has 1 ids for 10 vectors"


JSON_LINE = partial(orjson.dumps, option=orjson.OPT_APPEND_NEWLINE)
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
        (b'{"vector": [1]}', "the vector has 1 dimensions, earlier vectors have 2"),
        (b'{"vector": [1, NaN]}', "is not JSON"),
        (b'{"id": null, "vector": [1, 2]}', "field 'id' is neither text nor a whole number"),
        (b'{"text": [], "vector": [1, 2]}', "field 'text' is neither text nor a whole number"),
    ],
)
def test_a_faulty_json_vector_is_refused_by_its_line(folder, line, message):
    assert refusal("y.jsonl", GOOD + b"\n" + line).startswith(f"y.jsonl:3: {message}")


@pytest.mark.parametrize("place", [1, 3, 5000, 9000])
def test_a_text_is_kept_wherever_the_first_one_comes(folder, place):
    lines = [{"id": str(n), "vector": [n, 1]} for n in range(9000)]
    lines[place - 1]["text"] = "a text"
    (folder / "y.jsonl").write_bytes(b"".join(map(JSON_LINE, lines)))
    meta, rows, _ = content("y.jsonl")
    assert meta.has_text
    assert [row["text"] for row in rows] == [line.get("text", "") for line in lines]


@pytest.mark.parametrize("texts", [(None, "b"), ("a", None), (None, None)])
def test_a_null_text_is_no_text(folder, texts):
    data = b"".join(JSON_LINE({"text": text, "vector": [1, 2]}) for text in texts)
    (folder / "y.jsonl").write_bytes(data)
    meta, rows, _ = content("y.jsonl")
    assert meta.has_text == any(texts)
    assert [row.get("text", "") for row in rows] == [text or "" for text in texts]


def test_a_text_behind_thousands_of_lines_without_one_is_refused_from_a_pipe(folder, monkeypatch):
    lines = [{"vector": [n, 1]} for n in range(9000)]
    lines[8000]["text"] = "a text"
    data = b"".join(map(JSON_LINE, lines))
    with io.TextIOWrapper(io.BufferedReader(io.BytesIO(data))) as stand_in:
        monkeypatch.setattr(sys, "stdin", stand_in)
        assert (
            refusal("-") == "-:8001: has a text, but the first lines have none; name a file instead of a pipe"
        )


def test_the_word_text_elsewhere_in_a_line_is_no_text(folder):
    data = b'{"vector": [1, 2], "title": "text", "tags": {"text": 1}}\n'
    (folder / "y.jsonl").write_bytes(data)
    assert not content("y.jsonl")[0].has_text


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


def save(what, name="y.parquet"):
    if name.endswith(".parquet"):
        parquet.write_table(what, name)
    else:
        with pa.ipc.new_file(name, what.schema) as writer:
            writer.write_table(what)


def save_parquet(what, **options):
    parquet.write_table(what, "y.parquet", **options)


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float64()),
        pa.large_list(pa.float16()),
        pa.list_(pa.int8(), 2),
        pa.list_(pa.uint64()),
        pa.list_(pa.decimal128(9, 3)),
        pa.list_(pa.decimal256(50, 3), 2),
    ],
    ids=str,
)
def test_every_kind_of_numeric_list_is_vectors(folder, kind):
    save_parquet(table([[1, 2], [3, 4]], kind))
    np.testing.assert_array_equal(content("y.parquet")[2], [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    "vectors",
    [
        pa.array([["a"]]),
        pa.array([[True]]),
        pa.array([[[1.0]]]),
        pa.array(["a"]),
        pa.array([True]),
        pa.array([1.5]),
        pa.array([[]]),
        pa.array([b"1234"]),
        pa.array([{"x": 1.0}]),
    ],
    ids=lambda vectors: str(vectors.type),
)
@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_a_vector_column_that_is_no_lists_of_numbers_is_not_replaced_by_encoding_the_text(
    folder, vectors, ending
):
    save(pa.table({"text": ["a"], "vector": vectors}), f"y.{ending}")
    found = f"y.{ending}: column 'vector' is {pa.table([vectors], names=['x']).schema.field(0).type}, "
    assert refusal(f"y.{ending}").replace("element:", "item:").startswith(found)


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_a_vector_column_of_nulls_alone_is_text(folder, ending):
    save(pa.table({"text": ["a"], "vector": pa.array([None])}), f"y.{ending}")
    with open_input([f"y.{ending}"], TextFormat()) as source:
        assert isinstance(source, RecordReader)
        assert [record.text for record in source] == ["a"]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (None, "y.parquet:9001: has no vector"),
        ([1.0, float("nan")], "y.parquet:9001: the vector is not finite"),
        ([1.0, None], "y.parquet:9001: the vector is not finite"),
        ([1e300, 1.0], "y.parquet:9001: the vector is not finite"),
        ([1.0], "y.parquet: vectors have 1 and 2 dimensions, expected 2"),
        ([], "y.parquet:9001: the vector has no dimensions, expected at least one"),
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


def test_a_damaged_map_in_a_file_is_one_line(folder):
    export(one_set(), Path("y.parquet"))
    whole = parquet.read_table("y.parquet")
    metadata = {**whole.schema.metadata, b"embedkit-map": b"a map"}
    save_parquet(whole.replace_schema_metadata(metadata))
    assert refusal("y.parquet").startswith("the map in y.parquet: is truncated, or not a map file: ")


@pytest.mark.parametrize("annotation", [b"{", b"[]", b"{}"])
def test_a_damaged_annotation_is_one_line(folder, annotation):
    save_parquet(table([[1.0]], pa.list_(pa.float32())).replace_schema_metadata({b"embedkit": annotation}))
    assert refusal("y.parquet").startswith("y.parquet: its description of the vectors is damaged: ")


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float32(), 0)], ids=str)
def test_vectors_of_no_columns_are_refused(folder, kind):
    save(table([[], []], kind), "y.arrow")
    assert refusal("y.arrow") == "y.arrow:1: the vector has no dimensions, expected at least one"


def test_decimal_vectors_are_the_numbers_that_numpy_makes_of_them(folder):
    numbers = [[Decimal("0.1"), Decimal("-12345678901234567890.25")], [Decimal("3"), Decimal("1e-9")]]
    save(table(numbers, pa.list_(pa.decimal128(38, 9))), "y.arrow")
    np.testing.assert_array_equal(content("y.arrow")[2], np.array(numbers, dtype=np.float32))


@pytest.mark.parametrize("name", ["id", "a", "vector"])
def test_two_columns_of_one_name_are_refused(folder, name):
    columns = {"id": pa.array(["a"]), "a": pa.array([1]), "vector": pa.array([[1.0]])}
    names = [*columns, name]
    save(pa.Table.from_arrays([columns[column] for column in names], names), "y.arrow")
    assert refusal("y.arrow").startswith(f"y.arrow: has more than one column {name!r}")


def test_dictionaries_of_a_table_are_decoded(folder):
    words = pa.array(["en", "de"]).dictionary_encode()
    nested = pa.array([["a"], []], pa.list_(pa.string())).cast(
        pa.list_(pa.dictionary(pa.int32(), pa.string()))
    )
    save(table([[1.0], [2.0]], pa.list_(pa.float32()), lang=words, tags=nested), "y.arrow")
    with open_vectors("y.arrow") as source:
        (batch,) = source
    assert batch.table.schema.types == [pa.string(), pa.string(), pa.list_(pa.string())]


@pytest.mark.parametrize("behind", [b"junk", None], ids=["junk", "another stream"])
def test_an_arrow_stream_that_goes_on_behind_its_end_is_not_half_read(folder, behind):
    whole = table([[1.0, 2.0]], pa.list_(pa.float32()))
    with pa.ipc.new_stream("y.arrows", whole.schema) as writer:
        writer.write_table(whole)
    data = Path("y.arrows").read_bytes()
    assert refusal("y.arrows", data + (behind or data)).startswith(
        "y.arrows: continues after the end mark of its arrow stream; "
    )


def test_a_table_without_rows_is_refused(folder):
    save_parquet(table([], pa.list_(pa.float32())))
    assert refusal("y.parquet") == "y.parquet: contains no vectors"


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
