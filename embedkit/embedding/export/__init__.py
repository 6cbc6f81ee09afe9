"""Models and maps written for other libraries: sentence-transformers, FAISS and torch."""
