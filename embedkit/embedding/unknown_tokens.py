"""The warning about texts that a vocabulary cannot spell, such as Chinese texts read by an English model."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from embedkit.embedding.tokens import Tokens

_log = logging.getLogger("embedkit")

_SHARE = 1 / 3  # of unknown tokens from which texts are said to be unreadable; real prose stays below .01


class UnknownTokens:
    """Counts the unknown tokens of an encoder's texts, and warns once if they are a third of all or more."""

    def __init__(self, name: str) -> None:
        self._name, self._warned = name, False

    def count(self, tokens: Sequence[Tokens], unknown: int | None) -> None:
        """Count in the tokens of some texts, special ones included; `unknown` is the id of unknown tokens."""
        if self._warned or unknown is None or not tokens:
            return
        ids = np.concatenate([text.ids for text in tokens])
        missing = np.count_nonzero(ids == unknown)
        if len(ids) and missing >= _SHARE * len(ids):
            self._warned = True
            _log.warning(
                "%s: %d %% of the tokens of these texts are unknown to its vocabulary, so their vectors say "
                "little; choose a model that reads their script, such as e5 for about a hundred languages",
                self._name,
                round(100 * missing / len(ids)),
            )
