"""Shared code of the index commands: queries, plans and their tables."""
