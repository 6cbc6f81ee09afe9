"""Another vocabulary for a pretrained model: a learnt one, or its own and frequent words of a corpus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from torch import Tensor

from embedkit.data.atomic import write_whole
from embedkit.embedding.architectures.blocks.registration import register
from embedkit.errors import ModelError
from embedkit.training.distillation.static_tokens import add_words, frequent_words
from embedkit.training.pretraining.corpus import Row
from embedkit.training.pretraining.prediction_head import kept_head, save_head
from embedkit.training.pretraining.pretrain_settings import PretrainSettings
from embedkit.training.pretraining.token_origins import Origins, from_origins, origins_of
from embedkit.training.pretraining.vocabulary import learn_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ADDED_WORDS = 2000  # words that `extend` adds unless the settings say otherwise
_COUNTED = 1000  # texts whose tokens are counted
_FROM_PADDING = (
    "roberta",
    "xlm-roberta",
    "camembert",
    "mpnet",
    "longformer",
    "xmod",
)  # positions start there
_TOKENIZER_FILES = (
    "tokenizer*.json", "vocab*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "*.model",
    "*.spm",
)  # fmt: skip
_OF_HEAD = ("cls.", "lm_head.")  # tensors of a head for masked tokens, by the beginning of their names


class TokensPerText(NamedTuple):
    """The mean number of tokens per text with the old and with the new vocabulary, special ones left out."""

    before: float
    after: float

    def __str__(self) -> str:
        change = self.after / max(self.before, 1e-9) - 1
        return f"{self.before:.1f} tokens per text before, {self.after:.1f} now ({change:+.0%})"


def change_vocabulary(folder: Path, settings: PretrainSettings, rows: Sequence[Row]) -> TokensPerText:
    """Change the vocabulary of the model in a folder as the settings say: its tokenizer, its embeddings, and
    the bias of its head for masked tokens.

    Raises ModelError for a model whose positions or tokenizer do not allow it.
    """
    from transformers import AutoTokenizer

    old = AutoTokenizer.from_pretrained(folder)
    if settings.vocabulary == "extend":
        new = _extended(folder, old, settings.vocabulary_size or ADDED_WORDS, rows)
    else:
        new = _learnt(folder, settings, rows, size=len(old))
    _write_embeddings(folder, origins_of(old, new), new, where=settings.model)
    for pattern in _TOKENIZER_FILES:
        for file in folder.glob(pattern):
            file.unlink()
    new.save_pretrained(folder)
    texts = [text for row in rows[:_COUNTED] for text in row]
    before, after = (
        sum(map(len, each(texts, add_special_tokens=False, verbose=False)["input_ids"])) / len(texts)
        for each in (old, new)
    )
    return TokensPerText(before, after)


def _learnt(
    folder: Path, settings: PretrainSettings, rows: Sequence[Row], *, size: int
) -> PreTrainedTokenizerBase:
    config, reads = _json(folder / "config.json"), _json(folder / "sentence_bert_config.json")
    if config.get("model_type") in _FROM_PADDING:
        what = f"positions of {config['model_type']} are counted from the id of padding"
        raise ModelError(what, where=settings.model, hint="use `vocabulary=extend`")
    length = (
        settings.max_length or reads.get("max_seq_length") or config.get("max_position_embeddings") or 512
    )
    return learn_tokenizer(
        _texts(rows),
        settings.tokens or "wordpiece",
        settings.vocabulary_size or size,
        max_length=int(length),
        lowercase=settings.lowercase is not False,
    )


def _extended(
    folder: Path, old: PreTrainedTokenizerBase, most: int, rows: Sequence[Row]
) -> PreTrainedTokenizerBase:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    own = Tokenizer.from_file(str(folder / "tokenizer.json"))
    own.no_truncation()
    own.no_padding()
    words = frequent_words(own, _texts(rows), most)
    special = {name: value for name, value in old.special_tokens_map.items() if isinstance(value, str)}
    return PreTrainedTokenizerFast(
        tokenizer_object=add_words(own, words),
        model_max_length=old.model_max_length,
        model_input_names=old.model_input_names,
        padding_side=old.padding_side,
        **special,
    )


def _texts(rows: Sequence[Row]) -> Iterator[str]:
    return (text for row in rows for text in row)


def _write_embeddings(folder: Path, origins: Origins, new: PreTrainedTokenizerBase, *, where: str) -> None:
    """Replace the embeddings in the folder's weights, and the bias of the head; the head's weights move to a
    file of their own.
    """
    from safetensors.torch import load_file, save_file
    from transformers import AutoModel

    file = folder / "model.safetensors"
    if not file.is_file():
        raise ModelError("has its weights in several files", where=where, hint="save it as a single one")
    register()
    model = AutoModel.from_pretrained(folder)
    embeddings = model.get_input_embeddings().weight
    name = next(name for name, value in model.named_parameters() if value is embeddings)
    weights: dict[str, Tensor] = load_file(file)
    if (head := kept_head(folder)) is not None:
        save_head({**head, "bias": from_origins(head["bias"], origins)}, folder)
    weights = {key: value for key, value in weights.items() if not key.startswith(_OF_HEAD)}
    save_file({**weights, name: from_origins(weights[name], origins)}, file, {"format": "pt"})
    config = _json(folder / "config.json") | {"vocab_size": len(origins), "pad_token_id": new.pad_token_id}
    write_whole(folder / "config.json", orjson.dumps(config, option=orjson.OPT_INDENT_2) + b"\n")


def _json(path: Path) -> dict[str, Any]:
    return dict(orjson.loads(path.read_bytes())) if path.is_file() else {}
