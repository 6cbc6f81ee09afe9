"""Loss kinds, one per file: frozen settings that turn matrices into one number."""
