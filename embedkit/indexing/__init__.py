"""Indexes are built from vectors, changed and searched."""
