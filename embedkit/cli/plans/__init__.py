"""What is asked of an index, and the plans that follow from it."""
