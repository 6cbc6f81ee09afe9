"""Evaluate texts with labels: retrieval by label, and calibration of label probabilities."""
