"""Checks which weights of a model came from its files: missing ones would be random, and are refused."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from embedkit.errors import ModelError

_NAMED = 3  # an error names at most this many missing weights
_patching = threading.Lock()


class Report(NamedTuple):
    """The loading report of a transformer, under the model's names for its weights."""

    missing: frozenset[str]
    unexpected: frozenset[str]
    mismatched: dict[str, str]  # weights whose shapes in files and configuration differ: both
    prefix: str = ""  # prefix removed from the names in the files

    def found_prefix(self) -> str:
        """Return the prefix (`module.`, `encoder.`) that the missing weights have in the files, or an empty
        string.

        If two prefixes match equally many weights (two models in one file), neither is returned.
        """
        endings = {f".{name}" for name in self.missing}
        found: Counter[str] = Counter()
        for name in self.unexpected:
            places = [place for place, letter in enumerate(name) if letter == "."]
            found.update(name[: place + 1] for place in places if name[place:] in endings)
        best = found.most_common(2)
        if not best or (len(best) == 2 and best[0][1] == best[1][1]):
            return ""
        return best[0][0]


@contextmanager
def loading_report() -> Iterator[Callable[[], Report]]:
    """Capture the loading report of the models that transformers loads in the block; one block runs at a
    time.

    The libraries in between drop the report, so it is captured at its source. The block receives a function
    that returns it.
    """
    from transformers import PreTrainedModel

    said: list[dict[str, object]] = []
    original = PreTrainedModel.__dict__["from_pretrained"]

    def reporting(cls: Any, /, *given: Any, output_loading_info: bool = False, **named: Any) -> Any:
        """Load a model and note which weights were found."""
        model, info = original.__func__(cls, *given, output_loading_info=True, **named)
        said.append(info)
        return (model, info) if output_loading_info else model

    with _patching:
        PreTrainedModel.from_pretrained = classmethod(reporting)
        try:
            yield lambda: Report(
                _names(said, "missing_keys"), _names(said, "unexpected_keys"), _mismatched(said)
            )
        finally:
            PreTrainedModel.from_pretrained = original


def _names(said: list[dict[str, Any]], kind: str) -> frozenset[str]:
    return frozenset(name for info in said for name in info[kind])


def _mismatched(said: list[dict[str, Any]]) -> dict[str, str]:
    return {
        name: f"{_shape(found)} in the files, {_shape(expected)} by config.json"
        for info in said
        for name, found, expected in info["mismatched_keys"]
    }


def _shape(sizes: Iterable[int]) -> str:
    return " x ".join(map(str, sizes))


def require_loaded(transformer: Any, report: Report, output: Callable[[], Any], *, where: str) -> None:
    """Raise ModelError when vectors depend on a weight that the files lack or have in another shape.

    `output` computes vectors: they depend on the weights that their gradient reaches, so not on an unused
    pooler or head.
    """
    import torch

    parameters = dict(transformer.named_parameters(remove_duplicate=False))
    absent = sorted(report.missing | report.mismatched.keys())
    missing = {name: parameters[name] for name in absent if name in parameters}
    if not missing:
        return
    with torch.enable_grad():
        gradients = torch.autograd.grad(output().float().sum(), list(missing.values()), allow_unused=True)
    needed = [name for name, reached in zip(missing, gradients, strict=True) if reached is not None]
    if not needed:
        return
    hint = "fetch the model again, or save all of it with sentence-transformers"
    for name in needed:
        if name in report.mismatched:
            what = f"its weight {name} has another shape ({report.mismatched[name]})"
            raise ModelError(what, where=where, hint=hint)
    others = f" and {len(needed) - _NAMED} more" if len(needed) > _NAMED else ""
    names = ", ".join(needed[:_NAMED])
    raise ModelError(
        f"its weight files lack {names}{others}, on which the vectors depend", where=where, hint=hint
    )
