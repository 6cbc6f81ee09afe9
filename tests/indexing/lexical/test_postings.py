"""Postings are what plain dicts of the documents' terms hold, however they were divided into runs."""

import json

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from embedkit.errors import FormatError
from embedkit.indexing.lexical import postings_writing
from embedkit.indexing.lexical.analysis import Analysis
from embedkit.indexing.lexical.postings import POSTINGS, Postings
from embedkit.indexing.lexical.postings_writing import PostingsWriter
from embedkit.indexing.lexical.tensor_file import TensorWriter, open_tensors

ANALYSIS = Analysis("none")
WORDS = st.sampled_from(["a", "b", "cc", "é", "人", "人工", "工人智", "\0", "👍", "!", "zebra", "한국"])
TEXTS = st.lists(st.none() | st.lists(WORDS, max_size=8).map(" ".join), max_size=12)


def written(folder, batches, analysis=ANALYSIS):
    """Write postings of batches of texts, and open them; None without a file."""
    folder.mkdir(exist_ok=True)
    writer, rows = PostingsWriter(folder, analysis), 0
    for batch in batches:
        writer.append([str(rows + place) for place in range(len(batch))], batch)
        rows += len(batch)
    writer.finish()
    assert {path.name for path in folder.iterdir()} <= {POSTINGS}
    return Postings.open(folder, rows) if (folder / POSTINGS).exists() else None


def oracle(texts, analysis=ANALYSIS):
    """The places of each term: term -> row -> positions."""
    found = {}
    for row, text in enumerate(texts):
        for place, term in enumerate(analysis.document_terms(text or "")):
            found.setdefault(term, {}).setdefault(row, []).append(place)
    return found


def content(postings):
    """The same, of an opened file."""
    found = {}
    ends = {name: postings.arrays[name].tolist() for name in ("posting_ends", "position_ends")}
    for place in range(len(postings.terms)):
        rows, counts = (
            postings.arrays[name][
                ends["posting_ends"][place - 1] if place else 0 : ends["posting_ends"][place]
            ]
            for name in ("rows", "counts")
        )
        first = ends["position_ends"][place - 1] if place else 0
        positions = iter(postings.arrays["positions"][first : ends["position_ends"][place]].tolist())
        term = found[postings.terms[place].decode()] = {}
        for row, count in zip(rows.tolist(), counts.tolist(), strict=True):
            term[row] = [next(positions) for _ in range(count)]
        assert next(positions, None) is None
        assert list(term) == sorted(term)
    return found


@pytest.fixture
def small(monkeypatch):
    """Set how many terms are a run, and how many characters a group."""

    def set_sizes(run, group=1 << 20):
        monkeypatch.setattr(postings_writing, "RUN_TERMS", run)
        monkeypatch.setattr(postings_writing, "_GROUP", group)

    return set_sizes


@given(st.lists(TEXTS, max_size=5), st.sampled_from([1, 2, 5, 1000]), st.sampled_from([1, 7, 1000]))
def test_postings_are_those_of_plain_dicts(tmp_path_factory, small, batches, run, group):
    small(run, group)
    postings = written(tmp_path_factory.mktemp("postings"), batches)
    texts = [text for batch in batches for text in batch]
    expected = oracle(texts)
    if not expected:
        assert postings is None
        return
    assert content(postings) == expected
    assert [term.decode() for term in postings.terms] == sorted(expected)
    assert postings.lengths.tolist() == [len(ANALYSIS.document_terms(text or "")) for text in texts]


@given(st.lists(TEXTS, min_size=1, max_size=3), WORDS)
def test_occurrences_of_a_character_are_those_of_its_pairs(tmp_path_factory, small, batches, word):
    small(5)
    postings = written(tmp_path_factory.mktemp("postings"), [*batches, ["something"]])
    texts = [text for batch in batches for text in batch]
    (term, *_) = ANALYSIS.query_terms(word) or ["missing"]
    held = {}
    for row, text in enumerate(texts):
        for place, each in enumerate(ANALYSIS.document_terms(text or "")):
            if each == term or (term in ("人", "工") and each[0] == term):
                held.setdefault(row, []).append(place)
    found = postings.occurrences(term)
    assert dict(zip(found.rows.tolist(), found.counts.tolist(), strict=True)) == {
        row: len(places) for row, places in held.items()
    }
    pairs = sorted(zip(*(each.tolist() for each in postings.positions(term)), strict=True))
    assert pairs == [(row, place) for row, places in held.items() for place in places]


@pytest.mark.parametrize("run", [1, 3, 1 << 20])
@pytest.mark.parametrize(("length", "dtype"), [(255, "uint8"), (300, "uint16"), (70_000, "uint32")])
def test_counts_and_positions_are_as_wide_as_they_must_be(tmp_path, small, length, dtype, run):
    small(run)
    texts = ["a b", "a " * length, None, "c a"]
    postings = written(tmp_path, [texts[:2], texts[2:]])
    assert (postings.arrays["counts"].dtype, postings.arrays["positions"].dtype) == (dtype, dtype)
    assert postings.lengths.tolist() == [2, length, 0, 2]
    assert postings.occurrences("a").counts.tolist() == [1, length, 1]
    assert content(postings) == oracle(texts)


def test_the_same_bytes_are_written_with_any_runs_and_groups(tmp_path, small):
    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{n}" for n in rng.zipf(1.5, 20) % 50) for _ in range(60)]
    files = set()
    for run, group, step in [(1 << 20, 1 << 20, 60), (1, 1, 1), (7, 30, 3), (100, 5, 60)]:
        small(run, group)
        batches = [texts[start : start + step] for start in range(0, 60, step)]
        written(tmp_path / f"{run}", batches)
        files.add((tmp_path / f"{run}" / POSTINGS).read_bytes())
    assert len(files) == 1


