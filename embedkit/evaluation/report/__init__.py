"""What evaluations said, as one page to read: JSON -> sections -> HTML."""
