"""Pretraining: an encoder from nothing but text, by predicting masked words."""
