"""Readers and one writer at the same time, in processes of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

from embedkit.indexing.building import build_index
from embedkit.indexing.store import Index

SCRIPT = Path(__file__).with_name("written_and_read.py")


def start(*arguments):
    return subprocess.Popen([sys.executable, SCRIPT, *arguments], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("seconds", [1, pytest.param(60, marks=pytest.mark.slow)])
def test_no_document_that_was_acknowledged_is_missing_while_a_writer_works(folder, docs, seconds):
    build_index("x.idx", *docs("a"))
    with start("write", str(seconds)) as writer, start("read") as one, start("read") as other:
        printed = [process.communicate()[0].split() for process in (writer, one, other)]
    assert [process.returncode for process in (writer, one, other)] == [0, 0, 0]
    for searches, generations in printed[1:]:
        assert int(searches) >= int(generations) > 1
    index = Index.open("x.idx")
    index.verify()
    there = {id for segment in index.segments for id in segment.ids().to_pylist()}
    assert there == {"a", *Path("there.txt").read_text().split()} - {*Path("gone.txt").read_text().split()}
