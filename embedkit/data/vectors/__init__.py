"""Vectors read and written: vector sets on disk, vector files of other formats, binary and int8 codes."""
