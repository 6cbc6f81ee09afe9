"""Answers scored: figures with their intervals, and choices made on labelled data."""
