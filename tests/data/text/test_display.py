"""Numbers and their nouns."""

import pytest

from embedkit.data.text.display import counted


@pytest.mark.parametrize(
    ("count", "words", "told"),
    [
        (0, ("row",), "0 rows"),
        (1, ("row",), "1 row"),
        (1, ("query", "queries"), "1 query"),
        (1234, ("query", "queries"), "1,234 queries"),
    ],
)
def test_a_number_has_the_right_noun(count, words, told):
    assert counted(count, *words) == told
