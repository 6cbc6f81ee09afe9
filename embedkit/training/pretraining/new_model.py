"""The base of a run from nothing: a vocabulary learnt from the corpus, and random weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import orjson
import torch

from embedkit.data.atomic import whole_folder, write_whole
from embedkit.embedding.architectures.registry import architecture
from embedkit.embedding.export.sentence_transformers import FORMAT, MARKER, VERSION
from embedkit.embedding.loading import load
from embedkit.embedding.model_files import SETTINGS
from embedkit.embedding.students import STORY
from embedkit.training.pretraining.corpus import Row
from embedkit.training.pretraining.pretrain_settings import DEFAULT, POSITIONS, PretrainSettings
from embedkit.training.pretraining.vocabulary import VOCABULARY_SIZE, learn_tokenizer
from embedkit.version import __version__

_PACKAGE = "sentence_transformers.models"
_MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": f"{_PACKAGE}.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{_PACKAGE}.Pooling"},
]


@dataclass(frozen=True)
class NewModel:
    """A model with random weights, and a vocabulary learnt from `rows` of text."""

    settings: PretrainSettings
    rows: list[Row]

    def make(self, folder: Path) -> None:
        """Write the model as a sentence-transformers folder with mean pooling.

        Raises DataError when the texts give no vocabulary.
        """
        wanted, length = self.settings, self.settings.max_length or POSITIONS
        tokenizer = learn_tokenizer(
            (text for row in self.rows for text in row),
            wanted.tokens or "wordpiece",
            wanted.vocabulary_size or VOCABULARY_SIZE,
            max_length=length,
            lowercase=wanted.lowercase is not False,
        )
        torch.manual_seed(wanted.seed)
        arch, padding = wanted.arch or DEFAULT, int(tokenizer.pad_token_id)
        model = architecture(arch).build(vocabulary=len(tokenizer), padding=padding, max_length=length)
        with whole_folder(folder) as part:
            model.save_pretrained(part)
            tokenizer.save_pretrained(part)
            _write_steps(part, int(model.get_input_embeddings().weight.shape[1]), length)
            made = load(str(part), runtime="torch", device="cpu").identity
            story = {"format": FORMAT, "version": VERSION, "made by": "embedkit pretrain"}
            story |= {"embedkit": __version__, "dimension": made.dimension}
            _write_json(part / STORY, story | {"base": replace(made, model=f"random {arch}").to_json()})

    def require_same(self, folder: Path) -> None:
        """Accept any folder: its texts are among the run's sources, which are compared."""


def _write_steps(folder: Path, width: int, max_length: int) -> None:
    """Write the two steps of the encoder: the transformer, and the mean of its vectors."""
    _write_json(folder / MARKER, _MODULES)
    _write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False})
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": width, "pooling_mode_mean_tokens": True}
    _write_json(folder / "1_Pooling" / "config.json", pooling)
    prompts = {"query": "", "document": ""}
    similarity = {"similarity_fn_name": "cosine", "default_prompt_name": None}
    _write_json(folder / SETTINGS, {"prompts": prompts, **similarity})


def _write_json(path: Path, value: object) -> None:
    write_whole(path, orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n")
