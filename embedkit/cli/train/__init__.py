"""Shared code of the training commands: options, progress, and runs in several processes."""
