"""The folder of a distilled encoder, which sentence-transformers and model2vec also open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from embedkit.data.arrays import Float32
from embedkit.data.atomic import write_whole
from embedkit.data.identity import Identity
from embedkit.embedding.export.model_card import model_card
from embedkit.embedding.export.sentence_transformers import FORMAT, VERSION
from embedkit.embedding.students import STORY
from embedkit.training.distillation.distill_settings import DistillSettings
from embedkit.version import __version__

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_PACKAGE = "sentence_transformers.models"
_MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": f"{_PACKAGE}.StaticEmbedding"},
    {"idx": 1, "name": "1", "path": "1_Normalize", "type": f"{_PACKAGE}.Normalize"},
]


def write_encoder(folder: Path, tokenizer: Tokenizer, table: Float32) -> None:
    """Write the files that give the vectors: the tokenizer, the table `(tokens, dim)`, and the two steps.

    The table is called `embeddings`, a name that both libraries read. model2vec is told not to cut texts, as
    sentence-transformers does not. It leaves out unknown tokens, whose vector is zero here, so that both give
    the same vectors of unit length.
    """
    from safetensors.numpy import save

    tokenizer.save(str(folder / "tokenizer.json"))
    write_whole(folder / "model.safetensors", save({"embeddings": table}, {"format": "pt"}))
    _write_json(folder / "modules.json", _MODULES)
    (folder / "1_Normalize").mkdir()
    _write_json(folder / "1_Normalize" / "config.json", {})
    own = {"model_type": "model2vec", "architectures": ["StaticModel"], "normalize": True, "max_length": None}
    _write_json(folder / "config.json", own | {"hidden_dim": table.shape[1]})
    prompts = {"query": "", "document": ""}
    _write_json(
        folder / "config_sentence_transformers.json",
        {"prompts": prompts, "default_prompt_name": None, "similarity_fn_name": "cosine"},
    )


def write_story(
    folder: Path,
    teacher: Identity,
    made: Identity,
    settings: DistillSettings,
    facts: Mapping[str, object],
    rows: Mapping[str, str],
) -> None:
    """Write the provenance: `embedkit.json` with `facts`, a model card with `rows`, and `train.toml`."""
    import tomli_w

    story = {"format": FORMAT, "version": VERSION, "made by": "embedkit distill", "embedkit": __version__}
    story |= {"base": teacher.to_json(), "dimension": made.dimension, "distilled": dict(facts)}
    _write_json(folder / STORY, story)
    how = f"distilled by embedkit {__version__} into one vector per token, without a network"
    write_whole(folder / "README.md", model_card(teacher, made, how=how, facts=dict(rows)).encode())
    values = {name: value for name, value in asdict(settings).items() if value is not None}
    head = f"# The settings of embedkit distill {__version__}.\n"
    write_whole(folder / "train.toml", (head + tomli_w.dumps(values)).encode())


def _write_json(path: Path, value: object) -> None:
    write_whole(path, orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n")
