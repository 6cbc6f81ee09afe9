"""Where embedkit keeps what it can always make again: `EMBEDKIT_CACHE`, or the platform's cache folder."""

import os
from pathlib import Path


def cache_folder(room: str) -> Path:
    """Return the place of a room of the cache (`compiled`, `demo`); it may not be there yet."""
    if named := os.environ.get("EMBEDKIT_CACHE"):
        return Path(named).expanduser() / room
    from platformdirs import user_cache_path

    return user_cache_path("embedkit", appauthor=False) / room
