"""Load the systems that an evaluation compares: encoders with maps, named by `-m`, `-t` and `--compare`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from embedkit.cli.console import Progress
from embedkit.cli.encoder_options import EncoderOptions
from embedkit.cli.eval.protocol import Facts, encoder_facts
from embedkit.cli.options import Common
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.data.affine import AffineMap
    from embedkit.data.identity import Identity
    from embedkit.embedding.encoder import Encoder, EncoderSettings

Compare = Annotated[
    list[str] | None,
    typer.Option(
        "--compare",
        metavar="MAP|MODEL|none",
        help="A system to compare with: a map instead of -t, another model, or none for no "
        "map. May be repeated.",
    ),
]

NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Encode every text again and keep no vectors in the cache.")
]


Resamples = Annotated[
    int, typer.Option("--resamples", help="Bootstrap resamples for the intervals.", min=100)
]


@dataclass(frozen=True)
class Comparison:
    """Options for the systems to compare with the first, the intervals, and the cache."""

    compare: Compare = None
    resamples: Resamples = 1000
    no_cache: NoCache = False

    def systems(self, encoding: EncoderOptions) -> list[System]:
        """Return all systems, for texts that are all encoded as documents.

        Raises UsageError for a query prompt, since there are no queries.
        """
        if encoding.query_prompt is not None:
            what = "is for queries, and all texts are encoded as documents here"
            raise UsageError(what, where="--query-prompt", hint="--document-prompt is put before every text")
        return named_systems(encoding, self.compare)


class System(NamedTuple):
    """A system to measure: an encoder with its maps, and a name for the table."""

    name: str
    settings: EncoderSettings
    maps: list[AffineMap]


def named_systems(encoding: EncoderOptions, compare: Sequence[str] | None) -> list[System]:
    """Read the first system from the options, and the others from each `--compare`."""
    settings = encoding.settings()
    name = _named(settings, [path.name for path in encoding.transform or []])
    first = System(name, settings, encoding.maps())
    return [first, *(_compared(name, settings) for name in compare or [])]


def _compared(name: str, settings: EncoderSettings) -> System:
    """Return the system of one `--compare`: no map, a map file, or else a model with its own settings."""
    from embedkit.data.affine import AffineMap
    from embedkit.embedding.encoder import EncoderSettings

    if name == "none":
        return System(_named(settings, []), settings, [])
    if name.endswith(".safetensors") or Path(name).is_file():
        return System(_named(settings, [Path(name).name]), settings, [AffineMap.load(name)])
    if name.startswith("hash:"):
        return System(name, EncoderSettings(name), [])
    run = {key: getattr(settings, key) for key in ("device", "runtime", "precision", "allow_pickle")}
    return System(name, EncoderSettings(name, **run), [])


def _named(settings: EncoderSettings, maps: Sequence[str]) -> str:
    pooling = f" ({settings.pooling})" if settings.pooling else ""
    return " + ".join([f"{settings.model}{pooling}", *maps])


def load_cached(encoding: EncoderOptions, *, no_cache: bool) -> Encoder:
    """Return the encoder that the options name, with its maps, and with the cache unless `no_cache`."""
    from embedkit.embedding.cached import cached, open_cache

    encoder = encoding.load()
    return encoder if no_cache else cached(encoder, encoding.settings(), open_cache())


def load_cached_for(
    encoding: EncoderOptions, identity: Identity | None, map: AffineMap | None, *, where: str, no_cache: bool
) -> Encoder:
    """Return the encoder of vectors of `identity`, as `EncoderOptions.load_for` does, with the cache unless
    `no_cache`.
    """
    from embedkit.embedding.cached import cached, open_cache

    encoder = encoding.load_for(identity, map, where=where)
    return encoder if no_cache else cached(encoder, settings_for(encoding, identity), open_cache())


def settings_for(encoding: EncoderOptions, identity: Identity | None) -> EncoderSettings:
    """Return the settings of the encoder of vectors of `identity`, or of the named encoder if it is None."""
    return encoding.settings() if identity is None else encoding.settings_like(identity)


def load_once(systems: Sequence[System], *, no_cache: bool) -> list[Encoder]:
    """Return each system's encoder, with the cache unless `no_cache`; equal settings share one encoder.

    Raises MismatchError for a map that does not fit, before the work starts.
    """
    from embedkit.embedding.cached import cached, open_cache
    from embedkit.embedding.encoder import with_maps
    from embedkit.embedding.loading import load

    loaded = {system.settings: load(system.settings) for system in systems}
    if not no_cache:
        cache = open_cache()
        loaded = {settings: cached(encoder, settings, cache) for settings, encoder in loaded.items()}
    return [with_maps(loaded[system.settings], system.maps) for system in systems]


def encode_once(
    systems: Sequence[System], texts: Sequence[str], common: Common, *, no_cache: bool = False
) -> list[Encoder]:
    """Return each system's encoder with the texts already encoded, once per shared encoder.

    Raises MismatchError for a map that does not fit, before the work starts.
    """
    from embedkit.embedding.encoder import Mapped, with_maps
    from embedkit.evaluation.sts import remember

    encoders = load_once(systems, no_cache=no_cache)
    plain = [each.encoder if isinstance(each, Mapped) else each for each in encoders]
    by_settings = {system.settings: encoder for system, encoder in zip(systems, plain, strict=True)}
    total = len(set(texts))
    remembered = {}
    for settings, encoder in by_settings.items():
        with Progress(common.quiet, total=total) as progress:
            remembered[settings] = remember(encoder, texts, progress.add)
    return [with_maps(remembered[system.settings], system.maps) for system in systems]


def system_facts(systems: Sequence[System], encoders: Sequence[Encoder]) -> Facts:
    """Return the encoders and maps that were measured, numbered if there are several systems."""
    facts: Facts = {}
    for number, (system, encoder) in enumerate(zip(systems, encoders, strict=True), 1):
        told = encoder_facts(encoder.identity, system.settings, system.maps)
        facts |= {f"{name} {number}" if len(systems) > 1 else name: fact for name, fact in told.items()}
    return facts
