"""The tokens of a static encoder: its teacher's, and whole words that are frequent in the corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from embedkit.embedding.static.chunks import Chunker
from embedkit.errors import ModelError, UsageError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_FEWEST = 5  # occurrences of a word that becomes a token
_CUT_TOGETHER = 1000  # texts
_MOST_COUNTED = 1 << 21  # distinct words counted at a time; beyond it, words seen once are dropped


def read_tokenizer(folder: Path, *, where: str) -> Tokenizer:
    """Return the tokenizer in a model's folder, without special tokens, truncation and padding."""
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    if not file.is_file():
        raise ModelError(
            "has no tokenizer.json, which a static encoder needs",
            where=where,
            hint="save the model with a fast tokenizer of transformers",
        )
    parts = orjson.loads(file.read_bytes())
    parts |= {"post_processor": None, "truncation": None, "padding": None}
    return Tokenizer.from_str(orjson.dumps(parts).decode())


def add_words(tokenizer: Tokenizer, words: Iterable[str]) -> Tokenizer:
    """Return the tokenizer with words as further tokens, numbered after its own.

    WordPiece takes the longest token that fits, and so the whole word. Unigram takes the most probable
    division; a word has probability one, and so is never divided. Raises UsageError for other models, whose
    merges decide what becomes a token.
    """
    from tokenizers import Tokenizer

    parts: dict[str, Any] = orjson.loads(tokenizer.to_str())
    model, size = parts["model"], tokenizer.get_vocab_size()
    if model["type"] == "WordPiece":
        model["vocab"] |= {word: size + place for place, word in enumerate(words)}
    elif model["type"] == "Unigram":
        model["vocab"] += [[f"▁{word}", 0.0] for word in words]
    else:
        raise UsageError(
            f"cannot add words to a {model['type']} tokenizer, only to WordPiece and Unigram",
            where="`vocabulary`",
        )
    return Tokenizer.from_str(orjson.dumps(parts).decode())


def frequent_words(tokenizer: Tokenizer, texts: Iterable[str], most: int) -> list[str]:
    """Return up to `most` words of the texts that are not yet tokens, the most frequent first.

    Words are what the tokenizer's own pre-tokenizer divides texts into; each occurs at least five times.
    """
    chunker = Chunker.of(tokenizer)
    chunks: Counter[str] = Counter()
    remaining = iter(texts)
    while some := list(islice(remaining, _CUT_TOGETHER)):
        if chunker is None:
            chunks.update(chain.from_iterable(map(str.split, some)))
        else:
            cut = chunker.cut(some)
            counts = np.bincount(cut.codes, minlength=len(cut.distinct))
            chunks.update(dict(zip(cut.distinct, counts.tolist(), strict=True)))
        if len(chunks) > _MOST_COUNTED:
            chunks = Counter({chunk: count for chunk, count in chunks.items() if count > 1})
    words: Counter[str] = Counter()
    for chunk, count in chunks.items():
        for word in _words(tokenizer, chunk):
            words[word] += count
    known = tokenizer.get_vocab()
    new = (
        word
        for word, count in words.most_common()
        if count >= _FEWEST and word not in known and f"▁{word}" not in known
    )
    return list(islice(new, most))


def _words(tokenizer: Tokenizer, chunk: str) -> list[str]:
    normal = tokenizer.normalizer.normalize_str(chunk) if tokenizer.normalizer else chunk
    if tokenizer.pre_tokenizer is None:
        return [normal]
    return [
        word.lstrip("▁") for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal) if word.strip("▁")
    ]


def surfaces(tokenizer: Tokenizer) -> list[str]:
    """Return a text for every token id, in order: the token without marks such as ## and ▁; special tokens
    have an empty text.
    """
    tokens = sorted(tokenizer.get_vocab(with_added_tokens=True).items(), key=lambda each: each[1])
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
    prefix = getattr(tokenizer.model, "continuing_subword_prefix", None) or "##"
    texts = []
    for token, number in tokens:
        decoded = tokenizer.decode([number], skip_special_tokens=False)
        text = decoded.removeprefix(prefix).replace("▁", " ").strip()
        texts.append("" if token in special else text or token)
    return texts
