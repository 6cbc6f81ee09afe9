"""Measure the geometry of vectors in one pass: directions, spectrum, hubs, and the agreement of two sets."""
