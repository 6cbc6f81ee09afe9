"""The folder for data that embedkit can always recreate: `EMBEDKIT_CACHE`, or the platform's cache folder."""

import os
from pathlib import Path


def cache_folder(room: str) -> Path:
    """Return the path of a subfolder of the cache (`compiled`, `demo`), which may not exist yet."""
    if named := os.environ.get("EMBEDKIT_CACHE"):
        return Path(named).expanduser() / room
    from platformdirs import user_cache_path

    return user_cache_path("embedkit", appauthor=False) / room
