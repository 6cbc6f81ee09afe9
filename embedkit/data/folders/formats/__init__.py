"""File formats: each file turns the content of one format into a document."""
