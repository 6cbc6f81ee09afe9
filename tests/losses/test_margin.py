"""What margin losses share: memory of a block however many classes, and little kept for backward."""

import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from embedkit.losses import margin
from embedkit.losses.kinds.am_softmax import AMSoftmax
from embedkit.losses.kinds.sub_centre import SubCentre

ROWS, DIM, CLASSES = 256, 4, 120


class Largest(TorchDispatchMode):
    """Notes the largest number of elements of any tensor that is made."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(made) if isinstance(leaf, torch.Tensor)]
        self.elements = max(self.elements, *sizes, 0)
        return made


def problem(centres):
    numbers = torch.Generator().manual_seed(0)
    rows = torch.randn(ROWS, DIM, generator=numbers).requires_grad_()
    vectors = torch.randn(CLASSES * centres, DIM, generator=numbers).requires_grad_()
    return rows, torch.randint(CLASSES, (ROWS,), generator=numbers), vectors


@pytest.mark.parametrize("loss", [AMSoftmax(), SubCentre(centres=3)])
def test_no_matrix_is_larger_than_a_block(loss, monkeypatch):
    """Forward and backward, gradients aside, in blocks of a twentieth of the logits."""
    rows, labels, vectors = problem(loss.centres)
    block = ROWS * len(vectors) // 20
    monkeypatch.setattr(margin, "BLOCK", block)
    with Largest() as largest:
        loss(rows, labels, vectors).backward()
    assert largest.elements <= max(block, len(vectors) * DIM, ROWS * DIM * loss.centres)
    monkeypatch.undo()
    with Largest() as largest:
        loss(rows, labels, vectors)
    assert largest.elements >= ROWS * len(vectors)


class Kept:
    """A tensor that a graph keeps for backward; gone when the graph is."""

    def __init__(self, tensor):
        self.tensor = tensor


def test_no_logits_are_kept_for_backward():
    """What is kept is as large as rows and class vectors, not as the logits."""
    rows, labels, vectors = problem(1)
    alive = weakref.WeakSet()

    def keep(tensor):
        alive.add(kept := Kept(tensor))
        return kept

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept.tensor):
        value = AMSoftmax()(rows, labels, vectors)
    inputs, logits = rows.nbytes + vectors.nbytes, 4 * ROWS * CLASSES
    storages = {kept.tensor.data_ptr(): kept.tensor.nbytes for kept in alive}
    assert 0 < sum(storages.values()) < 8 * inputs < logits
    value.backward()
