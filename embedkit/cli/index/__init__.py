"""What the index commands share: queries, plans and their tables."""
