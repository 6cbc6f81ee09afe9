"""Building of an index of folders, which `sync` then follows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embedkit.data.folders.folder_settings import FolderSettings
from embedkit.data.inputs import open_text
from embedkit.data.text.records import TextFormat
from embedkit.data.vectors.shards import SHARD_ROWS
from embedkit.embedding.encoder import Encoder
from embedkit.embedding.encoding import describe, encode_batches, require_some
from embedkit.embedding.tokenizer_places import divide_by_tokens
from embedkit.errors import DataError
from embedkit.indexing.building import build_index
from embedkit.indexing.store import Index


def index_folders(
    path: str | Path,
    folders: Sequence[str],
    encoder: Encoder,
    settings: FolderSettings | None = None,
    **how: Any,
) -> Index:
    """Build an index of the passages of all files below some folders.

    `how` is passed to `build_index`: `kind`, `metric`, `lexical`. Files that cannot be read are named in
    warnings. Raises DataError for a name that is not a folder, or folders without any text.

    >>> index_folders("docs.idx", ["docs"], load("minilm"), FolderSettings(chunk=128))
    """
    for folder in folders:
        if not Path(folder).is_dir():
            raise DataError("no such folder", where=folder)
    with open_text(list(folders), TextFormat(folders=settings or FolderSettings())) as reader:
        assert reader.folders is not None
        divide_by_tokens(reader, encoder)
        batches = require_some(encode_batches(encoder, reader, block=SHARD_ROWS), reader)
        return build_index(path, describe(encoder), batches, states=reader.folders.states, **how)
