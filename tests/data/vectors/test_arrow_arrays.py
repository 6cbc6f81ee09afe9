"""Arrow arrays made of buffers equal those of `pyarrow.array`, and import no pandas."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.data.vectors import arrow_arrays
from embedkit.data.vectors.arrow_arrays import booleans, integers, numbers, strings, to_numpy


@pytest.fixture(autouse=True)
def no_pandas(monkeypatch):
    monkeypatch.delitem(sys.modules, "pandas", raising=False)


@given(values=st.lists(st.none() | st.text(st.characters(codec="utf-8"))), large=st.booleans())
def test_strings_are_those_of_pyarrow(values, large):
    found = strings(values, large=large)
    found.validate(full=True)
    assert found.equals(pa.array(values, pa.large_string() if large else pa.string()))


@given(values=st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)))
def test_integers_are_those_of_pyarrow(values):
    found = integers(values)
    found.validate(full=True)
    assert found.equals(pa.array(values, pa.int64()))


@pytest.mark.parametrize("kind", ["float32", "float16", "uint8", "int8", "uint64", "int32"])
@pytest.mark.parametrize("rows", [0, 1, 9])
def test_numbers_are_those_of_pyarrow_and_come_back(kind, rows):
    values = np.arange(2 * rows).astype(kind)[::2]
    found = numbers(values)
    assert found.equals(pa.array(values))
    np.testing.assert_array_equal(to_numpy(found), values)
    assert to_numpy(found).dtype == values.dtype


@given(st.lists(st.booleans()))
def test_booleans_are_those_of_pyarrow(values):
    assert booleans(np.array(values, dtype=bool)).equals(pa.array(values, pa.bool_()))


def test_what_does_not_fit_is_an_error():
    with pytest.raises(OverflowError):
        integers([2**63])
    with pytest.raises(UnicodeEncodeError):
        strings(["\ud800"])


def test_texts_too_long_for_short_offsets_are_left_to_pyarrow(monkeypatch):
    monkeypatch.setattr(arrow_arrays, "_LARGEST", 1)
    assert strings(["ab", None]).equals(pa.array(["ab", None]))


def test_a_sync_of_changed_files_imports_no_pandas(tmp_path):
    program = """
import os, sys
from embedkit import index_folders, load, sync
from pathlib import Path
encoder = load("hash:dim=8")
Path("in").mkdir()
Path("in/a.md").write_text("# A\\n\\none\\n")
Path("in/b.md").write_text("two " * 100_000)
index_folders("x.idx", ["in"], encoder)
Path("in/a.md").write_text("# A\\n\\nother\\n")
Path("in/b.md").write_text("two " * 90_000)
done = sync("x.idx", lambda: encoder)
print(done.changed, "pandas" in sys.modules)
"""
    command = [sys.executable, "-c", program]
    assert subprocess.check_output(command, cwd=tmp_path, text=True) == "2 False\n"
