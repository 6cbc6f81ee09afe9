"""Several processes that train as one: rows gathered with gradient, decisions in common."""
