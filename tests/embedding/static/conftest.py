"""Small static encoders in the layouts of sentence-transformers and model2vec."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

LINES = [
    "the heart pumps blood, and the lungs take in air",
    "Café crème, naïve résumé; the HEART of the matter!",
    "one two three four five six seven eight nine ten",
    "中文 句子 也 可以 编码。心脏输送血液",
    "e-mail me at someone@example.org, or don't",
]


def make_tokenizer(kind: str = "wordpiece") -> Tokenizer:
    """Train a tokenizer on the lines: WordPiece as BERT has, Unigram as XLM-R, or byte-level BPE as GPT-2."""
    if kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        trainer = trainers.WordPieceTrainer(vocab_size=160, special_tokens=special, show_progress=False)
    elif kind == "unigram":
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.normalizer = normalizers.NFKC()
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=120, special_tokens=["<pad>", "<unk>"], unk_token="<unk>", show_progress=False
        )
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
        trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<|end|>"], show_progress=False)
    tokenizer.train_from_iterator(LINES * 3, trainer)
    return tokenizer


@pytest.fixture
def static_folder(tmp_path) -> Callable[..., Path]:
    """A function that writes a static encoder of sentence-transformers and returns its folder."""

    def write(
        kind: str = "wordpiece", *, below: str = "", normalize: bool = True, dtype: str = "float32"
    ) -> Path:
        tokenizer = make_tokenizer(kind)
        folder = tmp_path / f"{kind}{below}{normalize}{dtype}"
        (folder / below).mkdir(parents=True)
        tokenizer.save(str(folder / below / "tokenizer.json"))
        table = np.random.default_rng(1).standard_normal((tokenizer.get_vocab_size(), 24)).astype(dtype)
        save_file({"embedding.weight": table}, folder / below / "model.safetensors")
        package = "sentence_transformers.models"
        modules = [{"idx": 0, "name": "0", "path": below, "type": f"{package}.StaticEmbedding"}]
        if normalize:
            modules.append({"idx": 1, "name": "1", "path": "1_Normalize", "type": f"{package}.Normalize"})
        (folder / "modules.json").write_text(json.dumps(modules))
        return folder

    return write
