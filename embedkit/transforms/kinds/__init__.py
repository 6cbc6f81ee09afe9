"""Transform kinds, one per file: frozen settings that fit an affine map."""
