"""Maps: vectors become other vectors. One kind a file; every fitted map is an affine map."""
