"""Corpora beyond one machine: units of work settled beforehand, spread over a Ray cluster, put together."""
