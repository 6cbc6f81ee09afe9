"""Texts with labels: retrieval by label, and how sure a label is."""
