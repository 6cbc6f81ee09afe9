"""Plots of evaluations, in a light and a dark theme."""
