"""Export of an encoder and its map as a sentence-transformers folder that gives the same vectors.

The transformer's files are copied; steps, settings and prompts are written anew.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from embedkit.data.affine import AffineMap
from embedkit.data.atomic import refuse_existing, whole_file, whole_folder, write_whole
from embedkit.data.identity import Identity
from embedkit.data.tensors import rename_tensors
from embedkit.embedding.encoder import EncoderSettings, is_hashed, with_maps
from embedkit.embedding.export.layers import keep_layers
from embedkit.embedding.export.model_card import map_facts, model_card
from embedkit.embedding.export.plain_network import make_plain, require_plain_equal
from embedkit.embedding.export.plain_vectors import require_vectors
from embedkit.embedding.export.steps import Step, reads_all_layers, steps_of, transformer_folder
from embedkit.embedding.foreign_json import read_object
from embedkit.embedding.loading import has_network, load
from embedkit.embedding.model_folder import ModelFolder
from embedkit.embedding.model_reading import Reading, read
from embedkit.embedding.students import STORY
from embedkit.errors import ModelError
from embedkit.version import __version__

MARKER = "modules.json"  # both embedkit and sentence-transformers write it into every model folder
FORMAT, VERSION = "embedkit-model", 1

_TRANSFORMER_FILES = (
    "model*.safetensors", "model.safetensors.index.json", "config.json", "tokenizer*.json", "vocab*",
    "merges.txt", "special_tokens_map.json", "added_tokens.json", "*.model", "*.spm",
)  # fmt: skip


def export_model(
    path: Path,
    settings: EncoderSettings,
    transforms: Sequence[AffineMap] = (),
    *,
    layers: Sequence[int] | None = None,
    force: bool = False,
) -> Identity:
    """Write the encoder of `settings`, followed by the maps, as a sentence-transformers folder, with `layers`
    of its transformer, numbered from 0, or all of them.

    Prompts, pooling, length, truncation and normalisation become the folder's own. Plain
    sentence-transformers reads the folder back, and its vectors are compared, before the folder takes its
    place; a network of embedkit's own is written as the BERT that equals it. Returns the identity under which
    embedkit loads the folder. Raises ModelError when a model cannot be exported or gives other vectors, and
    ExistsError when the output exists.
    """
    base = _base(path, settings, force=force)
    require_plain_equal(base.folder.config, where=base.folder.name)
    return _write(path, base, transforms, layers=layers, finish=make_plain)


def copy_model(path: Path, settings: EncoderSettings) -> Identity:
    """Write the encoder of `settings` as `export_model` does, with a network of embedkit's own as it is."""
    return _write(path, _base(path, settings, force=False), finish=None)


def _base(path: Path, settings: EncoderSettings, *, force: bool) -> Any:
    """Return the encoder of `settings` in torch; raises what `export_model` raises before its work."""
    _refuse_hashed(settings)
    refuse_existing(path, force=force, marker=MARKER)
    _refuse_static(settings)
    return load(replace(settings, runtime="torch", precision="fp32", device="cpu"))


def _write(
    path: Path,
    base: Any,
    transforms: Sequence[AffineMap] = (),
    *,
    layers: Sequence[int] | None = None,
    finish: Callable[[Path], None] | None,
) -> Identity:
    """Write an encoder and its maps; `finish` changes the files of the transformer before the comparison."""
    settings = base.settings
    encoder = with_maps(base, transforms)
    transform = reduce(AffineMap.then, transforms) if transforms else None
    reading = read(base.folder, settings)
    steps = steps_of(base.folder, reading, settings.pooling, transform)
    with whole_folder(path) as folder:
        _write_transformer(
            folder, base.folder, reading, base.weights_prefix, all_layers=reads_all_layers(steps)
        )
        if finish is not None:
            finish(folder)
        _write_steps(folder, steps)
        _write_settings(folder, base.folder, reading)
        _write_story(folder, base, encoder.identity, transform, layers)
        _require_same(folder, encoder, where=str(path))
        if layers is not None:
            keep_layers(folder, layers, where=settings.model)
    return load(str(path), runtime="torch", device="cpu").identity


def _refuse_hashed(settings: EncoderSettings) -> None:
    if is_hashed(settings.model):
        raise ModelError(
            "sentence-transformers cannot load hashed n-grams",
            where=settings.model,
            hint="export the map alone, as map.faiss or map.safetensors",
        )


def _refuse_static(settings: EncoderSettings) -> None:
    if not has_network(settings):
        raise ModelError(
            "is a static encoder, which sentence-transformers loads as it is",
            where=settings.model,
            hint="copy its folder, and give maps to embedkit distill",
        )


