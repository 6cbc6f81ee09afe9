"""The model card of a model that embedkit made: its properties, its origin, and how to use it."""

from __future__ import annotations

from pathlib import Path

from embedkit.data.affine import AffineMap
from embedkit.data.identity import Identity
from embedkit.embedding.model_finding import HUB_IDS

_CARD = """---
library_name: {library}
pipeline_tag: sentence-similarity
tags:
- sentence-transformers
- sentence-similarity
- feature-extraction
- embedkit
{base_model}---

# {title}

A {kind} that turns a text into a vector of {dimension}
dimensions{unit}. It was {how}.

| | |
|---|---|
{facts}

```python
{load}
vectors = model.encode(["one text", "another"])  # (2, {dimension})
```

In the shell: `embedkit encode -m path/to/this/folder docs.jsonl -o docs.vec`. How it was made, exactly, is in
`embedkit.json`.
"""
_PLAIN = {
    "library": "sentence-transformers",
    "kind": "[sentence-transformers](https://www.sbert.net) model",
    "load": "from sentence_transformers import SentenceTransformer\n\n"
    'model = SentenceTransformer("path/to/this/folder")',
}
_OWN = {  # of a network that only embedkit has
    "library": "embedkit",
    "kind": "model of embedkit's own architecture",
    "load": 'import embedkit\n\nmodel = embedkit.load("path/to/this/folder")',
}


def model_card(
    base: Identity, made: Identity, *, how: str, facts: dict[str, str], needs_embedkit: bool = False
) -> str:
    """Return the card as Markdown with a YAML header; paths of local folders are reduced to their last name.

    `how` completes the sentence "It was ..."; `facts` are rows of the table; `needs_embedkit` is True for a
    network that only embedkit loads.
    """
    name = HUB_IDS.get(base.model, base.model)
    shown = Path(name).name if Path(name).is_absolute() else name
    is_id = not Path(name).is_absolute() and " " not in name
    head = f"base_model: {name}\n" if is_id else ""
    known = {"base model": shown, "base fingerprint": base.fingerprint, "pooling": made.pooling or "its own"}
    known |= {"tokens read": str(made.max_length)} if made.max_length else {}
    known |= {"query prompt": f"`{made.query_prompt}`"} if made.query_prompt else {}
    known |= {"document prompt": f"`{made.document_prompt}`"} if made.document_prompt else {}
    return _CARD.format(
        **(_OWN if needs_embedkit else _PLAIN),
        base_model=head,
        title=f"{Path(name).name}, {made.dimension} dimensions",
        dimension=made.dimension,
        unit=" at unit length" if made.normalized else "",
        how=how,
        facts="\n".join(f"| {key} | {value} |" for key, value in (known | facts).items()),
    )


def map_facts(transform: AffineMap) -> dict[str, str]:
    """Return a map's rows for the card's table."""
    parts = transform.story.get("parts") or [transform.story]
    specs = [f"`{part.get('spec', 'of unknown origin')}`" for part in parts]
    rows = [f"{part['rows']:,}" for part in parts if part.get("rows")]
    return {"map": ", then ".join(specs)} | ({"map fitted on rows": ", ".join(rows)} if rows else {})
