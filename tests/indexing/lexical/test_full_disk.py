"""A disk that is full while postings are written is one line with the file's name, and changes no index."""

import errno
import resource
from contextlib import contextmanager

import numpy as np
import pytest

from embedkit.data.vectors.vector_set import VectorMeta
from embedkit.indexing.building import build_index
from embedkit.indexing.edit import add, compact
from embedkit.indexing.lexical import postings_writing
from embedkit.indexing.store import Index

META = VectorMeta(8)


@contextmanager
def files_limited(size):
    """Let no file grow beyond `size` bytes."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def more(batch):
    """Documents with more postings than text."""
    rng = np.random.default_rng(0)
    return [
        batch({f"{part}-{row}": " ".join(f"w{n}" for n in rng.integers(0, 99, 200)) for row in range(20)})
        for part in range(4)
    ]


@pytest.mark.parametrize("run", [1 << 20, 5000])
def test_a_full_disk_while_documents_are_added_changes_nothing(folder, batch, monkeypatch, more, run):
    monkeypatch.setattr(postings_writing, "RUN_TERMS", run)
    build_index("x.idx", META, [batch({"a": "one"})])
    before, errors = files(folder / "x.idx"), []
    for size in np.geomspace(2000, 1_000_000, 40).astype(int).tolist():
        try:
            with files_limited(size):
                add("x.idx", META, more)
        except OSError as error:
            errors.append(error)
            assert files(folder / "x.idx") == before
            assert not list(folder.rglob(".runs"))
        else:
            break
    named = [str(error.filename) for error in errors]
    assert {error.errno for error in errors} == {errno.EFBIG}
    assert any(name.endswith("lexical.safetensors") for name in named), named
    assert any(".runs" in name for name in named) == (run == 5000)
    assert Index.open("x.idx").rows == 81
    assert compact("x.idx").lexical.scores(["one"]).any()


def test_a_full_disk_while_an_index_is_built_leaves_none(folder, more):
    for size in (20_000, 40_000, 60_000):
        with pytest.raises(OSError, match="File too large"), files_limited(size):
            build_index("x.idx", META, more)
        assert list(folder.iterdir()) == []
