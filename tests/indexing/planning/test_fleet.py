"""Several machines on paper: every figure against the sum it stands for."""

import math

import pytest

from embedkit.errors import EmbedkitError, UsageError
from embedkit.indexing.planning import fleet
from embedkit.indexing.planning.costs import cost_of
from embedkit.indexing.planning.fleet import cost_shape, plan_fleet
from embedkit.indexing.planning.machine import Machine
from embedkit.indexing.planning.plan import Wishes, plan_index

MACHINE = Machine(products=30e9, scanned=24e9, walked=12e6, threads=4, processors=4)
PROCESS = 300_000_000


def fleet_of(machines, rows=10**9, kind=None, rate=1000.0, **wishes):
    return plan_fleet(
        rows, 384, Wishes(**wishes), MACHINE, machines=machines, rate=rate, process=PROCESS, kind=kind
    )


def test_each_machine_has_its_share_rounded_up_and_the_index_of_that():
    several = fleet_of(8, rows=10**6 + 1)
    assert several.share == 125_001
    assert several.segment == plan_index(125_001, 384, Wishes(), MACHINE, process=PROCESS)


def test_the_figures_are_those_of_a_hand():
    """A billion rows by eight at 1,000 a second: 125,000 seconds of encoding in each, 34.7 hours."""
    several = fleet_of(8, kind="hnsw:m=16,ef_search=64")
    cost = cost_of(several.segment.chosen.kind, 125_000_000, 384, MACHINE)
    assert several.encode_hours == pytest.approx(125_000 / 3600)
    assert several.build_hours == pytest.approx(cost.build_seconds / 3600)
    assert several.machine_hours == pytest.approx(8 * (125_000 + cost.build_seconds) / 3600)
    assert several.vector_bytes == 10**9 * 384 * 4
    assert several.index_bytes == pytest.approx(8 * cost.disk)
    assert several.memory == PROCESS + cost.build_memory
    assert several.query_seconds == cost.query_seconds
    assert several.queries_a_second == pytest.approx(4 / cost.query_seconds)
    assert several.query_machine_hours == pytest.approx(8 * 1e6 * cost.query_seconds / 4 / 3600)


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
    with pytest.raises(EmbedkitError, match=r"^`max_memory`: not even"):
        fleet_of(1, max_memory=8e9)


def test_more_machines_than_rows_are_refused():
    with pytest.raises(UsageError, match=r"^`machines`: must be at most the 7 rows, got 8$"):
        fleet_of(8, rows=7)


def test_the_rate_is_that_of_the_texts_after_the_first(monkeypatch):
    """A slow first call, which compiles, is not what a corpus meets; a clock that `encode` moves tells."""
    clock, calls = [0.0], []
    monkeypatch.setattr(fleet.time, "perf_counter", lambda: clock[0])

    def encode(texts):
        clock[0] += len(texts) / 1000 if calls else 60.0
        calls.append(len(texts))

    texts = ["text"] * 2000
    assert fleet.encoding_rate(encode, texts, seconds=math.inf) == pytest.approx(1000)
    assert calls == [512, 512, 512, 512, 464]
    calls.clear()
    assert fleet.encoding_rate(encode, texts, seconds=1.0) == pytest.approx(1000)
    assert calls == [512, 512, 512]
