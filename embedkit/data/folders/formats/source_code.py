"""Source code: definitions are the headings, found by their keyword and indentation in many languages."""

from __future__ import annotations

import re
from collections.abc import Iterator

from embedkit.data.folders.document import Document, Heading
from embedkit.data.folders.places import CODE

_DEFINITION = re.compile(
    r"(?:(?:export|default|public|private|protected|internal|static|final|abstract|sealed|override|async|unsafe"
    r"|pub(?:\([a-z]+\))?|inline|virtual|open|data|partial) +)*"
    r"(?:class|def|function\*?|fn|func|fun|struct|interface|trait|impl|enum|module|namespace|protocol|object|record)"
    r"(?:<[^>]{0,80}>)? +(?:\([^)]{0,80}\) *)?(\w+(?:(?:::|[.$])\w+)*[?!]?)"
    r"(?=\s*(?:[({:<=;\[]|extends\b|implements\b|for\b|where\b|$))"
)
_ATTACHED = ("@", "#", "//", "/*", "*", "--", '"""')  # decorators and comments above a definition
_CLOSING = ("}", ")", "]", "end", "#", "//")  # lines that end no section although they are not indented
_TAB = 4  # spaces


def read_source_code(text: str) -> Document:
    """Return the document of source code; a definition is one level below the definition around it."""
    return Document(text, CODE, list(_headings(text)))


def _headings(text: str) -> Iterator[Heading]:
    """Yield the definitions, and headings without a title where lines outside of a definition follow it."""
    around: list[int] = []  # indentations of the definitions around a line
    place, attached = 0, -1  # where the comments and decorators right above a line begin
    for line in text.split("\n"):
        bare = line.lstrip(" \t")
        if bare:
            indent = len(line[: len(line) - len(bare)].expandtabs(_TAB))
            found = _DEFINITION.match(bare)
            if found is None and bare.startswith(_ATTACHED):
                attached = place if attached < 0 else attached
            elif found is not None or (around and indent <= around[-1] and not bare.startswith(_CLOSING)):
                while around and around[-1] >= indent:
                    around.pop()
                yield Heading(
                    attached if attached >= 0 else place, len(around) + 1, found[1] if found else ""
                )
                if found:
                    around.append(indent)
                attached = -1
            else:
                attached = -1
        else:
            attached = -1
        place += len(line) + 1
