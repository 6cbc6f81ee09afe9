"""Folders of files as a source of records: walking, reading, and dividing into passages."""
