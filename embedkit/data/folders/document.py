"""A document: the text of a file, with its headings and the places where it may be divided."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Yields places strictly between two others where a text may be divided, in order.
FindPlaces = Callable[[str, int, int], Iterator[int]]


class Heading(NamedTuple):
    """A heading: the character where its section starts, its level (1 is the highest) and its title.

    A heading without a title only ends the sections of its level and below.
    """

    place: int
    level: int
    title: str


@dataclass(frozen=True)
class Document:
    """A text and its structure.

    `levels` find the places at which a text without headings is divided, the best first. `lines` is the line
    of the file per line of the text, in order, where they differ; `pages` are the places where pages begin.
    """

    text: str
    levels: Sequence[FindPlaces]
    headings: Sequence[Heading] = ()
    title: str | None = None  # a title that is not a heading of the text
    lines: NDArray[np.int64] | None = None
    pages: Sequence[int] = ()
    start: int = 0  # the place where the text begins, behind settings that are not text
