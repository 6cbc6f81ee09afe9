"""Find an architecture by its spec."""

from __future__ import annotations

from embedkit import spec
from embedkit.embedding.architectures.sizes import Architecture


def architecture(text: str) -> Architecture:
    """Return the kind of a spec, such as `gau:layers=4,width=256`.

    Raises UnknownNameError for an unknown kind or setting, and UsageError for a value out of range.
    """
    kind: Architecture = spec.parse("architecture", text)
    return kind
