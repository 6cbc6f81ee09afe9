"""Indexes measured: queries, what exact search finds for them, what the index finds of it, and how fast."""
