"""Training on labels: class vectors and their initial values, margins, held-out labels."""
