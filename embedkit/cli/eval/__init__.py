"""Shared code of the evaluation commands: systems to compare, tables and JSON of results, protocols."""
