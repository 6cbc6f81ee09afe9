"""Checks of FAISS files: damaged numbers in them, which FAISS trusts, lead beyond the end of memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedkit.data.arrays import Array

_BLOCK = 1 << 20  # numbers per block, which fits into the processor's cache


def faults(index: Any, rows: int) -> Iterator[str]:
    """Yield the faults of a FAISS index of `rows` rows that has just been read: those through which a search
    would read memory outside the index.

    Checks counts, the sizes of inverted lists, and every edge of a graph, in a thousandth of a second for
    several million edges.
    """
    import faiss

    index = faiss.downcast_index(index) if isinstance(index, faiss.Index) else index
    if index.ntotal != rows:
        yield f"holds {index.ntotal} vectors, the manifest states {rows}"
        return
    for name in ("index", "base_index", "refine_index", "storage", "quantizer"):
        if (part := getattr(index, name, None)) is not None:
            yield from faults(part, index.nlist if name == "quantizer" else rows)
    if isinstance(index, faiss.IndexHNSW):
        yield from _graph_faults(index.hnsw, rows)
    if isinstance(index, faiss.IndexIVF):
        lists: Any = index.invlists
        found = sum(lists.list_size(number) for number in range(index.nlist))
        if found != rows:
            yield f"holds {found} vectors in its lists, the manifest states {rows}"


def _graph_faults(graph: Any, rows: int) -> Iterator[str]:
    levels, offsets = _array(graph.levels), _array(graph.offsets)
    widths, edges = _array(graph.cum_nneighbor_per_level), _array(graph.neighbors)
    if len(levels) != rows or len(offsets) != rows + 1 or not len(widths):
        yield f"is a graph of {len(levels)} nodes and {len(offsets)} offsets"
    elif not rows:
        return
    elif levels.min() < 1 or levels.max() >= len(widths) or (np.diff(widths) < 0).any():
        yield f"has nodes of {levels.max()} levels, {len(widths) - 1} are known"
    elif (
        offsets[0] or offsets[-1] != len(edges) or (np.diff(offsets.astype(np.int64)) != widths[levels]).any()
    ):
        yield "is a graph whose nodes are not stored one after the other"
    elif not 0 <= graph.entry_point < rows or not 0 <= graph.max_level < levels[graph.entry_point]:
        yield f"is a graph that is entered at node {graph.entry_point} of {rows}, level {graph.max_level}"
    elif not _lead_to_nodes(edges, rows) or not _stay_on_their_level(edges, levels, offsets, widths):
        yield "is a graph with an edge that leads nowhere"


def _lead_to_nodes(edges: NDArray[np.int32], rows: int) -> bool:
    """Return whether every edge leads to one of `rows` nodes, or is unused (-1)."""
    blocks = (edges[start : start + _BLOCK] for start in range(0, len(edges), _BLOCK))
    return all(block.min() >= -1 and block.max() < rows for block in blocks)


def _stay_on_their_level(edges: Any, levels: Any, offsets: Any, widths: Any) -> bool:
    """Return whether every edge above the lowest level leads to a node on that level."""
    for level in range(1, int(levels.max())):
        nodes = np.flatnonzero(levels > level)
        places = offsets[nodes, None].astype(np.int64) + np.arange(widths[level], widths[level + 1])
        ends = edges[places]
        if (levels[ends[ends >= 0]] <= level).any():
            return False
    return True


def _array(vector: Any) -> Array:
    """Return the content of a FAISS vector, without a copy."""
    import faiss

    size = vector.size()
    return faiss.rev_swig_ptr(vector.data(), size) if size else np.empty(0, np.int64)
