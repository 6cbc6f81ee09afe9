"""Losses: matrices in, one number out. One kind a file; none of them knows what a model is."""
