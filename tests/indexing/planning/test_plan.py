"""The plan: what it chooses, and the arithmetic behind it, against files that are really written."""

import math

import numpy as np
import pyarrow as pa
import pytest

from embedkit import spec
from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.errors import EmbedkitError, UsageError
from embedkit.indexing.building import build_index
from embedkit.indexing.kinds.binary import binary_recall
from embedkit.indexing.kinds.fastscan import codes_recall
from embedkit.indexing.kinds.hnsw import hnsw_recall
from embedkit.indexing.kinds.ivf import pq_recall
from embedkit.indexing.planning.costs import cost_of, expected_recall, lists_recall
from embedkit.indexing.planning.machine import Machine
from embedkit.indexing.planning.plan import Wishes, plan_index

MACHINE = Machine(products=30e9, scanned=24e9, walked=12e6, threads=1, processors=2)
ROWS = np.random.default_rng(0).normal(size=(2000, 32)).astype(np.float32)


def planned(rows, dimension, kind=None, process=300_000_000, **wishes):
    return plan_index(rows, dimension, Wishes(**wishes), MACHINE, process=process, kind=kind)


@pytest.mark.parametrize(
    "kind",
    [
        "flat", "int8", "int8:rescore=none", "binary", "binary:rescore=float16", "hnsw",
        "hnsw:m=8,storage=fp16",
        "hnsw:storage=sq8", "ivf:lists=16", "ivf:lists=16,storage=sq8", "ivf:lists=16,storage=pq,m=8,bits=4",
    ],
)  # fmt: skip
def test_bytes_on_disk_are_those_that_are_written(folder, kind):
    batch = Batch(pa.table({"id": [str(row) for row in range(2000)]}), ROWS)
    index = build_index("x.idx", VectorMeta(32), [batch], kind=kind)
    written = sum(file.bytes for file in index.segments[0].files)
    assert cost_of(spec.parse("index", kind), 2000, 32, MACHINE).disk == pytest.approx(written, rel=0.06)


def test_few_rows_are_compared_one_by_one():
    assert planned(1000, 384).chosen.spec == "flat"


def test_many_rows_get_lists_of_codes_while_memory_lasts_then_signs():
    kinds = [planned(10**6, 384, max_memory=size).chosen.spec for size in (math.inf, 7e8, 4e8)]
    assert [kind.partition(":")[0] for kind in kinds] == ["fastscan", "fastscan", "binary"]


@pytest.mark.parametrize("memory", [4e8, 1e9, 2e9, 4e9, math.inf])
@pytest.mark.parametrize("recall", [0.8, 0.95, 0.99])
def test_what_is_chosen_keeps_every_wish_or_says_which_it_leaves_open(memory, recall):
    plan = planned(10**6, 384, max_memory=memory, recall=recall)
    chosen = plan.chosen
    assert plan.process + max(chosen.cost.build_memory, chosen.cost.search_memory) <= memory
    assert ("recall" in chosen.fails) == (chosen.cost.recall < recall)
    for other in plan.candidates:
        if not other.fails and chosen.spec != "flat":
            assert not chosen.fails
            assert chosen.work <= other.work


def test_a_billion_rows_are_product_codes_in_lists():
    plan = planned(10**9, 256, max_memory=64e9)
    kind = plan.chosen.kind
    assert plan.chosen.spec.startswith("ivf:")
    assert (kind.storage, kind.opq) == ("pq", True)
    assert 2**14 <= kind.lists <= 2**18
    assert 55e9 >= 10**9 * (kind.m + 8) >= 30e9
    assert plan.process + plan.chosen.cost.build_memory <= 64e9
    assert plan.chosen.fails == ("recall",)  # a bit and a quarter a column does not reach .95, and it says so


def test_what_does_not_fit_at_all_is_one_line_with_both_sides():
    with pytest.raises(
        EmbedkitError, match=r"^`max_memory`: not even binary.* 300,000,000 of them for the proc"
    ):
        planned(10**6, 384, max_memory=301e6)


def test_a_named_kind_is_kept_and_its_settings_for_search_are_chosen():
    assert planned(10**5, 384, kind="hnsw:m=24", recall=0.3).chosen.spec == "hnsw:m=24,ef_search=12"
    ef = planned(10**5, 384, kind="hnsw:m=24", recall=0.999).chosen.kind.ef_search
    assert ef > planned(10**5, 384, kind="hnsw:m=24", recall=0.9).chosen.kind.ef_search
    with pytest.raises(UsageError, match=r"^`kind=factory:Flat`: its costs are unknown; known: binary"):
        planned(10**5, 384, kind="factory:Flat")


@pytest.mark.parametrize(
    ("expected", "measured"),  # 1,000 sentences of Wikipedia against 99,000 others, minilm
    [
        (hnsw_recall(10, 99_000, 32, 40), 0.8203), (hnsw_recall(32, 99_000, 32, 40), 0.9343),
        (hnsw_recall(64, 99_000, 32, 40), 0.9673), (hnsw_recall(128, 99_000, 32, 40), 0.9854),
        (hnsw_recall(64, 99_000, 32, 100), 0.9758), (hnsw_recall(96, 99_000, 32, 100), 0.9861),
        (lists_recall(24, 512), 0.8985), (lists_recall(32, 256), 0.9512),
        (codes_recall(96, 384, 99_000), 0.9945),
        (hnsw_recall(32, 10_000, 32, 40), 0.9725), (lists_recall(4, 316), 0.719),
        (lists_recall(32, 316), 0.9517),
        (lists_recall(64, 1264), 0.9432), (lists_recall(128, 1264), 0.9719),
        (binary_recall(100, 99_000, 384), 0.9043),
        (binary_recall(400, 99_000, 384), 0.981), (pq_recall(96, 384), 0.8173), (pq_recall(48, 384), 0.705),
        (pq_recall(192, 384), 0.9427),
    ],
)  # fmt: skip
def test_expected_recall_is_near_what_was_measured(expected, measured):
    assert 1 - expected == pytest.approx(1 - measured, rel=0.35)


@pytest.mark.parametrize("kind", ["hnsw:ef_search={}", "ivf:lists=500,probes={}", "binary:oversample={}"])
def test_more_effort_is_never_expected_to_find_less(kind):
    recalls = [expected_recall(spec.parse("index", kind.format(n)), 10**6, 384) for n in (10, 40, 160, 500)]
    assert recalls == sorted(recalls)
    assert recalls[0] < recalls[-1] <= 1
