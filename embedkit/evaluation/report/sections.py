"""The parts of a page: one section per evaluation, with values in groups, curves, and the protocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from embedkit.evaluation.report.values import Value, text

Json = Mapping[str, Any]

NAMES = {
    "spearman": "Spearman", "pearson": "Pearson", "map": "MAP", "top1": "top-1", "top5": "top-5",
    "top10": "top-10", "mean_cosine": "mean cosine", "isoscore": "IsoScore",
    "effective_rank": "effective rank", "participation_ratio": "participation ratio",
    "skewness": "hub skewness", "antihubs": "anti-hubs", "overlap": "overlap", "jaccard": "Jaccard",
}  # fmt: skip
SHARES = ("mean_cosine", "isoscore", "antihubs", "overlap", "Jaccard")  # drawn out of 1; the last two have @k


class Row(NamedTuple):
    """A value of one system, or of one file and system, and its difference from the first system."""

    names: tuple[str, ...]
    value: Value
    gain: Value | None


class Group(NamedTuple):
    """One measure and its values on one scale; bars end at `full`, or at the longest bar if it is None."""

    name: str
    rows: list[Row]
    full: float | None


class Curve(NamedTuple):
    """Points from left to right, with a name."""

    name: str
    points: list[tuple[float, float]]


class Chart(NamedTuple):
    """Curves on one pair of axes; `x_base` and `y_base` are bases of logarithmic axes, None for linear."""

    title: str
    x: str
    y: str
    curves: list[Curve]
    x_base: int | None
    y_base: int | None


class Section(NamedTuple):
    """The section of one evaluation."""

    title: str
    source: str
    said: list[str]  # lines above the values
    heads: tuple[str, ...]  # column heads for the names of rows
    groups: list[Group]
    charts: list[Chart]
    protocol: list[tuple[str, str]]
    folded: bool = False  # whether the groups are folded, because they are many and charts show them too

    @property
    def compared(self) -> bool:
        """True if a row has a difference."""
        return any(row.gain is not None for group in self.groups for row in group.rows)


def grouped(rows: Iterable[tuple[str, Row]], full: float | None) -> list[Group]:
    """Return rows grouped by measure; bars of shares always end at 1."""
    groups: dict[str, list[Row]] = {}
    for figure, row in rows:
        groups.setdefault(figure, []).append(row)
    return [
        Group(NAMES.get(figure, text(figure)), members, 1.0 if figure.partition("@")[0] in SHARES else full)
        for figure, members in groups.items()
    ]


def protocol_of(facts: Json) -> list[tuple[str, str]]:
    """Return the protocol of an evaluation as pairs of a name and a text."""
    return [(text(name), text(value)) for name, value in facts["protocol"].items()]
