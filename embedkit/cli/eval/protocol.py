"""Write the protocol below values: the facts that are needed to reproduce them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from embedkit.data.affine import AffineMap
    from embedkit.data.identity import Identity
    from embedkit.embedding.encoder import EncoderSettings

Facts = dict[str, str]


def encoder_facts(identity: Identity, settings: EncoderSettings, maps: Sequence[AffineMap]) -> Facts:
    """Return the encoder, how it was run, and the data that its maps were fitted on."""
    unit = "unit length" if identity.normalized else "not of unit length"
    return {
        "model": f"{replace(identity, maps=())}, {unit}",
        "maps": ", then ".join(map(_map, maps)) or "none",
        "precision": f"{settings.precision}, on runtime {settings.runtime}",
    }


def interval_facts(resamples: int, seed: int, *, over: str) -> Facts:
    """Return how intervals were computed; `over` names the resampled items."""
    return {"intervals": f"95 %, percentile bootstrap over {over}, {resamples:,} resamples, seed {seed}"}


def version_facts(models: Iterable[str]) -> Facts:
    """Return the versions of the packages used."""
    names = ["embedkit", "numpy", "scipy"]
    if not all(model.startswith("hash:") for model in models):
        names += ["openvino", "torch", "sentence-transformers"]
    return {"versions": ", ".join(f"{name} {version(name)}" for name in names)}


def _map(transform: AffineMap) -> str:
    story = transform.story
    parts = story.get("parts") or [{**story, "fingerprint": transform.fingerprint}]
    return ", then ".join(
        f"{part.get('spec', 'map')} {part['fingerprint']} (fitted on {part.get('rows', 0):,} rows of encoder "
        f"{part.get('encoder') or 'unknown'})"
        for part in parts
    )