def _write_transformer(
    folder: Path, source: ModelFolder, reading: Reading, prefix: str, *, all_layers: bool
) -> None:
    """Copy the tokenizer and the weights, under the model's own names; the settings always state float32."""
    below = transformer_folder(source)
    if not any(below.glob("model*.safetensors")):
        raise ModelError(
            "its weights are not safetensors, the only format that is exported",
            where=source.name,
            hint="save the model with sentence-transformers first",
        )
    for file in sorted({file for pattern in _TRANSFORMER_FILES for file in below.glob(pattern)}):
        _copy(file, folder / file.name)
        if prefix and file.suffix == ".safetensors":
            rename_tensors(folder / file.name, prefix)
        elif prefix and file.name == "model.safetensors.index.json":
            index = orjson.loads(file.read_bytes())
            index["weight_map"] = {
                name.removeprefix(prefix): place for name, place in index["weight_map"].items()
            }
            _write_json(folder / file.name, index)
    config = orjson.loads((below / "config.json").read_bytes())
    config |= {key: "float32" for key in ("dtype", "torch_dtype") if key in config or key == "dtype"}
    if all_layers:
        config["output_hidden_states"] = True
    _write_json(folder / "config.json", config)
    reads: dict[str, object] = {}
    if said := sorted(below.glob("sentence_*_config.json")):
        reads = orjson.loads(said[0].read_bytes())
    if reading.max_length is not None:
        reads["max_seq_length"] = reading.max_length
    _write_json(folder / "sentence_bert_config.json", reads)


def _write_steps(folder: Path, steps: Sequence[Step]) -> None:
    """Write one folder per step, and the list of steps."""
    entries = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    for number, step in enumerate(steps, start=1):
        name = f"{number}_{step.name}"
        (folder / name).mkdir()
        _write_step(folder / name, step)
        entries.append({"idx": number, "name": str(number), "path": name, "type": step.type})
    _write_json(folder / MARKER, entries)


def _write_step(folder: Path, step: Step) -> None:
    from safetensors.numpy import save

    if step.source is not None and step.source.is_dir():
        if any(step.source.glob("*.bin")) and not any(step.source.glob("*.safetensors")):
            raise ModelError("its weights are a pickle, which is never exported", where=str(step.source))
        for file in sorted((*step.source.glob("*.json"), *step.source.glob("*.safetensors"))):
            _copy(file, folder / file.name)
    if step.config is not None:
        _write_json(folder / "config.json", step.config)
    if step.weights is not None:
        write_whole(folder / "model.safetensors", save(step.weights, {"format": "pt"}))


def _write_settings(folder: Path, source: ModelFolder, reading: Reading) -> None:
    """Write the prompts; the document prompt is the default."""
    name = "config_sentence_transformers.json"
    said = orjson.loads((source.path / name).read_bytes()) if (source.path / name).is_file() else {}
    said["prompts"] = {"query": reading.query_prompt, "document": reading.document_prompt}
    said["default_prompt_name"] = "document" if reading.document_prompt else None
    _write_json(folder / name, said)


def _write_story(
    folder: Path, base: Any, identity: Identity, transform: AffineMap | None, layers: Sequence[int] | None
) -> None:
    """Write the provenance of the folder, as JSON and as a model card."""
    story: dict[str, Any] = {"format": FORMAT, "version": VERSION, "made by": "embedkit export"}
    story |= {"embedkit": __version__, "base": base.identity.to_json(), "dimension": identity.dimension}
    if (base.folder.path / STORY).is_file():
        story["base made"] = read_object(base.folder.path, STORY, where=base.folder.name)
    if transform is not None:
        story["map"] = {"fingerprint": transform.fingerprint, **transform.story}
    if layers is not None:
        story["layers"] = list(layers)
    _write_json(folder / STORY, story)
    mapped = ", a fitted linear map baked in as its Dense step" if transform is not None else ""
    how = f"exported by embedkit {__version__}{mapped}"
    facts = map_facts(transform) if transform is not None else {}
    if layers is not None:
        facts |= {"layers of the base": ", ".join(map(str, layers))}
    card = model_card(base.identity, identity, how=how, facts=facts)
    write_whole(folder / "README.md", card.encode())


def _require_same(folder: Path, encoder: Any, *, where: str) -> None:
    """Raise ModelError unless plain sentence-transformers gives the encoder's vectors, which must be finite,
    for both roles.
    """
    from embedkit.embedding.conversion import SAMPLE

    expected = [encoder.encode(SAMPLE, role) for role in ("document", "query")]
    if not all(np.isfinite(wanted).all() for wanted in expected):
        raise ModelError("gives vectors that are not finite", where=encoder.identity.model)
    require_vectors(folder, expected, where=where)


def _copy(source: Path, target: Path) -> None:
    """Copy a file's content, following links, and flush it."""
    with open(source, "rb") as content, whole_file(target) as file:
        shutil.copyfileobj(content, file, 1 << 20)


def _write_json(path: Path, value: object) -> None:
    write_whole(path, orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n")
