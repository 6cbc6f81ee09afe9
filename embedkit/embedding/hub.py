"""Models from the Hugging Face hub: download what loading reads, or find it in the hub's cache."""

from __future__ import annotations

from pathlib import Path

from embedkit.embedding.model_files import HUB_FIRST, hub_patterns
from embedkit.embedding.telemetry import silence
from embedkit.errors import ModelError, UnknownNameError


def download(name: str, *, allow_pickle: bool, fetch: bool = True) -> Path:
    """Return the folder of a hub model; downloads files that name others first, then all that are read."""
    silence()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
    )

    try:
        first = snapshot_download(name, allow_patterns=list(HUB_FIRST), local_files_only=not fetch)
        patterns = hub_patterns(Path(first), where=name, allow_pickle=allow_pickle)
        return Path(snapshot_download(name, allow_patterns=patterns, local_files_only=not fetch))
    except (
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        OSError,
        HfHubHTTPError,
        HFValidationError,
    ) as error:
        if "/" not in name:
            raise UnknownNameError(name, ["minilm", "e5", "hash"], what="model", where="`model`") from None
        raise ModelError(
            f"is neither a folder nor available from the hub ({type(error).__name__})",
            where=name,
            hint="name a local folder, or minilm or e5 with their packages installed",
        ) from None
