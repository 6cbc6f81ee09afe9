"""What the evaluation commands share: the systems under comparison, tables and JSON of results, protocols."""
