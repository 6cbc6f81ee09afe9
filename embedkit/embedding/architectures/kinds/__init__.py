"""Kinds of architectures, one per file."""
