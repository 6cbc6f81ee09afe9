"""Records in and out, vector sets on disk, and files that appear whole or not at all."""
