"""Networks of embedkit's own as the BERT that equals them, which every library opens.

Post norm N(x + B(x) / alpha), as of DeepNorm, is BERT's N(x + B(x)) when the weights of the branch's last
layer are divided by alpha.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import orjson

from embedkit.data.arrays import Float32
from embedkit.data.atomic import write_whole
from embedkit.embedding.architectures.model_type import difference_from_bert, is_own
from embedkit.errors import ModelError

_WEIGHTS, _CONFIG = "model.safetensors", "config.json"
_LAST = ("mixing.branch.output.", "feed_forward.branch.output.")  # layers of branches
_NAMES = (  # patterns of our names, and BERT's
    (r"embeddings\.norm\.", "embeddings.LayerNorm."),
    (r"layers\.(\d+)\.mixing\.branch\.output\.", r"encoder.layer.\1.attention.output.dense."),
    (r"layers\.(\d+)\.mixing\.branch\.", r"encoder.layer.\1.attention.self."),
    (r"layers\.(\d+)\.mixing\.norm\.", r"encoder.layer.\1.attention.output.LayerNorm."),
    (r"layers\.(\d+)\.feed_forward\.branch\.inner\.", r"encoder.layer.\1.intermediate.dense."),
    (r"layers\.(\d+)\.feed_forward\.branch\.output\.", r"encoder.layer.\1.output.dense."),
    (r"layers\.(\d+)\.feed_forward\.norm\.", r"encoder.layer.\1.output.LayerNorm."),
)
_KEPT = (  # settings under the same names in BERT's configuration
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
    "hidden_act", "max_position_embeddings", "pad_token_id", "hidden_dropout_prob",
    "attention_probs_dropout_prob", "layer_norm_eps", "initializer_range", "dtype", "output_hidden_states",
)  # fmt: skip


def require_plain_equal(config: Mapping[str, object], *, where: str) -> None:
    """Raise ModelError for a network of embedkit's own that no BERT equals."""
    if is_own(config) and (difference := difference_from_bert(config)):
        raise ModelError(
            f"has a network that sentence-transformers does not know ({difference})",
            where=where,
            hint="copy its folder, which embedkit reads everywhere, or distil it into a plain model",
        )


def make_plain(folder: Path) -> None:
    """Replace a network of embedkit's own in a folder by the BERT that equals it; other models stay."""
    from safetensors.numpy import load_file, save

    config = orjson.loads((folder / _CONFIG).read_bytes())
    if not is_own(config):
        return
    weights = load_file(folder / _WEIGHTS)
    kept = {name: config[name] for name in _KEPT if name in config}
    bert = {"model_type": "bert", "architectures": ["BertModel"], "type_vocab_size": 1, **kept}
    write_whole(folder / _WEIGHTS, save(bert_weights(weights, config["residual_scale"]), {"format": "pt"}))
    write_whole(folder / _CONFIG, orjson.dumps(bert, option=orjson.OPT_INDENT_2) + b"\n")


def bert_weights(weights: Mapping[str, Float32], alpha: float) -> dict[str, Float32]:
    """Return the weights of embedkit's own network under BERT's names, with the residual's scale removed."""
    width = weights["embeddings.word_embeddings.weight"].shape[1]
    found = {"embeddings.token_type_embeddings.weight": np.zeros((1, width), dtype=np.float32)}
    for name, weight in weights.items():
        is_last = any(part in name for part in _LAST)
        scaled = (weight / alpha).astype(np.float32) if is_last else weight
        found[_bert_name(name)] = np.ascontiguousarray(scaled)
    return found


def _bert_name(name: str) -> str:
    for pattern, other in _NAMES:
        if re.match(pattern, name):
            return re.sub(pattern, other, name)
    return name
