"""Draw plots of evaluations, in a light and a dark theme."""
