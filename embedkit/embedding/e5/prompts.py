"""The prompts of multilingual-e5, by role."""

from __future__ import annotations

PROMPTS = {"query": "query: ", "document": "passage: "}
