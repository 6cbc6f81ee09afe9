"""Index kinds, one a file: frozen settings that are a `Kind` (indexing/kind.py)."""
