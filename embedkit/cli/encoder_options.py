"""Define the options that select an encoder and its maps, and load what they name."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import typer

from embedkit.cli.command import require_text
from embedkit.cli.completion import complete_maps, complete_models
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.data.affine import AffineMap
    from embedkit.data.identity import Identity
    from embedkit.embedding.encoder import Encoder, EncoderSettings

Pooling = Literal["mean", "cls", "max", "first-last", "last2", "embedding", "pooler"]
DEFAULT_MODEL = "minilm"


@dataclass(frozen=True)
class EncoderOptions:
    """Options that select an encoder, and how it is loaded and run."""

    panel: ClassVar = "Model"

    model: Annotated[
        str | None,
        typer.Option(
            "-m",
            "--model",
            help="minilm, e5, a folder, a hub id, or hash:dim=512 [EMBEDKIT_MODEL, minilm].",
            autocompletion=complete_models,
        ),
    ] = None
    transform: Annotated[
        list[Path] | None,
        typer.Option(
            "-t",
            "--transform",
            metavar="FILE",
            help="A map to apply to the vectors; several are chained.",
            autocompletion=complete_maps,
        ),
    ] = None
    pooling: Annotated[
        Pooling | None, typer.Option(help="How token vectors become one vector [as the model does].")
    ] = None
    max_length: Annotated[int | None, typer.Option(help="Tokens to read per text.")] = None
    query_prompt: Annotated[str | None, typer.Option(help="Prompt in front of every query.")] = None
    document_prompt: Annotated[str | None, typer.Option(help="Prompt in front of every document.")] = None
    truncate_dim: Annotated[int | None, typer.Option(help="Keep only the first dimensions.")] = None
    normalize: Annotated[
        bool | None,
        typer.Option(
            "--normalize/--no-normalize", help="Whether vectors have unit length [as the model does]."
        ),
    ] = None
    device: Annotated[str | None, typer.Option(help="Device: cpu, cuda, cuda:1, mps.")] = None
    runtime: Annotated[Literal["auto", "torch", "openvino"], typer.Option(help="Inference runtime.")] = "auto"
    precision: Annotated[
        Literal["auto", "fp32", "bf16"], typer.Option(help="Numeric precision of inference.")
    ] = "auto"
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Load weights stored as pickles, which can run code.")
    ] = False

    def settings(self) -> EncoderSettings:
        """Return the library's settings for a command that makes vectors."""
        from embedkit.embedding.encoder import EncoderSettings

        model = self.model or os.environ.get("EMBEDKIT_MODEL") or DEFAULT_MODEL
        require_text(model, where="EMBEDKIT_MODEL")
        return EncoderSettings(**{**self._given(), "model": model})

    def settings_like(self, identity: Identity) -> EncoderSettings:
        """Return settings for queries to vectors of `identity`: its own settings with the given options, or
        the given options only if they name a model.
        """
        from embedkit.embedding.encoder import EncoderSettings
        from embedkit.embedding.loading import settings_of

        if self.model is not None:
            return EncoderSettings(**self._given())
        return dataclasses.replace(settings_of(identity), **self._given())

    def load(self) -> Encoder:
        """Load the encoder with its maps."""
        from embedkit.embedding.encoder import with_maps
        from embedkit.embedding.loading import load

        return with_maps(load(self.settings()), self.maps())

    def load_for(self, identity: Identity | None, map: AffineMap | None, *, where: str) -> Encoder:
        """Load the encoder for queries to vectors of `identity`, with the map that is stored with them.

        Raises UsageError if the encoder of the vectors is unknown and no encoder was named.
        """
        from embedkit.embedding.encoder import with_maps
        from embedkit.embedding.loading import load

        if identity is None:
            if self.model is None:
                raise UsageError(
                    "the encoder of these vectors is unknown", where=where, hint="name it with -m"
                )
            return self.load()
        kept = [map] if map is not None else []
        return with_maps(load(self.settings_like(identity)), self.maps() or kept)

    def maps(self) -> list[AffineMap]:
        """Load the named maps."""
        from embedkit.data.affine import AffineMap

        return [AffineMap.load(path) for path in self.transform or []]

    def declared(self) -> Identity | None:
        """Return the identity of the named encoder, for vectors whose encoder is unknown; None if none is
        named.
        """
        from embedkit.embedding.loading import load

        return load(self.settings()).identity if self.model is not None else None

    def _given(self) -> dict[str, Any]:
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del values["transform"]
        return {name: value for name, value in values.items() if value is not None}
