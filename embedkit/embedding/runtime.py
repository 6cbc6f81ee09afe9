"""The runtime protocol and its use: tokenise texts, batch them by length, run the model, restore order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from embedkit.embedding.encoder import Vectors
from embedkit.embedding.tokens import TokenBatch, Tokenize, Tokens, pad


class Runtime(Protocol):
    """A backend that computes a model."""

    pad_id: int
    dimension: int
    token_budget: int  # upper bound of rows x tokens per batch
    shortest: int  # minimum number of tokens per row
    pads: bool  # False where padding changes the vectors: a batch then has texts of one length
    known_ids: int | None  # ids from here on have no embedding; None where the tokenizer returns no such id
    at_once: int  # batches that are computed at the same time

    @property
    def tokenize(self) -> Tokenize:
        """The function that turns texts into token ids."""

    def run(self, batches: Iterable[TokenBatch]) -> Iterator[tuple[NDArray[np.intp], Vectors]]:
        """Yield each batch's rows and its vectors, in order of completion; only one caller at a time."""


def compute(
    runtime: Runtime,
    texts: Sequence[str],
    turn: threading.Lock,
    batches: int = 1,
    on_tokens: Callable[[Sequence[Tokens], int | None], None] = lambda tokens, unknown_id: None,
) -> Vectors:
    """Tokenise texts, wait for the lock `turn`, and return the vectors, `(len(texts), runtime.dimension)`.

    Equal texts are computed once. There are at least `batches` batches, if there are as many texts, so that
    few texts are computed at the same time. `on_tokens` is given the tokens, and the id of unknown ones.
    Raises ValueError for a token without an embedding in the model.
    """
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    if len(places) < len(texts):
        distinct = compute(runtime, list(places), turn, batches, on_tokens)
        return distinct[[places[text] for text in texts]]
    tokens = runtime.tokenize(texts)
    on_tokens(tokens, runtime.tokenize.unknown_id)
    if runtime.known_ids is not None:
        highest = max((int(text.ids.max()) for text in tokens if len(text.ids)), default=0)
        require_known(highest, runtime.known_ids)
    vectors = np.empty((len(texts), runtime.dimension), dtype=np.float32)
    lengths = [max(len(text.ids), runtime.shortest) for text in tokens]
    budget = min(runtime.token_budget, max(1, -(-sum(lengths) // batches)))
    cuts = token_batches(lengths, budget, alike=not runtime.pads)
    with turn:
        for rows, part in runtime.run(
            pad([tokens[row] for row in rows], rows, runtime.pad_id, runtime.shortest) for rows in cuts
        ):
            vectors[rows] = part
    return vectors


def require_known(highest: int, known: int) -> None:
    """Raise ValueError if an id has no embedding: the compiled model would read zeros."""
    if highest >= known:
        raise ValueError(
            f"its tokenizer gives the token {highest}, its embeddings cover the tokens 0 to {known - 1}; "
            "use the tokenizer that the model was trained with, or resize the model's token embeddings"
        )


def token_batches(lengths: Sequence[int], budget: int, *, alike: bool = False) -> Iterator[NDArray[np.intp]]:
    """Yield the rows of each batch, longest texts first; rows x longest stays within `budget` tokens.

    A text longer than the budget is a batch of its own. Rows of a batch are ordered by falling length, then
    by position; `alike` starts a new batch where the length changes.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-sizes, kind="stable")
    start = 0
    while start < len(order):
        longest = int(sizes[order[start]])
        end = start + max(1, budget // max(1, longest))
        if alike:
            end = min(end, start + int(np.searchsorted(-sizes[order[start:]], -longest, side="right")))
        yield order[start:end]
        start = end
