"""Training of encoders on text; imported only by commands that train, because it imports torch."""
