"""Complete values in the shell, in addition to commands and options: models, maps, indexes, kinds, measures.

If there is no completion, the shell falls back to file names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from embedkit.embedding.hub_cache import cached_models
from embedkit.losses.registry import losses_comparing
from embedkit.spec import kinds

_MEASURES = ("nDCG@10", "R@100", "RR@10", "AP", "P@10", "Success@1", "Judged@10")


def complete_kinds(family: str) -> Callable[[str], list[str]]:
    """Return a function that completes the names of a family's kinds."""
    return lambda incomplete: _beginning(incomplete, kinds(family))


def complete_distilling(incomplete: str) -> list[str]:
    """Complete the losses of distillation."""
    return _beginning(incomplete, losses_comparing("scores", "similarities", "vectors"))


def complete_models(incomplete: str) -> list[str]:
    """Complete models that load without a network: minilm, e5, hashed n-grams, models in the hub's cache."""
    return _beginning(incomplete, ["minilm", "e5", "hash:dim=512", *cached_models()])


def complete_measures(incomplete: str) -> list[str]:
    """Complete common retrieval measures; ir_measures computes many more."""
    return _beginning(incomplete, _MEASURES)


def complete_maps(incomplete: str) -> list[str]:
    """Complete safetensors files in the folder of the incomplete path."""
    return _entries(incomplete, lambda path: path.suffix == ".safetensors" and path.is_file())


def complete_indexes(incomplete: str) -> list[str]:
    """Complete index folders in the folder of the incomplete path."""
    return _entries(incomplete, lambda path: (path / "manifest.json").is_file())


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _entries(incomplete: str, wanted: Callable[[Path], bool]) -> list[str]:
    """Return the paths, as typed, that begin with `incomplete` and for which `wanted` is True."""
    folder = incomplete[: incomplete.rfind("/") + 1]
    place = Path(folder).expanduser()
    found = place.iterdir() if place.is_dir() else ()
    return sorted(_beginning(incomplete, (folder + path.name for path in found if wanted(path))))
