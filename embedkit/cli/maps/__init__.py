"""Shared code of the commands that fit maps."""
