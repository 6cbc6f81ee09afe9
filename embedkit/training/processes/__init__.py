"""Training in several processes: shared gradients and common decisions."""
