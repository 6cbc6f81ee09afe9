"""Losses turn matrices into one number. Each file holds one kind; no loss depends on a model."""
