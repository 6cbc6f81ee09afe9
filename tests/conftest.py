"""What every test may count on: no network, the same examples every run, a log nobody has redirected, a
folder of its own on request.
"""

import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from embedkit.embedding import conversion_process
from embedkit.embedding.compiled import UnfitError
from embedkit.errors import ModelError

os.environ["HF_HUB_OFFLINE"] = "1"
# Kept from session to session: compiling a model takes seconds, and an entry says what it was made from.
os.environ["EMBEDKIT_CACHE"] = str(Path(tempfile.gettempdir()) / f"embedkit-tests-{os.getuid()}")

settings.register_profile(
    "embedkit",
    max_examples=60,
    deadline=None,  # machines that run tests are shared
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("embedkit")


@pytest.fixture(autouse=True)
def library_log() -> None:
    """The library's log as a program finds it, whatever commands were tested before."""
    logger = logging.getLogger("embedkit")
    logger.handlers, logger.propagate = [], True
    logger.setLevel(logging.NOTSET)


@pytest.fixture(autouse=True, scope="session")
def conversions_in_this_process() -> Iterator[None]:
    """Convert models where torch is already imported, which takes seconds in each process of its own."""

    def convert(*given: Any) -> None:
        from embedkit.embedding.conversion import convert_into

        try:
            convert_into(*given)
        except ModelError as error:
            raise UnfitError(error.what, where=error.where, hint=error.hint) from None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conversion_process, "convert_apart", convert)
        yield


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, so that names in messages are short and exact."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
