"""Training examples: which columns are read, in every layout, and what is refused."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embedkit.data.text.examples import read_examples, stream_pairs
from embedkit.data.text.records import TextFormat
from embedkit.errors import DataError, UsageError

TRIPLETS = [("a dog", "a hound", "a cat"), ("a car", "an auto", "a bus")]


def table(separator):
    rows = [("sent0", "sent1", "hard_neg"), *TRIPLETS]
    return "".join(separator.join(row) + "\n" for row in rows)


def put(name, content):
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", table("\t")),
        ("a.csv", table(",")),
        ("a.csv", "\ufeff" + table(",")),
        ("a.tsv.gz", gzip.compress(table("\t").encode(), mtime=0)),
        (
            "a.jsonl",
            "".join(
                f'{{"id": 1, "sent0": "{a}", "sent1": "{b}", "hard_neg": "{c}"}}\n' for a, b, c in TRIPLETS
            ),
        ),
    ],
)
def test_tables_have_a_column_a_view(folder, name, content):
    found = read_examples([put(name, content)])
    assert found.columns == ("sent0", "sent1", "hard_neg")
    assert found.rows == TRIPLETS


def test_parquet_too(folder):
    columns = list(zip(*TRIPLETS, strict=True))
    pq.write_table(pa.table({"anchor": columns[0], "score": [1, 2], "positive": columns[1]}), "a.parquet")
    found = read_examples(["a.parquet"])
    assert (found.columns, found.rows) == (("anchor", "positive"), [row[:2] for row in TRIPLETS])


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("a.txt", "one\n\ntwo\n", [("one",), ("two",)]),
        ("a.jsonl", '{"_id": "7", "title": "T", "text": "one", "lang": "en"}\n', [("T one",)]),
        ("a.csv", 'text,label\n"one, two",3\n', [("one, two",)]),
        ("a.csv", "sentence\none\n", [("one",)]),
        ("a.jsonl", '"one"\n"two"\n', [("one",), ("two",)]),
    ],
)
def test_text_alone_is_one_column(folder, name, content, rows):
    found = read_examples([put(name, content)])
    assert len(found.columns) == 1
    assert found.rows == rows


def test_blank_lines_are_counted(folder):
    assert read_examples([put("a.txt", "one\n\n\ntwo\n")]).blank == 2


def test_columns_can_be_named(folder):
    name = put("a.csv", "url,question,answer\nhttp://x,why,because\n")
    assert read_examples([name], columns=["question", "answer"]).rows == [("why", "because")]


def test_one_column_can_be_named(folder):
    assert read_examples([put("a.csv", "url,question\nu,why\n")], columns=["question"]).rows == [("why",)]


def test_files_follow_each_other(folder):
    put("b.tsv", "anchor\tpositive\thard\nx\ty\tz\n")
    assert read_examples([put("a.tsv", table("\t")), "b.tsv"]).rows == [*TRIPLETS, ("x", "y", "z")]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.txt", "", "a.txt: the input contains no text"),
        ("a.tsv", "", "a.tsv: the input contains no text"),
        ("a.tsv", "a\tb\nx\t\n", "a.tsv:2: column 'b' is empty; name the columns of text with `columns`"),
        (
            "a.jsonl",
            '{"a": "x", "b": "y"}\n{"a": "x", "b": 3}\n',
            "a.jsonl:2: column 'b' has 3 where text is expected; name the columns of text with `columns`",
        ),
        ("a.jsonl", '{"a": "x", "b": "y"}\n{"a": "x"}\n', "a.jsonl:2: has no column 'b'; it has a"),
        (
            "a.jsonl",
            '{"id": 1, "score": 2}\n',
            "a.jsonl: has no column of text; it has id, score",
        ),
        (
            "a.jsonl",
            "[1]\n",
            "a.jsonl:1: is a list, not a JSON object; write its elements as JSON lines, as jq -c '.[]' does",
        ),
    ],
)
def test_what_cannot_be_read_is_one_line(folder, name, content, line):
    with pytest.raises(DataError) as caught:
        read_examples([put(name, content)])
    assert str(caught.value) == line


def test_files_with_other_columns_are_refused(folder):
    put("b.txt", "one\n")
    with pytest.raises(DataError) as caught:
        read_examples([put("a.tsv", table("\t")), "b.txt"])
    assert (
        str(caught.value)
        == "b.txt: has sentences, and a.tsv has anchors and positives; train on one kind at a time"
    )


def test_unreadable_records_can_be_skipped(folder):
    name = put("a.jsonl", '{"a": "x", "b": "y"}\n{oops\n{"a": "p", "b": "q"}\n')
    found = read_examples([name], TextFormat(on_error="skip"))
    assert (found.rows, found.skipped) == ([("x", "y"), ("p", "q")], 1)


def test_the_named_field_of_ids_is_no_view(folder):
    put("a.csv", "key,anchor,positive\n7,a dog,a hound\n")
    assert read_examples(["a.csv"], TextFormat(id_field="key")).columns == ("anchor", "positive")


def test_a_header_that_is_no_csv_is_one_line(folder):
    put("a.csv", "anchor\rpositive\na dog,a hound\n")
    with pytest.raises(DataError, match=r"^a\.csv:1: is not CSV: new-line character"):
        read_examples(["a.csv"])


def chosen(name, content, **given):
    """Return what was chosen in a file, and the rows."""
    found = read_examples([put(name, content)], **given)
    (choice,) = found.choices
    return choice.columns, choice.others, found.rows


def test_the_index_and_the_numbers_of_pandas_are_not_trained_on(folder):
    import pandas as pd

    frame = pd.DataFrame(
        {"sent0": ["a dog", "a car"], "sent1": ["a hound", "an auto"], "overlap": [0.5, 0.25]}
    )
    columns, others, rows = chosen("a.csv", frame.to_csv())
    assert (columns, others) == (("sent0", "sent1"), ("", "overlap"))
    assert rows == list(zip(frame["sent0"], frame["sent1"], strict=True))


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("query,pos,neg", ("query", "pos", "neg")),
        ("Question,Answer,url", ("Question", "Answer")),
        ("negative,positive,anchor", ("anchor", "positive", "negative")),
        ("premise,hypothesis,label", ("premise", "hypothesis")),
        ("sentence_A,sentence_B,score", ("sentence_A", "sentence_B")),
        ("sent0,sent1,sent2", ("sent0", "sent1", "sent2")),
        ("negative_2,query,negative_1,positive", ("query", "positive", "negative_2", "negative_1")),
        ("text,positive,idx", ("text", "positive")),
        ("anchor,positive,neg_id", ("anchor", "positive")),
    ],
)
def test_columns_are_chosen_by_name_wherever_they_stand(folder, header, columns):
    names = header.split(",")
    cells = [[f"{name} of {row}" for name in names] for row in range(3)]
    content = "".join(",".join(row) + "\n" for row in [names, *cells])
    found, others, rows = chosen("a.csv", content)
    assert found == columns
    assert set(others) == set(names) - set(columns)
    assert rows == [tuple(row[names.index(name)] for name in columns) for row in cells]


def test_columns_of_other_names_are_not_guessed(folder):
    with pytest.raises(DataError) as caught:
        read_examples([put("a.csv", "url,ask,reply\nhttp://x,why not,because of it\n")])
    what, _, hint = str(caught.value).partition("; ")
    assert what == "a.csv: has no columns with common names for an anchor and a positive"
    assert hint.startswith("it has url, ask, reply; name them with `columns=ANCHOR,POSITIVE`")


def test_files_with_columns_in_another_order_are_joined_by_name(folder):
    put("b.tsv", "hard_neg\tpositive\tanchor\nz\ty\tx\n")
    assert read_examples([put("a.tsv", table("\t")), "b.tsv"]).rows == [*TRIPLETS, ("x", "y", "z")]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_lists_of_negatives_are_all_there_however_many(folder, suffix):
    lists = [["b"], ["c", "d", "e"], [], ["f", "g"]]
    lines = [
        {"query": f"q{n}", "pos": [f"p{n}"], "neg": found, "pos_scores": [0.5]}
        for n, found in enumerate(lists)
    ]
    if suffix == ".jsonl":
        put("a.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    else:
        pq.write_table(pa.Table.from_pylist(lines), "a.parquet")
    found = read_examples([f"a{suffix}"])
    assert found.columns == ("query", "pos", "neg")
    assert found.rows == [(f"q{n}", f"p{n}", *texts) for n, texts in enumerate(lists)]


def test_a_column_of_negatives_that_appears_late_is_not_dropped(folder):
    name = put(
        "a.jsonl", '{"anchor": "a", "positive": "b"}\n{"anchor": "c", "positive": "d", "negative": "e"}\n'
    )
    found = read_examples([name])
    assert found.columns == ("anchor", "positive", "negative")
    assert found.rows == [("a", "b"), ("c", "d", "e")]


def test_a_cell_without_a_negative_is_a_row_with_fewer(folder):
    _, _, rows = chosen("a.csv", "anchor,positive,negative_1,negative_2\na,b,,c\nd,e,f,\n")
    assert rows == [("a", "b", "c"), ("d", "e", "f")]


def test_each_positive_of_a_list_is_an_example(folder):
    _, _, rows = chosen("a.jsonl", '{"query": "a", "pos": ["b", "c"], "neg": ["d"]}\n')
    assert rows == [("a", "b", "d"), ("a", "c", "d")]


@pytest.mark.parametrize(("name", "separator"), [("a.tsv", "\t"), ("a.csv", ",")])
def test_without_a_header_the_first_line_is_trained_on_too(folder, name, separator):
    triplets = [("a dog runs on the grass", "a hound is running there", "nobody is outside today")] * 2
    found = read_examples([put(name, "".join(separator.join(row) + "\n" for row in triplets))])
    assert found.rows == triplets
    assert found.columns == ("column 1", "column 2", "column 3")
    assert str(found.choices[0]).startswith(f"{name}: no header; anchor = column 1, positive = column 2")


def test_a_number_in_a_file_without_a_header_is_no_anchor(folder):
    name = put("a.tsv", "1\ta dog runs on the grass\ta hound is running\n2\tb b b b\tc c c\n")
    with pytest.raises(
        DataError, match=r"^a\.tsv:1: has no header, and '1' in column 1 where text is expected"
    ):
        read_examples([name])


def test_a_header_that_comes_in_pieces_is_read_to_its_end(folder):
    import os
    import threading
    import time

    os.mkfifo("a.tsv")

    def write():
        with open("a.tsv", "wb", buffering=0) as pipe:
            for piece in (b"sent0\tsent1", b"\thard_neg\n", b"a\tb\tc\n"):
                pipe.write(piece)
                time.sleep(0.05)

    writer = threading.Thread(target=write)
    writer.start()
    found = read_examples(["a.tsv"])
    writer.join()
    assert found.rows == [("a", "b", "c")]


def test_one_column_of_text_beside_numbers_is_sentences(folder):
    columns, others, rows = chosen("a.csv", "idx,sentence,label\n7,a dog,x\n8,a car,y\n")
    assert (columns, others, rows) == (("sentence",), ("idx", "label"), [("a dog",), ("a car",)])


def test_named_columns_take_lists_too_and_say_what_is_left(folder):
    content = '{"ask": "a", "good": "b", "bad": ["c", "d"], "url": "u"}\n'
    columns, others, rows = chosen("a.jsonl", content, columns=["ask", "good", "bad"])
    assert (columns, others, rows) == (("ask", "good", "bad"), ("url",), [("a", "b", "c", "d")])


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("anchor,positive,negative\na b,c d,1\ne f,g h,0\n", ("anchor", "positive")),
        ("query,pos,neg,neg_2\na b,c d,0.5,x y\ne f,g h,,z\n", ("query", "pos", "neg_2")),
    ],
)
def test_numbers_under_the_name_of_negatives_are_not_trained_on(folder, content, columns):
    Path("a.csv").write_text(content)
    examples = read_examples(["a.csv"])
    assert examples.columns == columns
    (choice,) = examples.choices
    assert not set(choice.others) & set(columns)
    assert choice.others


def test_a_column_of_zeros_and_ones_named_positive_holds_no_texts(folder):
    Path("a.csv").write_text("sentence,positive\nlovely day,1\nawful day,0\n")
    line = "a.csv: column 'positive' has '1' where text is expected; name the columns of text with `columns`"
    with pytest.raises(DataError) as caught:
        read_examples(["a.csv"])
    assert str(caught.value) == line
    assert read_examples(["a.csv"], columns=["sentence"]).rows == [("lovely day",), ("awful day",)]


PAIRS = [
    ("a.tsv", table("\t")),
    ("a.csv", table(",")),
    ("a.csv", "what is a dog good for,a dog is a friend\nand a cat,a cat catches mice\n"),
    ("a.jsonl", '{"query": "q", "positive": ["a", "b"], "neg": ["n"]}\n{"query": "p", "positive": "c"}\n'),
    ("a.jsonl", '{"text": "q", "pos": "one"}\n\n{"text": "p", "pos": "two", "late": "column"}\n'),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content"), PAIRS)
@pytest.mark.parametrize("choosing", [1, 1000])
def test_streamed_pairs_are_those_of_the_examples(folder, monkeypatch, name, content, choosing):
    monkeypatch.setattr("embedkit.data.text.examples._CHOOSING_ROWS", choosing)
    put(name, content)
    expected = [(*row[:2], None) for row in read_examples([name]).rows]
    assert list(stream_pairs(name)) == expected


def test_streamed_pairs_say_what_a_column_besides_holds(folder):
    rows = [{"query": "a", "positive": "b", "positive_id": name} for name in ("d1", 2, None)]
    put("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows) + '{"query": "a", "positive": "b"}\n')
    assert [source for *_, source in stream_pairs("a.jsonl", None, "positive_id")] == ["d1", "2", None, None]


def test_a_bad_row_of_streamed_pairs_is_named_or_skipped(folder):
    pair, end = '{"query": "a", "positive": "b"}\n{"query": "a"}\n', '{"query": "c", "positive": "d"}\n'
    put("a.jsonl", pair + end)
    with pytest.raises(DataError, match=r"^a.jsonl:2: has no column 'positive'; "):
        list(stream_pairs("a.jsonl"))
    put("a.jsonl", f"{pair}[1]\n{end}")
    skipping = TextFormat(on_error="skip")
    assert [row[:2] for row in stream_pairs("a.jsonl", skipping)] == [("a", "b"), ("c", "d")]
    put("b.txt", "a sentence\n")
    with pytest.raises(UsageError, match=r"^b.txt: has sentences, expected an anchor and its positive$"):
        next(stream_pairs("b.txt"))
