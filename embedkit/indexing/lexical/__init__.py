"""Lexical search: terms of the documents' texts, postings per segment, BM25, and its fusion with vectors."""
