"""Index kinds, one per file: frozen settings that implement `IndexKind` (indexing/kind.py)."""
