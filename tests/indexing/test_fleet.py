"""Several machines on paper: every figure against the sum it stands for."""

import math
import time

import pytest

from embedkit.errors import EmbedkitError, UsageError
from embedkit.indexing.costs import cost_of
from embedkit.indexing.fleet import cost_shape, encoding_rate, plan_fleet
from embedkit.indexing.machine import Machine
from embedkit.indexing.plan import Wishes, plan_index

MACHINE = Machine(products=30e9, scanned=24e9, walked=12e6, threads=4, processors=4)
PROCESS = 300_000_000


def fleet_of(machines, rows=10**9, kind=None, rate=1000.0, **wishes):
    return plan_fleet(
        rows, 384, Wishes(**wishes), MACHINE, machines=machines, rate=rate, process=PROCESS, kind=kind
    )


def test_each_machine_has_its_share_rounded_up_and_the_index_of_that():
    fleet = fleet_of(8, rows=10**6 + 1)
    assert fleet.share == 125_001
    assert fleet.segment == plan_index(125_001, 384, Wishes(), MACHINE, process=PROCESS)


def test_the_figures_are_those_of_a_hand():
    """A billion rows by eight at 1,000 a second: 125,000 seconds of encoding in each, 34.7 hours."""
    fleet = fleet_of(8, kind="hnsw:m=16,ef_search=64")
    cost = cost_of(fleet.segment.chosen.kind, 125_000_000, 384, MACHINE)
    assert fleet.encode_hours == pytest.approx(125_000 / 3600)
    assert fleet.build_hours == pytest.approx(cost.build_seconds / 3600)
    assert fleet.machine_hours == pytest.approx(8 * (125_000 + cost.build_seconds) / 3600)
    assert fleet.vector_bytes == 10**9 * 384 * 4
    assert fleet.index_bytes == pytest.approx(8 * cost.disk)
    assert fleet.memory == PROCESS + cost.build_memory
    assert fleet.query_seconds == cost.query_seconds
    assert fleet.queries_a_second == pytest.approx(4 / cost.query_seconds)
    assert fleet.query_machine_hours == pytest.approx(8 * 1e6 * cost.query_seconds / 4 / 3600)


def test_more_machines_cost_the_same_to_encode_and_to_scan_and_more_to_walk_graphs():
    two, eight = (fleet_of(machines, kind="flat") for machines in (2, 8))
    assert 2 * two.encode_hours == pytest.approx(8 * eight.encode_hours)
    assert eight.query_machine_hours == pytest.approx(two.query_machine_hours, rel=1e-3)
    two, eight = (fleet_of(machines, kind="hnsw:m=16,ef_search=64") for machines in (2, 8))
    assert eight.query_machine_hours > 2 * two.query_machine_hours


def test_the_shape_is_that_of_one_half_as_many_and_twice_as_many():
    shape = cost_shape(fleet_of(8))
    assert [each.machines for each in shape] == [1, 4, 8, 16]
    assert shape[2] == fleet_of(8)


def test_what_fits_into_no_machine_is_left_out_of_the_shape_and_refused_when_asked_for():
    assert [each.machines for each in cost_shape(fleet_of(8, max_memory=8e9))] == [8, 16]
    with pytest.raises(EmbedkitError, match=r"^--max-memory: not even"):
        fleet_of(1, max_memory=8e9)


def test_more_machines_than_rows_are_refused():
    with pytest.raises(UsageError, match=r"^--machines: 8 are more than the 7 rows$"):
        fleet_of(8, rows=7)


def test_the_rate_is_that_of_the_texts_after_the_first():
    """A slow first call, which compiles, is not what a corpus meets."""
    calls = []

    def encode(texts):
        time.sleep(0.3 if not calls else len(texts) / 50_000)
        calls.append(len(texts))

    rate = encoding_rate(encode, ["text"] * 2048, seconds=math.inf)
    assert calls == [512] * 5
    assert 4_000 < rate <= 50_000
