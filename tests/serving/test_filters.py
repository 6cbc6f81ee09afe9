"""Conditions in processes of their own: the masks of `rows_where`, and an end to those that use too much."""

import os
import time

import numpy as np
import pytest

from embedkit.errors import UsageError
from embedkit.indexing.where import rows_where
from embedkit.serving.filters import Filters
from embedkit.serving.http_errors import RequestError
from embedkit.serving.serve_settings import Limits
from tests.serving.conftest import make_index

DOUBLING = "text"
for _ in range(40):
    DOUBLING = f"list_transform([{DOUBLING}], lambda x: x || x)[1]"
LETTERS = "string_split(concat(" + ", ".join(["text"] * 60) + "), '')"
SLOW = "x = y"
for name in "yx":
    SLOW = f"len(list_filter({LETTERS}, lambda {name}: {SLOW})) = 1"


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return make_index(tmp_path_factory.mktemp("filters") / "docs.idx", 3000)


@pytest.fixture
def filters():
    found = Filters(Limits(where_seconds=1, where_memory="200MB"), processes=1)
    yield found
    found.close()


@pytest.mark.parametrize("condition", ["lang = 'zh'", "year > 2100 and text like '%7%'", "false", "true"])
def test_a_mask_is_that_of_the_library(index, filters, condition):
    mask = filters.mask(index, condition)
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, rows_where(index, condition))
    assert filters.mask(index, condition) is mask


def test_an_error_is_that_of_the_library(index, filters):
    with pytest.raises(UsageError, match=r"^`where`: unknown field 'x'; fields: id, text, lang, year$"):
        filters.mask(index, "x = 1")


@pytest.mark.parametrize("condition", [DOUBLING + " = 'x'", SLOW], ids=["memory", "time"])
def test_a_condition_that_uses_too_much_ends_with_its_process_and_the_next_is_answered(
    index, filters, condition
):
    filters.mask(index, "true")
    started = time.monotonic()
    with pytest.raises(UsageError, match=r"^`where`: (takes longer|needs more memory)"):
        filters.mask(index, condition)
    assert time.monotonic() - started < 30
    assert filters.mask(index, "lang = 'zh'").sum() == 1


def test_a_process_that_was_killed_is_replaced(index, filters):
    filters.mask(index, "true")
    os.kill(filters._all[0]._process.pid, 9)
    with pytest.raises(UsageError, match="takes longer"):
        filters.mask(index, "year = 2001")
    assert filters.mask(index, "year = 2001").sum() == 1


def test_closed_filters_leave_no_process(index):
    filters = Filters(Limits(), processes=2)
    filters.start()
    process = filters._all[1]._process or filters._all[0]._process
    filters.close()
    assert process.poll() is not None
    with pytest.raises(RequestError):
        filters.mask(index, "true")
