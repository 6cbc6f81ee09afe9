"""Numbers and their nouns, and lists of fields."""

import pytest

from embedkit.data.text.display import counted, it_has


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


def test_a_column_without_a_name_is_called_so():
    """pandas writes its index as one, and a hint began with a comma: `it has , sent0`."""
    assert it_has(["", "sent0"]) == "it has a column without a name, sent0"
    assert it_has([]) == "it has nothing"
