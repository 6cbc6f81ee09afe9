"""Define the options of `embedkit pretrain`: its corpus, vocabulary, architecture and masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import typer

from embedkit.cli.completion import complete_kinds


def _option(help: str, *names: str, **how: Any) -> Any:
    return typer.Option(*names, help=help, show_default=False, **how)


@dataclass(frozen=True)
class VocabularyOptions:
    """Options for the vocabulary."""

    panel: ClassVar = "Vocabulary"

    tokens: Annotated[
        Literal["wordpiece", "unigram", "words"] | None,
        _option(
            "Tokens to learn: pieces of words (wordpiece, which reads each Chinese character as a word, or "
            "unigram, whose tokens may have several), or words between spaces, for anonymised text "
            "[wordpiece]."
        ),
    ] = None
    vocabulary_size: Annotated[
        int | None,
        _option(
            "Most tokens to learn [8000; with -m as many as the model has]; with --vocabulary extend, most "
            "words to add [2000].",
            metavar="N",
        ),
    ] = None
    lowercase: Annotated[
        bool | None, _option("Whether capital letters are read as small ones [yes].", "--lowercase/--cased")
    ] = None
    vocabulary: Annotated[
        Literal["replace", "extend"] | None,
        _option("With -m: learn a vocabulary in place of the model's, or add frequent words to it."),
    ] = None

    def given(self) -> dict[str, Any]:
        """Return what was given on the command line, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class MaskOptions:
    """Options for the texts, the new model, and the words to predict."""

    panel: ClassVar = "Pretraining"

    columns: Annotated[
        str | None,
        _option(
            "Columns to train on: one of texts, or two of pairs, which are read together "
            "[chosen by their names, and reported].",
            metavar="A[,B]",
        ),
    ] = None
    arch: Annotated[
        str | None,
        _option(
            "Architecture of a new model [bert].",
            metavar="KIND[:key=value,...]",
            autocompletion=complete_kinds("architecture"),
        ),
    ] = None
    widen: Annotated[
        int | None,
        _option("With -m: make the model 2, 4 or 8 times as wide, with the same vectors.", metavar="2|4|8"),
    ] = None
    mask_share: Annotated[float | None, _option("Share of the words to predict [0.15].")] = None
    whole_words: Annotated[
        bool | None,
        _option("Whether all tokens of a word are masked together [yes].", "--whole-words/--single-tokens"),
    ] = None
    gradient_penalty: Annotated[
        float | None,
        _option(
            "Add this times half the squared norm of the gradient of a text's loss by its embedded tokens "
            "to the loss [0]."
        ),
    ] = None
    holdout: Annotated[
        float | None,
        _option("Texts to measure the perplexity on: a share below 1, or a number [0.02]."),
    ] = None

    def given(self) -> dict[str, Any]:
        """Return what was given on the command line, by name."""
        values = {name: value for name, value in vars(self).items() if value is not None}
        if "columns" in values:
            values["columns"] = tuple(name.strip() for name in values["columns"].split(","))
        return values
