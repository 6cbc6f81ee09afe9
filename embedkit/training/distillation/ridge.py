r"""Ridge regression from bags of tokens to vectors, by conjugate gradients on the sparse bags.

Text i has n_i tokens and the teacher's vector y_i. The token vectors E (tokens, dim) minimise

    sum_i || w_i sum_t E_t - y_i ||^2  +  penalty || E - E0 ||^2,        w_i = 1 / sqrt(n_i),

where the inner sum runs over the tokens of text i and E0 holds the vectors to start from. A static encoder
averages, and then scales to unit length, so the weight w_i is free. The square root serves texts of different
lengths best: a long text's sum of unrelated vectors grows like the square root of their number.

With the rows w_i b_i of token counts in the sparse matrix B, the minimum solves

    (B^T B + penalty I) E = B^T Y + penalty E0,

a system with one matrix and `dim` right-hand sides. Conjugate gradients (Hestenes and Stiefel 1952) need
only products with B, which is read in blocks, so memory depends on tokens x dim and not on the texts. The
diagonal preconditioner matters: token frequencies follow Zipf's law, and so does the diagonal. Columns are
independent; every thread solves some of them.

A token with c occurrences in texts of length n moves away from E0 in proportion c / n : penalty, whatever the
size of the corpus.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from embedkit.data.arrays import Float32
from embedkit.embedding.encoder import thread_count
from embedkit.embedding.static.bags import Bags

_BLOCK = 16384  # rows of B that are built at a time
_ITERATIONS = 30
_TOLERANCE = 1e-2  # of the residual to its value at E0: smaller changes no neighbour


class WeightedBags(NamedTuple):
    """The matrix B: bags of tokens, each with a weight; a weight of 0 leaves a text out."""

    bags: Bags
    weights: Float32  # (texts,)
    tokens: int  # columns

    def blocks(self) -> Iterator[tuple[slice, Any]]:
        """Yield B in sparse blocks of rows, each with the slice of its rows."""
        from scipy.sparse import csr_array

        offsets = self.bags.offsets
        for start in range(0, len(self.weights), _BLOCK):
            rows = slice(start, min(start + _BLOCK, len(self.weights)))
            inside = offsets[rows.start : rows.stop + 1]
            values = np.repeat(self.weights[rows], np.diff(inside))
            ids = self.bags.ids[inside[0] : inside[-1]]
            shape = (rows.stop - rows.start, self.tokens)
            yield rows, csr_array((values, ids, inside - inside[0]), shape=shape)

    def diagonal(self) -> Float32:
        """Return nearly the diagonal of B^T B, `(tokens,)`: a token twice in a text counts as two texts."""
        total = np.zeros(self.tokens)
        for rows, block in self.blocks():
            values = np.repeat(self.weights[rows] ** 2, np.diff(block.indptr))
            total += np.bincount(block.indices, weights=values, minlength=self.tokens)
        return total.astype(np.float32)


def root_weights(bags: Bags) -> Float32:
    """Return the weight 1 / sqrt(n) of each text of n tokens, `(texts,)`; 0 without tokens."""
    lengths = bags.lengths
    return np.where(lengths > 0, 1 / np.sqrt(np.maximum(lengths, 1)), 0).astype(np.float32)


def ridge(rows: WeightedBags, cross: Float32, start: Float32, penalty: float, guess: Float32) -> Float32:
    """Return the token vectors `(tokens, dim)` that solve the ridge regression.

    `cross` is B^T Y, `start` is E0, and `guess` is where the iterations begin, all `(tokens, dim)`.
    """
    diagonal = rows.diagonal()[:, None] + np.float32(penalty)
    threads = thread_count()
    parts = [part for part in np.array_split(np.arange(cross.shape[1]), threads) if len(part)]

    def solve(columns: Any) -> Float32:
        """Solve for some columns of the token vectors."""
        wanted = cross[:, columns] + np.float32(penalty) * start[:, columns]
        scale = _gram(rows, start[:, columns], penalty)
        scale -= wanted
        return _conjugate_gradients(
            rows, wanted, penalty, diagonal, guess[:, columns], _energy(scale, diagonal)
        )

    with ThreadPoolExecutor(len(parts)) as pool:
        return np.concatenate(list(pool.map(solve, parts)), axis=1)


def _conjugate_gradients(
    rows: WeightedBags, wanted: Float32, penalty: float, diagonal: Float32, guess: Float32, scale: float
) -> Float32:
    """Solve for some columns; stop when the residual is small against `scale`, its value at E0."""
    found = np.ascontiguousarray(guess)
    residual = wanted - _gram(rows, found, penalty)
    direction = residual / diagonal
    energy = _dots(residual, direction)
    for _ in range(_ITERATIONS):
        if float(energy.sum()) <= _TOLERANCE**2 * scale:
            break
        image = _gram(rows, direction, penalty)
        step = energy / np.maximum(_dots(direction, image), np.finfo(np.float32).tiny)
        found += step * direction
        residual -= step * image
        scaled = residual / diagonal
        after = _dots(residual, scaled)
        direction = scaled + after / np.maximum(energy, np.finfo(np.float32).tiny) * direction
        energy = after
    return found


def _gram(rows: WeightedBags, vectors: Float32, penalty: float) -> Float32:
    """Return (B^T B + penalty I) times vectors, `(tokens, columns)`."""
    vectors = np.ascontiguousarray(vectors)
    total = np.float32(penalty) * vectors
    for _, block in rows.blocks():
        total += block.T @ (block @ vectors)
    return total


def cross_products(rows: WeightedBags, targets: Iterator[Float32]) -> Float32:
    """Return B^T Y, `(tokens, dim)`, for targets that come in the blocks of `rows.blocks()`."""
    total: Float32 | None = None
    for (_, block), part in zip(rows.blocks(), targets, strict=True):
        product = block.T @ part
        total = product if total is None else total + product
    assert total is not None
    return total


def _dots(first: Float32, second: Float32) -> Float32:
    """Return the inner product per column, `(columns,)`."""
    return np.asarray(np.einsum("ij,ij->j", first, second))


def _energy(residual: Float32, diagonal: Float32) -> float:
    return float(_dots(residual, residual / diagonal).sum())
