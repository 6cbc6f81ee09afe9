"""What `embedkit info` says of a path or a name."""
