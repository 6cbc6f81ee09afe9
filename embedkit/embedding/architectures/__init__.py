"""Architectures: networks with random weights, to be trained from nothing, one kind per file in `kinds/`."""