@pytest.mark.parametrize(
    "text",
    ["人工智能" * 30, "abc\n" * 50, "e\u0301" * 90, "x" * 500, "a\u2028b " * 40, " " * 100 + "z", "ab " * 50],
)
@pytest.mark.parametrize("group", [1, 10, 64])
def test_a_text_longer_than_a_group_has_the_same_terms(tmp_path, small, text, group):
    small(20, group)
    texts = ["first", text, "last"]
    postings = written(tmp_path, [texts])
    assert content(postings) == oracle(texts)


@pytest.mark.parametrize("batches", [[], [[]], [[None, None]], [["", "!", "\0"], [None]]])
def test_no_file_is_written_without_terms(tmp_path, batches):
    assert written(tmp_path, batches) is None
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_read_by_the_safetensors_library(tmp_path):
    postings = written(tmp_path, [["a b a", "人工"], [None]])
    arrays = safetensors.numpy.load_file(tmp_path / POSTINGS)
    assert arrays.keys() == postings.arrays.keys()
    for name, array in arrays.items():
        assert array.dtype == postings.arrays[name].dtype
        np.testing.assert_array_equal(array, postings.arrays[name])
    with safetensors.safe_open(tmp_path / POSTINGS, "numpy") as file:
        assert file.metadata() == {"format": "embedkit-postings", "version": "1"}


def test_the_sample_has_the_smallest_keys_of_rows_with_terms(tmp_path, monkeypatch):
    monkeypatch.setattr(postings_writing, "SAMPLE_ROWS", 10)
    texts = [None if row % 3 == 0 else f"text {row}" for row in range(60)]
    whole = written(tmp_path / "all", [texts]).arrays
    parts = written(tmp_path / "parts", [texts[start : start + 7] for start in range(0, 60, 7)]).arrays
    assert len(whole["sample_rows"]) == 10
    assert all(row % 3 for row in whole["sample_rows"].tolist())
    assert whole["sample_keys"].tolist() == sorted(whole["sample_keys"].tolist())
    for name in ("sample_rows", "sample_keys"):
        np.testing.assert_array_equal(whole[name], parts[name])


@pytest.fixture
def file(tmp_path):
    """The path of a small postings file of two rows."""
    written(tmp_path, [["a b", "c"]])
    return tmp_path / POSTINGS


def test_another_number_of_rows_is_refused(file):
    with pytest.raises(FormatError, match="has 2 rows, expected 3"):
        Postings.open(file.parent, 3)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        b"\xff" * 100,
        b"\0" * 100,
        b"\2\0\0\0\0\0\0\0{}",
        b'\4\0\0\0\0\0\0\0"ab"',
        b"not a tensor file at all",
        safetensors.numpy.save({"a": np.zeros(3, np.uint8)}),
        safetensors.numpy.save({"a": np.zeros(3, np.float32)}, {"format": "other"}),
        safetensors.numpy.save({"a": np.zeros(3, np.uint8)}, {"format": "pt"}),
        safetensors.numpy.save(
            {"lengths": np.zeros(2, np.uint8)}, {"format": "embedkit-postings", "version": "2"}
        ),
        safetensors.numpy.save({"a": np.zeros(2, np.uint8)}, {"format": "embedkit-postings", "version": "1"}),
        safetensors.numpy.save(
            {"lengths": np.zeros(2, np.uint8)}, {"format": "embedkit-postings", "version": "1"}
        ),
        safetensors.numpy.save(
            {"a": np.zeros((2, 2), np.uint8)}, {"format": "embedkit-postings", "version": "1"}
        ),
    ],
)
def test_a_foreign_file_is_refused(file, content):
    file.write_bytes(content)
    with pytest.raises(FormatError) as caught:
        Postings.open(file.parent, 2)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_each_file_that_was_cut_is_refused(file):
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(FormatError):
            Postings.open(file.parent, 2)


def test_each_changed_byte_of_the_header_is_refused_or_changes_numbers_only(file):
    whole = file.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    for place in range(start):
        for bit in (0, 3, 6):
            changed = bytearray(whole)
            changed[place] ^= 1 << bit
            file.write_bytes(changed)
            try:
                postings = Postings.open(file.parent, 2)
                assert {name: len(array) for name, array in postings.arrays.items()}
            except FormatError:
                pass


def test_an_array_of_tensors_is_complete_or_the_file_is_not_finished(tmp_path):
    with (
        pytest.raises(AssertionError, match="not complete"),
        TensorWriter(tmp_path / "x", {"a": ("uint8", 3)}, {}) as file,
    ):
        file.append("a", np.zeros(2, np.uint8))


def test_pieces_of_arrays_are_written_in_any_order(tmp_path):
    sizes = {"a": ("uint8", 3), "b": ("uint64", 2), "c": ("uint16", 0)}
    with TensorWriter(tmp_path / "x", sizes, {"k": "v"}) as file:
        file.append("a", np.array([1, 2]))
        file.append("b", np.array([2**40]))
        file.append("a", np.array([3]))
        file.append("b", np.array([5]))
    metadata, arrays = open_tensors(tmp_path / "x")
    assert metadata == {"k": "v"}
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "a": [1, 2, 3],
        "b": [2**40, 5],
        "c": [],
    }
    header = (tmp_path / "x").read_bytes()[8:]
    assert json.JSONDecoder().raw_decode(header.decode("latin-1"))[0]["__metadata__"] == {"k": "v"}
