"""Tiny models with random weights, built here and saved as folders, one of each family."""

from __future__ import annotations

import functools
import os
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

WORDS = """
the a quick brown fox jumps over lazy dog cat sat on mat how do i copy whole directory tree where is night day
city river was founded in by of and to from with under old new stone bridge king queen wrote song about
""".split()  # noqa: SIM905
TEXTS = [
    "the quick brown fox jumps over the lazy dog",
    "fox",
    "",
    "how do i copy a whole directory tree?",
    "中文 句子",
    "THE OLD STONE BRIDGE",
    "unseenword zzz!",
    " ".join(random.Random(0).choices(WORDS, k=150)),  # longer than any of the models reads
    *(" ".join(random.Random(seed).choices(WORDS, k=seed + 2)) for seed in range(1, 12)),
]

ModelMaker = Callable[[str], Path]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ModelMaker:
    """Return the function that gives the folder of a tiny model by its name; each is built once."""
    root = tmp_path_factory.mktemp("models")

    @functools.cache
    def make(name: str) -> Path:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of transformers, about its own changes
            return BUILDERS[name](root / name)

    return make


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep conversions of this session in a folder of their own."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["EMBEDKIT_CACHE"] = str(folder)
    return folder


@functools.cache
def sentence_transformers_vectors(folder: Path) -> np.ndarray[Any, Any]:
    """Return the vectors of TEXTS that sentence-transformers gives, one text at a time: the oracle."""
    from sentence_transformers import SentenceTransformer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        if model.tokenizer.pad_token is None:
            model.tokenizer.pad_token = model.tokenizer.eos_token  # asked for, though not used
        return np.asarray(model.encode(TEXTS, batch_size=1, show_progress_bar=False))


def assert_close(found: Any, expected: Any, within: float = 1e-5) -> None:
    """Require vectors to be as near to the expected ones as a share of the longest one's length.

    Rounding follows the size of what is summed, and no processor rounds like another.
    """
    length = float(np.linalg.norm(expected, axis=1).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=within * max(1.0, length))


def word_pieces() -> Any:
    """Return a lower-casing WordPiece tokenizer over WORDS, letters and a few Chinese characters."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    letters = "abcdefghijklmnopqrstuvwxyz?!"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys([*WORDS, *letters])]
    pieces += [f"##{letter}" for letter in letters] + ["中", "文", "句"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def byte_pairs() -> Any:
    """Return a byte-level BPE tokenizer trained on WORDS, with RoBERTa's special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(WORDS)] * 4, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def save_transformer(folder: Path, model: Any, tokenizer: Any, limit: int, **special: Any) -> Path:
    """Save a transformers model and its tokenizer as a plain folder."""
    from transformers import PreTrainedTokenizerFast

    model.save_pretrained(folder)
    outer = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=limit, **special)
    outer.save_pretrained(folder)
    return folder


