"""Index kinds, one a file: frozen settings with `build(...) -> faiss.Index`."""
