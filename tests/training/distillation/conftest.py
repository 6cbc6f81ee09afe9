"""A teacher whose best student is known: it averages planted token vectors, as a static encoder does."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from embedkit.data.identity import Identity
from embedkit.embedding.encoder import unit_length

WORDS = [f"w{number}" for number in range(120)]
DIM = 16


def word_tokenizer() -> Tokenizer:
    vocabulary = {word: place for place, word in enumerate(["[UNK]", "[PAD]", *WORDS])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(["[UNK]", "[PAD]"])
    return tokenizer


class Planted:
    """Means of planted token vectors, plus noise that depends on the text, at unit length."""

    def __init__(self, folder: Path, noise: float = 0.0, query_shift: float = 0.0) -> None:
        self.tokenizer = word_tokenizer()
        self.tokenizer.save(str(folder / "tokenizer.json"))
        self.folder = SimpleNamespace(name="planted", transformer_path=folder, is_static=False)
        self.table = np.random.default_rng(7).standard_normal((len(WORDS) + 2, DIM)).astype(np.float32)
        self.noise, self.query_shift, self.calls = noise, query_shift, 0
        self.identity = Identity(
            "planted", "0" * 16, DIM, normalized=True, query_prompt="query: " if query_shift else ""
        )

    def encode(self, texts, role="document"):
        self.calls += len(texts)
        vectors = np.zeros((len(texts), DIM), np.float32)
        for row, text in enumerate(self.tokenizer.encode_batch(list(texts), add_special_tokens=False)):
            if text.ids:
                vectors[row] = self.table[text.ids].mean(axis=0)
            noise = np.random.default_rng(sum(text.ids)).standard_normal(DIM)
            vectors[row] += self.noise * noise
        return unit_length(vectors + (self.query_shift if role == "query" else 0))


@pytest.fixture
def planted(tmp_path):
    folder = tmp_path / "teacher"
    folder.mkdir()
    return Planted(folder)


def random_texts(count: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    frequency = 1 / np.arange(1, len(WORDS) + 1)
    lengths = rng.integers(2, 12, count)
    return [" ".join(rng.choice(WORDS, size, p=frequency / frequency.sum())) for size in lengths]
