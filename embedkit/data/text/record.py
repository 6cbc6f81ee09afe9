"""The record: one passage of text, which readers yield and encoders take."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from embedkit.data.text.json_lines import Row


class Record(NamedTuple):
    """One passage: its id, its text, all other fields, and the headings that are embedded with the text."""

    id: str
    text: str
    fields: Row
    context: str = ""

    @property
    def embedded(self) -> str:
        """The text that is embedded: the context, if there is any, and the text."""
        return embedded(self.context, self.text)


def embedded(context: str, text: str) -> str:
    """Return a text with its context in front, as it is embedded."""
    return f"{context}\n\n{text}" if context else text
