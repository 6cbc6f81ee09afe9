"""Collect and print what `embedkit info` shows about a path or a name."""
