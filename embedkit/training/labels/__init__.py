"""Labels as targets: class vectors, where they begin, the margin they bear, labels held out."""
