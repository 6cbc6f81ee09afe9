"""Records in and out, vector sets on disk, and files that are written whole or not at all."""