def save_steps(folder: Path, *steps: Callable[[int], Any], plain: Path, **settings: Any) -> Path:
    """Put steps behind a plain model and save all of it; each step is made from the width before it."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Transformer

    modules = [Transformer(str(plain))]
    width = modules[0].get_embedding_dimension()
    for step in steps:
        modules.append(step(width))
        width = getattr(modules[-1], "pooling_output_dimension", width)
    model = SentenceTransformer(modules=modules, device="cpu", **settings)
    model.save(str(folder), create_model_card=False)
    return folder


_SIZES: Any = {"num_hidden_layers": 3, "num_attention_heads": 4, "hidden_size": 32, "intermediate_size": 64}
_BERT = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
_ROBERTA = {
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "cls_token": "<s>",
}


def _plain_bert(folder: Path) -> Path:
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(1)
    tokenizer = word_pieces()
    size = tokenizer.get_vocab_size()
    config = BertConfig(vocab_size=size, max_position_embeddings=48, initializer_range=0.3, **_SIZES)
    return save_transformer(folder, BertModel(config), tokenizer, 48, **_BERT)


def _bert(folder: Path) -> Path:
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling

    plain = _plain_bert(folder.with_name(f"{folder.name}-plain"))
    return save_steps(folder, lambda width: Pooling(width, "mean"), lambda _: Normalize(), plain=plain)


def _dense(folder: Path) -> Path:
    import torch
    from sentence_transformers.sentence_transformer.modules import Dense, Pooling

    plain = _plain_bert(folder.with_name(f"{folder.name}-plain"))
    torch.manual_seed(2)
    return save_steps(
        folder, lambda width: Pooling(width, ("cls", "mean")), lambda width: Dense(width, 24), plain=plain
    )


def _prompted(folder: Path) -> Path:
    from sentence_transformers.sentence_transformer.modules import Pooling

    plain = _plain_bert(folder.with_name(f"{folder.name}-plain"))
    return save_steps(
        folder,
        lambda width: Pooling(width, "mean", include_prompt=False),
        plain=plain,
        prompts={"query": "how do i ", "document": ""},
    )


def _mpnet(folder: Path) -> Path:
    import torch
    from transformers import MPNetConfig, MPNetModel

    torch.manual_seed(3)
    tokenizer = word_pieces()
    size = tokenizer.get_vocab_size()
    config = MPNetConfig(vocab_size=size, max_position_embeddings=50, pad_token_id=0, **_SIZES)
    return save_transformer(folder, MPNetModel(config), tokenizer, 48, **_BERT)


def _roberta(folder: Path) -> Path:
    import torch
    from transformers import RobertaConfig, RobertaModel

    torch.manual_seed(4)
    tokenizer = byte_pairs()
    size = tokenizer.get_vocab_size()
    config = RobertaConfig(vocab_size=size, max_position_embeddings=50, pad_token_id=1, **_SIZES)
    return save_transformer(folder, RobertaModel(config), tokenizer, 48, **_ROBERTA)


def _distilbert(folder: Path) -> Path:
    import torch
    from transformers import DistilBertConfig, DistilBertModel

    torch.manual_seed(5)
    tokenizer = word_pieces()
    config = DistilBertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=48,
        n_layers=3,
        n_heads=4,
        dim=32,
        hidden_dim=64,
    )
    return save_transformer(folder, DistilBertModel(config), tokenizer, 48, **_BERT)


def _without_padding(folder: Path) -> Path:
    import torch
    from transformers import GPT2Config, GPT2Model

    torch.manual_seed(6)
    tokenizer = byte_pairs()
    config = GPT2Config(vocab_size=tokenizer.get_vocab_size(), n_positions=48, n_embd=32, n_layer=2, n_head=4)
    return save_transformer(folder, GPT2Model(config), tokenizer, 48, eos_token="</s>")


def _gated(folder: Path, family: str) -> Path:
    """A decoder with gated layers, grouped heads and rotary positions, as Llama, Qwen and Gemma have them."""
    import torch
    import transformers

    torch.manual_seed(8)
    tokenizer = byte_pairs()
    config = getattr(transformers, f"{family}Config")(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=16, max_position_embeddings=48,
        pad_token_id=1, bos_token_id=0, eos_token_id=2,
    )  # fmt: skip
    model = getattr(transformers, f"{family}Model")(config)
    return save_transformer(folder, model, tokenizer, 48, pad_token="<pad>", eos_token="</s>")


def _llama(folder: Path) -> Path:
    return _gated(folder, "Llama")


def _gemma(folder: Path) -> Path:
    return _gated(folder, "Gemma3Text")


def _typed(folder: Path, single: str, model: Any) -> Path:
    """Save a model whose tokenizer gives types to tokens, as the template `single` says."""
    from tokenizers.processors import TemplateProcessing

    tokenizer = word_pieces()
    special = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = TemplateProcessing(single=single, special_tokens=special)
    names: Any = ["input_ids", "token_type_ids", "attention_mask"]
    return save_transformer(folder, model, tokenizer, 48, model_input_names=names, **_BERT)


def _typed_bert(folder: Path) -> Path:
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(9)
    size = word_pieces().get_vocab_size()
    config = BertConfig(vocab_size=size, max_position_embeddings=48, initializer_range=0.3, **_SIZES)
    return _typed(folder, "[CLS]:0 $A:1 [SEP]:1", BertModel(config))


def _xlnet(folder: Path) -> Path:
    import torch
    from transformers import XLNetConfig, XLNetModel

    torch.manual_seed(10)
    config = XLNetConfig(
        vocab_size=word_pieces().get_vocab_size(), d_model=32, n_layer=2, n_head=4, d_inner=64,
        initializer_range=0.3,
    )  # fmt: skip
    return _typed(folder, "$A:0 [SEP]:0 [CLS]:2", XLNetModel(config))


def _funnel(folder: Path) -> Path:
    import torch
    from transformers import FunnelConfig, FunnelModel

    torch.manual_seed(11)
    config = FunnelConfig(
        vocab_size=word_pieces().get_vocab_size(), block_sizes=[1, 1], d_model=32, n_head=4, d_head=8,
        d_inner=64, initializer_std=0.3,
    )  # fmt: skip
    return _typed(folder, "[CLS]:2 $A:0 [SEP]:0", FunnelModel(config))


def _slow(folder: Path) -> Path:
    """A model whose tokenizer exists in Python only."""
    import torch
    from transformers import EsmConfig, EsmModel, EsmTokenizer

    torch.manual_seed(7)
    folder.mkdir()
    tokens = ["<cls>", "<pad>", "<eos>", "<unk>", *"abcdefghijklmnopqrstuvwxyz", "<mask>"]
    (folder / "vocab.txt").write_text("\n".join(tokens), encoding="utf-8")
    EsmTokenizer(str(folder / "vocab.txt"), model_max_length=48).save_pretrained(folder)
    config = EsmConfig(
        vocab_size=len(tokens), mask_token_id=len(tokens) - 1, pad_token_id=1, max_position_embeddings=50,
        position_embedding_type="rotary", **_SIZES,
    )  # fmt: skip
    EsmModel(config).save_pretrained(folder)
    return folder


BUILDERS: dict[str, Callable[[Path], Path]] = {
    "bert": _bert, "plain-bert": _plain_bert, "dense": _dense, "prompted": _prompted, "mpnet": _mpnet,
    "roberta": _roberta, "distilbert": _distilbert, "without-padding": _without_padding, "slow": _slow,
    "llama": _llama, "gemma": _gemma, "typed-bert": _typed_bert, "xlnet": _xlnet, "funnel": _funnel,
}  # fmt: skip
