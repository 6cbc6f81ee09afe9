"""A wider start: the model in a folder becomes one of twice the width with the same vectors, up to a factor
(kexue.fm 8444).
"""

from __future__ import annotations

from pathlib import Path

import orjson

from embedkit.data.atomic import write_whole
from embedkit.embedding.architectures.blocks.registration import register
from embedkit.embedding.architectures.widening import widened, widened_head
from embedkit.embedding.model_files import MODULES
from embedkit.embedding.students import STORY
from embedkit.errors import ModelError
from embedkit.training.pretraining.prediction_head import kept_head, save_head

_KEPT_STEPS = ("Transformer", "Pooling", "Normalize")  # steps that work at any width


def widen(folder: Path, seed: int, *, where: str) -> None:
    """Double the width of the model in a folder, and of its head for masked tokens if it has one.

    The vectors of texts are (v, v) / sqrt(2) for the vectors v before, so all similarities stay. Raises
    ModelError for a model that cannot be widened.
    """
    from transformers import AutoModel

    types = [str(step["type"]).rpartition(".")[2] for step in orjson.loads((folder / MODULES).read_bytes())]
    if others := [name for name in types if name not in _KEPT_STEPS]:
        raise ModelError(f"has a {others[0]} step, which has a width of its own", where=where)
    register()
    model, head = AutoModel.from_pretrained(folder), kept_head(folder)
    widened(model, seed=seed).save_pretrained(folder)
    if head is not None:
        save_head(widened_head(head, seed=seed + 1), folder)
    pooling = folder / "1_Pooling" / "config.json"
    _double(pooling, "word_embedding_dimension", "embedding_dimension")
    _double(folder / STORY, "dimension")


def _double(file: Path, *names: str) -> None:
    """Double these numbers in a file of JSON; numbers that it lacks are left out."""
    values = orjson.loads(file.read_bytes())
    values |= {name: 2 * values[name] for name in names if name in values}
    write_whole(file, orjson.dumps(values, option=orjson.OPT_INDENT_2) + b"\n")
