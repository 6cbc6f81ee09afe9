"""Where embedkit keeps what it can always make again: `EMBEDKIT_CACHE`, or the platform's cache folder."""

import os
from pathlib import Path


def cache_folder(room: str) -> Path:
    """Return a room of the cache (`models`, `demo`), made when it is not there yet."""
    from platformdirs import user_cache_path

    folder = Path(os.environ.get("EMBEDKIT_CACHE") or user_cache_path("embedkit")) / room
    folder.mkdir(parents=True, exist_ok=True)
    return folder
