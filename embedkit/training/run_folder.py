"""A run's folder: an unfinished one, from which a killed run resumes, and the finished model.

out.partial/     base/ (the model to start from), checkpoints/, sources.json, train.toml, log.jsonl
out/             the trained model, a sentence-transformers folder, with embedkit.json, train.toml, log.jsonl
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from embedkit.data.atomic import discard, hold, refuse_existing, require_name, whole_folder, write_whole
from embedkit.data.identity import Identity
from embedkit.embedding.architectures.model_type import is_own
from embedkit.embedding.export.model_card import model_card
from embedkit.embedding.export.sentence_transformers import FORMAT, MARKER, VERSION
from embedkit.embedding.foreign_json import read_object
from embedkit.embedding.loading import load
from embedkit.embedding.model_folder import ModelFolder
from embedkit.embedding.students import STORY
from embedkit.errors import DataError, ExistsError, MismatchError
from embedkit.training.base import Base
from embedkit.training.checkpoints import mark_whole, require_whole, require_whole_base
from embedkit.training.divergence import require_finite
from embedkit.training.input_digests import SOURCES, Source, read_sources, require_unchanged, write_sources
from embedkit.training.run_settings import AnySettings, RunSettings, located
from embedkit.training.toml import read_toml, to_toml
from embedkit.version import __version__

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

SETTINGS, LOG, BASE = "train.toml", "log.jsonl", "base"


class RunFolder:
    """The unfinished folder of a run for the output `path`, locked against other runs until it is closed.

    Raises ExistsError when the output exists, or an unfinished run that is neither resumed nor replaced.
    """

    def __init__(self, path: Path, settings: RunSettings, *, resume: bool, force: bool) -> None:
        self.path, self.folder = path, unfinished(path)
        self._force = force
        refuse_run(path, settings.files, resume=resume, force=force)
        if force and not resume:
            discard(self.folder)
        self.folder.mkdir(exist_ok=True)
        self._lock = hold(self.folder)
        if not (self.folder / SETTINGS).is_file():  # killed before its first step, maybe with other settings
            for left in (self.base, self.folder / SOURCES):
                discard(left)

    @property
    def base(self) -> Path:
        """The model to start from."""
        return self.folder / BASE

    def prepare(self, settings: RunSettings, sources: Sequence[Source], base: Base) -> None:
        """Write the base model.

        Raises MismatchError when a resumed run has other settings, data or another model, and FormatError
        when its base model or its checkpoints are damaged.
        """
        require_same(self.folder, settings)
        require_unchanged(read_sources(self.folder), sources, where=str(self.folder))
        if self.base.is_dir():
            require_whole_base(self.base)
            base.require_same(self.base)
        else:
            base.make(self.base)
            mark_whole(self.base)
        if not (self.folder / SETTINGS).is_file():
            write_sources(self.folder, sources)
        require_whole(self.folder)

    def keep(self, settings: RunSettings, command: str) -> None:
        """Write the settings that decide the run."""
        comment = f"embedkit {command} --config {SETTINGS} -o OUT repeats this run"
        write_whole(self.folder / SETTINGS, to_toml(located(settings), comment))

    def finish(
        self,
        model: SentenceTransformer,
        story: dict[str, object],
        card: dict[str, str],
        *,
        write: Callable[[Path, Identity], None],
    ) -> None:
        """Put the model, its provenance, settings, log and card (with these rows) in place; remove the rest.

        `write` writes additional files into the folder; it gets the identity of the folder's encoder.
        """
        require_finite(model, where=str(self.path))
        with whole_folder(self.path) as folder:
            model.save_pretrained(str(folder), create_model_card=False)
            for name in (SETTINGS, LOG):
                if (self.folder / name).is_file():
                    write_whole(folder / name, (self.folder / name).read_bytes())
            base = orjson.loads((self.base / STORY).read_bytes())["base"]
            story = {"format": FORMAT, "version": VERSION, **story, "base": base, "embedkit": __version__}
            write_whole(folder / STORY, orjson.dumps(story, option=orjson.OPT_INDENT_2) + b"\n")
            made, how = load(str(folder)).identity, f"trained by embedkit {__version__}"
            own = is_own(ModelFolder(str(folder), folder).config)
            text = model_card(Identity.from_json(base), made, how=how, facts=card, needs_embedkit=own)
            write_whole(folder / "README.md", text.encode())
            write(folder, made)
        discard(self.folder)

    def close(self) -> None:
        """Unlock the folder; a folder without settings is removed."""
        if self.folder.is_dir() and not (self.folder / SETTINGS).is_file():
            discard(self.folder)
        os.close(self._lock)


def require_same(folder: Path, settings: RunSettings) -> None:
    """Raise MismatchError when the run in a folder, unfinished or finished, has other settings."""
    kept = kept_settings(folder, settings)
    for name, value in asdict(located(settings)).items():
        then = getattr(located(kept), name)
        if name not in ("chunk_tokens", "passes") and value != then:
            raise MismatchError(
                f"the run there has {name} {then!r}, not {value!r}",
                where=str(folder),
                hint="start again with `force=True`",
            )


def kept_settings(folder: Path, settings: AnySettings) -> AnySettings:
    """Return the settings of an unfinished run, including computed ones; without one, the given settings."""
    file = folder / SETTINGS
    return type(settings)(**read_toml(file, type(settings))) if file.is_file() else settings


def require_base(folder: Path) -> None:
    """Raise DataError when a process cannot find the model that the first process has written for all."""
    if not (folder / BASE).is_dir():
        raise DataError(
            "does not exist for every process", where=str(folder),
            hint="write to a folder that all machines share",
        )  # fmt: skip


def unfinished(path: Path) -> Path:
    """Return the folder of an unfinished run for the output `path`; raises ExistsError without a name."""
    require_name(path)
    return path.with_name(f"{path.name}.partial")


def is_trained(path: Path) -> bool:
    """Return whether a run's output exists, without an unfinished run that would replace it."""
    partial = unfinished(path)
    return (path / STORY).is_file() and (path / SETTINGS).is_file() and not partial.exists()


def trained_on(path: Path) -> dict[str, Any] | None:
    """Return the sources of a finished run; None if an earlier version wrote it, or not a training run."""
    sources = read_object(path, STORY, where=str(path)).get("sources")
    return dict(sources) if isinstance(sources, dict) else None


def refuse_run(path: Path, files: Sequence[str], *, resume: bool, force: bool) -> None:
    """Raise ExistsError for an output that a run of some input `files` would refuse, before work begins."""
    partial = unfinished(path)
    if any(path.exists() and Path(name).exists() and path.samefile(name) for name in files):
        raise ExistsError(
            "is read by this run, and the model would replace it",
            where=str(path),
            hint="choose another name",
        )
    begun = (partial / SETTINGS).is_file()
    refuse_existing(path, force=force or (resume and begun), marker=MARKER)
    if partial.is_dir() and not begun and _has_other_files(partial):
        raise ExistsError(
            "is a folder that contains other files", where=str(partial), hint="choose another name"
        )
    if begun and not (resume or force):
        raise ExistsError(
            "is an unfinished run",
            where=str(partial),
            hint="continue it with `resume=True`, or start again with `force=True`",
        )


def _has_other_files(partial: Path) -> bool:
    """Return whether a folder without a base model has files other than those of a run that was killed while
    it made its base model.
    """
    names = [path.name for path in partial.iterdir()]
    return BASE not in names and not all(name.startswith(f".{BASE}.") for name in names)
