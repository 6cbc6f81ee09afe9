"""Export of models and maps to other libraries: sentence-transformers, FAISS and torch."""
