"""Render the results of evaluations as one HTML page: JSON -> sections -> HTML."""
