"""The models in the hub's cache on this machine; importing this file loads nothing else."""

from __future__ import annotations

import os
from pathlib import Path


def cached_models() -> list[str]:
    """Return the ids of the models in the hub's cache, without a request to the hub."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    folder = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()
    return sorted(
        path.name.removeprefix("models--").replace("--", "/")
        for path in folder.glob("models--*")
        if any(path.glob("snapshots/*/config.json")) or any(path.glob("snapshots/*/modules.json"))
    )
