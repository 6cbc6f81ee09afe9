"""Define the options of a search by words, alone or together with vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import typer

from embedkit.cli.command import OMITTED
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.indexing.lexical.fusion import Fusion
    from embedkit.indexing.lexical.operators import LexicalQuery
    from embedkit.indexing.store import Index


@dataclass(frozen=True)
class FusionOptions:
    """Options that add words to a search by vectors, or replace vectors by words."""

    panel: ClassVar = "Words"

    hybrid: Annotated[
        str | None,
        typer.Option(
            metavar="[WEIGHT]",
            help="Search by vectors and words together; WEIGHT is the share of the vectors, from 0 to 1. "
            "[the weight that `index tune` chose, otherwise .7, .5 for static encoders, .15 for hash:]",
            show_default=False,
        ),
    ] = None
    fusion: Annotated[
        Literal["sum", "rrf"] | None,
        typer.Option(
            help="How the rankings by vectors and words are fused: by the weighted sum of their standardised "
            "scores, or by reciprocal ranks. [sum]",
            show_default=False,
        ),
    ] = None
    lexical: Annotated[bool, typer.Option("--lexical", help="Search by words alone (BM25).")] = False

    @property
    def given(self) -> bool:
        """Whether words are searched."""
        return self.lexical or self.hybrid is not None or self.fusion is not None

    def chosen(self, index: Index) -> Fusion | None:
        """Return the fusion of vectors and words, or None for a search by vectors or by words alone.

        Raises UsageError for options that exclude each other, or a weight that is not between 0 and 1.
        """
        if not self.lexical:
            return fusion_of(self.hybrid, self.fusion, index) if self.given else None
        if self.hybrid is not None or self.fusion is not None:
            other = "--fusion" if self.hybrid is None else "--hybrid"
            raise UsageError(f"--lexical and {other} were both given", hint="give one of them")
        return None


@dataclass(frozen=True)
class WordOptions(FusionOptions):
    """Options of `search` for words."""

    explain: Annotated[
        bool,
        typer.Option("--explain", help="Name the terms that matched, with their parts of the BM25 score."),
    ] = False
    operators: Annotated[
        bool | None,
        typer.Option(
            "--operators/--literal",
            help='Whether "exact phrase", +word and -word are operators. [only those in QUERY are]',
            show_default=False,
        ),
    ] = None

    def refuse_others(self, *, vectors: list[str]) -> None:
        """Raise UsageError for options of words without a search by words, and for the given options of
        `vectors` where words alone are searched.
        """
        if not self.given and (self.explain or self.operators is not None):
            name = "--explain" if self.explain else "--operators/--literal"
            raise UsageError("applies to a search by words", where=name, hint="add --hybrid or --lexical")
        if self.lexical and vectors:
            what = "applies to vectors, and --lexical searches words alone"
            raise UsageError(what, where=vectors[0], hint="drop one of them, or search with --hybrid")

    def reader(self, index: Index, *, typed: bool) -> Callable[[str], LexicalQuery] | None:
        """Return the function that reads the words of a query, or None where words are not searched; `typed`
        is whether the query was typed as an argument.
        """
        from embedkit.indexing.lexical.operators import literal_query, parse_query

        if not self.given:
            return None
        operators = typed if self.operators is None else self.operators
        return partial(parse_query if operators else literal_query, analysis=index.lexical.settings)


def fusion_of(hybrid: str | None, method: Literal["sum", "rrf"] | None, index: Index) -> Fusion:
    """Return the fusion for the values of `--hybrid` and `--fusion`.

    Raises UsageError for a weight that is not between 0 and 1.
    """
    from embedkit.indexing.lexical.fusion import EQUAL, Fusion

    method = method or "sum"
    if hybrid in (None, OMITTED):
        return Fusion(index.weight if method == "sum" else EQUAL, method)
    try:
        weight = float(hybrid or "")
    except ValueError:
        raise UsageError(f"{hybrid!r} is not a weight from 0 to 1", where="--hybrid") from None
    return Fusion(weight, method)
