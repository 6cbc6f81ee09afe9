"""What every test may count on: no network, the same examples every run, a log nobody has redirected, a
folder of its own on request.
"""

import logging
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

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


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, so that names in messages are short and exact."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
