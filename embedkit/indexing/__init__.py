"""Vectors become an index, an index answers."""
