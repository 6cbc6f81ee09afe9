"""Render sections as one self-contained HTML page, which loads nothing from a network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.resources import files

from embedkit.evaluation.report import drawing
from embedkit.evaluation.report.section_reading import read_section
from embedkit.evaluation.report.sections import Group, Row, Section
from embedkit.evaluation.report.values import shown, signed
from embedkit.version import __version__

TEMPLATE = "page.html.jinja"
TITLE = "Evaluation report"


def report(documents: Iterable[tuple[str, bytes]], title: str = TITLE) -> str:
    """Return one HTML page for evaluations, given as pairs of a name and the JSON that an evaluation wrote.

    Raises DataError for content that is not the JSON of an evaluation.
    """
    return render([read_section(name, content) for name, content in documents], title)


def render(sections: Sequence[Section], title: str) -> str:
    """Return one HTML page; all inserted text is escaped."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    environment.globals |= {
        "bars_of": bars_of, "drawn": drawing.drawing, "largest": largest, "sheet": drawing, "shown": shown,
        "signed": signed, "version": __version__,
    }  # fmt: skip
    return environment.from_string(source).render(sections=sections, title=title)


def bars_of(group: Group) -> list[tuple[Row, drawing.Bar]]:
    """Return the rows of a group with their bars, on one scale."""
    return list(zip(group.rows, drawing.bars([row.value for row in group.rows], group.full), strict=True))


def largest(group: Group) -> float:
    """Return the largest absolute value of a group."""
    return max(abs(row.value.value) for row in group.rows)
