"""A recipe: what one training command adds to the steps of a run, which `run.py` has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

from datasets import Dataset

from embedkit.data.identity import Identity
from embedkit.training.base import Base
from embedkit.training.input_digests import Source
from embedkit.training.objective import Objective
from embedkit.training.run_log import Measure, Watch
from embedkit.training.run_settings import RunSettings
from embedkit.training.start import LoadedModel, Start
from embedkit.training.trainer import Additions


class Provenance(NamedTuple):
    """What a trained model records about its data and loss."""

    card: Mapping[str, str]  # rows of the model card
    entries: Mapping[str, object]  # entries of `embedkit.json`


class Recipe(Protocol):
    """A frozen dataclass of a command's settings and data; its methods are called in this order."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    command: ClassVar[str]

    @property
    def measure(self) -> Measure:
        """The measure of the evaluator."""

    @property
    def settings(self) -> RunSettings:
        """The command's settings."""

    @property
    def base(self) -> Base:
        """The model to start from."""

    def check(self, processes: int) -> None:
        """Raise DataError or UsageError for data that cannot be trained on, before a model is loaded."""

    def advise(self) -> None:
        """Warn about likely mistakes in the data."""

    def sources(self) -> list[Source]:
        """Return the data that decide the run, with digests of their content."""

    def prepare(self, folder: Path) -> None:
        """Write what the objective reads besides the rows into the run's folder, which has the base model;
        called in the first process alone.
        """

    def rows(self) -> Dataset:
        """Return the training rows: one column of text per view, and optionally the column `label`."""

    def objective(self, loaded: LoadedModel, *, resumed: bool) -> Objective:
        """Return the objective around a model; the state of a `resumed` one is loaded from a checkpoint."""

    def additions(self, start: Start, watch: Watch) -> Additions:
        """Return what the trainer needs in addition to rows and objective, such as an evaluator."""

    def provenance(self) -> Provenance:
        """Return what the trained model records about its data and loss."""

    def write(self, folder: Path, identity: Identity, start: Start) -> None:
        """Write additional files into the trained folder, whose encoder has `identity`."""


AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)


def with_seed(recipe: AnyRecipe, seed: int) -> AnyRecipe:
    """Return the recipe with another seed; raises UsageError for a seed out of range."""
    return replace(recipe, settings=replace(recipe.settings, seed=seed))
