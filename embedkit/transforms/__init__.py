"""Transform kinds and their fitting: one kind per file, and every fitted map is an affine map."""
