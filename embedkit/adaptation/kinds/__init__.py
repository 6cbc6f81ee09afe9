"""Methods that make training pairs of documents without labels, one per file."""
