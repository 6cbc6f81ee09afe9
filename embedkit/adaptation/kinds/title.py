"""Title: a title, or the headings above a passage of a file, finds the text below it (as for E5, Wang et al.
2022, arXiv 2212.03533, section 3.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from embedkit.adaptation.passage import Passage, in_one_line
from embedkit.data.folders.passages import BETWEEN


@dataclass(frozen=True)
class Title:
    """Settings of `title`: the headings above a passage of a file that are the query, all or the first."""

    lack: ClassVar = "without a title or text"

    headings: Literal["all", "first"] = "all"

    def pairs_of(self, passage: Passage, chance: np.random.Generator) -> Iterator[tuple[str, str]]:
        """Yield the title and the text, which does not begin with the title."""
        title = passage.title if self.headings == "all" else passage.title.split(BETWEEN)[0]
        if title and passage.text:
            yield in_one_line(title), passage.text
