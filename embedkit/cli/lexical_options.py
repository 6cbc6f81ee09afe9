"""Define the options by which an index is built for search by words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.indexing.lexical.lexical_settings import LexicalSettings

LexicalSpec = Annotated[
    str | None,
    typer.Option(
        "--lexical",
        metavar="SETTINGS",
        help="How words are searched: language=en|de|...|none (the stemmer), k1=1.2, b=0.75.",
        show_default=False,
    ),
]


def parse_lexical(spec: str) -> LexicalSettings:
    """Return the settings of the lexical part; raises UsageError for a setting that does not exist."""
    from embedkit.indexing.lexical.lexical_settings import LexicalSettings

    return LexicalSettings.parse(spec)


@dataclass(frozen=True)
class LexicalOptions:
    """Options of the lexical part of a new index."""

    lexical: LexicalSpec = None
    no_lexical: Annotated[
        bool, typer.Option("--no-lexical", help="Leave out what a search by words needs.")
    ] = False

    def settings(self) -> LexicalSettings | None:
        """Return the settings, or None if the lexical part is left out."""
        if self.no_lexical and self.lexical is not None:
            raise UsageError("--lexical and --no-lexical were both given", hint="give one of them")
        return None if self.no_lexical else parse_lexical(self.lexical or "")
