"""Evaluate vectors, rankings and indexes: measures with intervals, and settings chosen on labelled data."""
