"""Name the rules by which an index ranks documents, as `--compare` does: by vectors, by words, or by both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from embedkit.cli.fusion_options import FusionOptions, fusion_of
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.indexing.lexical.fusion import Fusion
    from embedkit.indexing.store import Index

_METHODS: dict[str, Literal["sum", "rrf"]] = {"hybrid": "sum", "rrf": "rrf"}
_SUMS = {"sum": "standardised scores", "rrf": "reciprocal ranks"}
_KNOWN = "dense, lexical, hybrid, hybrid:0.5 or rrf"


class RankingRule(NamedTuple):
    """A rule by which an index ranks documents: its name, and the fusion where it uses vectors and words."""

    name: str
    fusion: Fusion | None = None

    @property
    def uses_vectors(self) -> bool:
        """Whether documents are compared by vectors."""
        return self.name != "lexical"

    @property
    def uses_words(self) -> bool:
        """Whether documents are compared by words."""
        return self.name != "dense"

    def described(self, index: Index) -> str:
        """Return the rule with all its settings, for the protocol."""
        if not self.uses_words:
            return "by vectors"
        words = f"BM25 with {index.lexical.settings}"
        if self.fusion is None:
            return f"by words, {words}"
        method, weight = _SUMS[self.fusion.method], self.fusion.weight
        return f"by the sum of {method}, weight {weight:g} for vectors, {words}"


DENSE, LEXICAL = RankingRule("dense"), RankingRule("lexical")


class RankingOptions(NamedTuple):
    """The options that set the rules by which every index ranks documents."""

    words: FusionOptions
    compare: Sequence[str]

    def rules(self, index: Index) -> list[RankingRule]:
        """Return the rule that the options of words set, and then the rule of each `--compare`.

        Raises UsageError for an unknown rule, and for an index that cannot be searched by words where a rule
        does so.
        """
        fusion = self.words.chosen(index)
        first = LEXICAL if self.words.lexical else DENSE if fusion is None else _fused(fusion)
        rules = [first, *(_compared(name, index) for name in self.compare)]
        if any(rule.uses_words for rule in rules):
            index.require_lexical()
        return rules


def names_a_rule(name: str) -> bool:
    """Return whether a value of `--compare` names a rule of ranking, and no file or folder."""
    return name.partition(":")[0] in ("dense", "lexical", *_METHODS) and not Path(name).exists()


def _compared(name: str, index: Index) -> RankingRule:
    for rule in (DENSE, LEXICAL):
        if name == rule.name:
            return rule
    kind, colon, weight = name.partition(":")
    if kind not in _METHODS or (colon and not weight):
        raise UsageError(
            f"{name!r} is not a way to search an index", where="--compare", hint=f"write {_KNOWN}"
        )
    try:
        return _fused(fusion_of(weight or None, _METHODS[kind], index))
    except UsageError as error:
        raise UsageError(error.what, where=f"--compare {name}") from None


def _fused(fusion: Fusion) -> RankingRule:
    kind = "rrf" if fusion.method == "rrf" else "hybrid"
    return RankingRule(f"{kind}:{fusion.weight:g}", fusion)
