"""Fitting of token vectors to a teacher's vectors: the start, the regression, the refinement, the choices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from embedkit.data.arrays import Float32
from embedkit.data.vectors.shards import SHARD_ROWS
from embedkit.embedding.encoder import Encoder, unit_length
from embedkit.embedding.static.bags import Bags
from embedkit.embedding.static.static_encoder import means
from embedkit.training.distillation.distill_settings import DistillSettings
from embedkit.training.distillation.quality import agreement, mean_cosine
from embedkit.training.distillation.refinement import refine
from embedkit.training.distillation.ridge import WeightedBags, cross_products, ridge, root_weights
from embedkit.training.distillation.static_tokens import add_words, frequent_words, surfaces
from embedkit.training.distillation.teacher_vectors import Corpus

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_SIF = 1e-3
_PENALTIES = (3.0, 1.0, 0.3, 0.1, 0.03)  # from strong to weak, until the held-out texts fit worse


class Fitted(NamedTuple):
    """A fitted table, and how it was chosen."""

    tokenizer: Tokenizer
    table: Float32  # (tokens, dim)
    penalty: float
    refined: bool


def fit_table(
    corpus: Corpus,
    encoder: Encoder,
    tokenizer: Tokenizer,
    settings: DistillSettings,
    scratch: Path,
    on_step: Callable[[str], None],
) -> Fitted:
    """Return the token vectors that fit the teacher's vectors of the corpus best on its held-out rows."""
    if settings.vocabulary:
        on_step("counting words")
        texts = (text for shard in corpus.texts() for text in shard)
        tokenizer = add_words(tokenizer, frequent_words(tokenizer, texts, settings.vocabulary))
    on_step("reading tokens")
    bags = corpus.bags(tokenizer, scratch / "ids.bin")
    size = tokenizer.get_vocab_size()
    rows = WeightedBags(bags, np.where(corpus.held_out, 0, root_weights(bags)).astype(np.float32), size)
    projection = principal_axes(corpus, settings.dim)
    start = starting_vectors(encoder, tokenizer, bags) @ projection
    held = bags.take(np.flatnonzero(corpus.held_out))
    teacher = corpus.held_out_rows()[1]
    on_step("fitting token vectors")
    table, penalty = _fit_ridge(rows, corpus, projection, start, held, teacher @ projection)
    if not settings.refine:
        return Fitted(tokenizer, table, penalty, refined=False)
    on_step("refining by the teacher's similarities")
    taught = int((~corpus.held_out).sum())
    other = refine(table, lambda rng: corpus.lessons(bags, rng), taught, projection, seed=settings.seed)
    before, after = (agreement(teacher, means(held, each)).overlap for each in (table, other))
    better = after > before
    return Fitted(tokenizer, other if better else table, penalty, refined=better)


def _fit_ridge(
    rows: WeightedBags, corpus: Corpus, projection: Float32, start: Float32, held: Bags, teacher: Float32
) -> tuple[Float32, float]:
    """Return the solution whose mean cosine on the held-out rows is highest, and its penalty."""
    targets = (corpus.vectors(part) @ projection for part, _ in rows.blocks())
    cross = cross_products(rows, targets)
    start = start * _best_scale(rows, cross, start)
    best, chosen, highest = start, _PENALTIES[0], -np.inf
    guess = start
    for penalty in _PENALTIES:
        guess = ridge(rows, cross, start, penalty, guess)
        cosine = mean_cosine(means(held, guess), teacher)
        if cosine <= highest:
            break
        best, chosen, highest = guess, penalty, cosine
    return best, chosen


def _best_scale(rows: WeightedBags, cross: Float32, start: Float32) -> np.float32:
    """Return the factor c for which B (c E0) is nearest to Y."""
    square = sum(float(np.sum((block @ start) ** 2)) for _, block in rows.blocks())
    return np.float32(float(np.sum(cross * start)) / max(square, np.finfo(np.float32).tiny))


def principal_axes(corpus: Corpus, dim: int | None) -> Float32:
    """Return the projection `(teacher's dimension, dim)` to the axes with the largest second moments.

    About the origin and not the mean, because cosines are about the origin. It is the identity if `dim` is
    None or not below the teacher's dimension.
    """
    full = corpus.set.meta.dimension
    if dim is None or dim >= full:
        return np.eye(full, dtype=np.float32)
    _, axes = np.linalg.eigh(corpus.second_moment())
    return np.ascontiguousarray(axes[:, ::-1][:, :dim], dtype=np.float32)


def starting_vectors(encoder: Encoder, tokenizer: Tokenizer, bags: Bags) -> Float32:
    """Return the teacher's unit vectors of the tokens, times a / (a + p) of each token's frequency p.

    `(tokens, teacher's dimension)`. Special tokens and the unknown token have zeros.
    """
    texts = surfaces(tokenizer)
    unknown = getattr(tokenizer.model, "unk_token", None)
    if unknown is not None and (place := tokenizer.token_to_id(unknown)) is not None:
        texts[place] = ""
    known = [place for place, text in enumerate(texts) if text]
    vectors = np.zeros((len(texts), encoder.identity.dimension), dtype=np.float32)
    for first in range(0, len(known), SHARD_ROWS):
        part = known[first : first + SHARD_ROWS]
        vectors[part] = unit_length(encoder.encode([texts[place] for place in part]))
    counts = np.zeros(len(texts))
    step = 1 << 22
    for first in range(0, len(bags.ids), step):
        counts += np.bincount(bags.ids[first : first + step], minlength=len(texts))
    frequency = counts / max(1.0, counts.sum())
    return np.asarray(vectors * (_SIF / (_SIF + frequency))[:, None], dtype=np.float32)
