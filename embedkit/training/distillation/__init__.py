"""Distillation of an encoder into a static one: token vectors fitted on the encoder's vectors of a corpus."""
