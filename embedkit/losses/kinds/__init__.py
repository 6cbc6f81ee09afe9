"""Loss kinds, one per file: frozen dataclasses of settings that turn matrices into one number."""
