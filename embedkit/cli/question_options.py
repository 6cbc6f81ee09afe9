"""Define the options of `embedkit search`: the questions, and how their hits are found and written."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from embedkit.cli.encoder_options import EncoderOptions
from embedkit.cli.fusion_options import WordOptions
from embedkit.cli.hit_options import Narrowing
from embedkit.cli.options import ClusterOptions, Common, named
from embedkit.errors import UsageError

HitFormat = Literal["table", "jsonl", "tsv", "trec", "ids"]


@dataclass(frozen=True)
class QuestionOptions:
    """Options that ask questions, and set how many hits are written and how."""

    query: Annotated[
        str | None, typer.Argument(metavar="QUERY", help="One query; always text, never a file name.")
    ] = None
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "-i", "--input", metavar="FILE", help="File of queries: one per line, or JSONL with ids."
        ),
    ] = None
    k: Annotated[int, typer.Option("-k", help="Hits per query.", min=1)] = 10
    more_like: Annotated[
        str | None,
        typer.Option(
            "--more-like", metavar="ID", help="Find the documents nearest to this document of the index."
        ),
    ] = None
    format: Annotated[
        HitFormat | None,
        typer.Option("--format", help="[default: table on a terminal, else jsonl]", show_default=False),
    ] = None

    def check(self, *, words: bool) -> None:
        """Raise UsageError for questions that exclude each other; `words` is whether words are searched."""
        if self.query is not None and self.inputs:
            raise UsageError("a question and -i were both given", hint="give one of them")
        if self.more_like is not None and (self.query is not None or self.inputs):
            raise UsageError("a question and --more-like were both given", hint="give one of them")
        if self.more_like is not None and words:
            raise UsageError("compares vectors", where="--more-like", hint="drop --hybrid and --lexical")
        if self.query is not None and not self.query.strip():
            raise UsageError("the question is empty", where="QUERY")

    def hit_format(self, common: Common) -> HitFormat:
        """Return the format of the hits: as given, or a table on a terminal and JSON lines in a pipe."""
        return self.format or ("jsonl" if common.json or not sys.stdout.isatty() else "table")


@dataclass(frozen=True)
class SearchSettings:
    """Options that set how an index is searched."""

    words: WordOptions
    narrowing: Narrowing
    clustering: ClusterOptions

    def check(self, questions: QuestionOptions, encoding: EncoderOptions) -> None:
        """Raise UsageError for options that cannot be used together, or with these questions."""
        exact = self.narrowing.exact
        alone = {"QUERY": questions.query, "--more-like": questions.more_like, "--exact": exact}
        self.clustering.refuse(*named(alone), hint="many questions, with -i FILE, are spread")
        encoder = ["-m and -t"] * (encoding != EncoderOptions())
        self.words.refuse_others(vectors=self.narrowing.of_vectors() + encoder)
