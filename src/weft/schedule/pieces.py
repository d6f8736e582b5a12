"""Tensors cut into pieces along the edges of every tile that reads or writes them, so that each piece is held once.

A tensor's pieces are the cells of a grid, numbered row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from weft.model.workload import Box

Counts = np.ndarray[Any, np.dtype[np.int64]]
Cells = np.ndarray[Any, np.dtype[np.int32]]

SPARSE = 1 << 20
"""An axis longer than this is not marked index by index, unless there are as many edges."""


@dataclass(frozen=True, eq=False)
class Grid:
    """The edges of a root tensor's pieces along each axis; a piece is one cell of the grid."""

    edges: tuple[Counts, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Pieces along each axis."""
        return tuple(len(edges) - 1 for edges in self.edges)

    def volumes(self) -> Counts:
        """[pieces]: elements of each."""
        volumes = np.ones(1, np.int64)
        for edges in self.edges:
            volumes = np.multiply.outer(volumes, np.diff(edges)).ravel()
        return volumes

    def box(self, low: Sequence[int], high: Sequence[int]) -> Box:
        """The box from one cell to another, the latter left out along each axis."""
        return tuple(
            (int(edges[start]), int(edges[stop])) for edges, start, stop in zip(self.edges, low, high, strict=True)
        )


def make_grid(shape: tuple[int, ...], boxes: Sequence[Counts]) -> tuple[Grid, list[tuple[Cells, Cells]]]:
    """The grid of a tensor on whose pieces all boxes have their edges.

    Args:    boxes: each [boxes, axes, 2].
    Returns: the grid; for each of `boxes` its first cells and those after its last, [boxes, axes] each.
    """
    ranges = [(np.empty(found.shape[:2], np.int32), np.empty(found.shape[:2], np.int32)) for found in boxes]
    edges = []
    for axis, size in enumerate(shape):
        found = [item[:, axis] for item in boxes]
        if size > SPARSE and size > sum(item.size for item in found):
            cut = np.unique(np.concatenate([[0, size], *(item.ravel() for item in found)]))
            for item, (low, high) in zip(found, ranges, strict=True):
                low[:, axis] = np.searchsorted(cut, item[:, 0])
                high[:, axis] = np.searchsorted(cut, item[:, 1])
        else:
            marked = np.zeros(size + 1, np.bool_)
            marked[0] = marked[size] = True
            for item in found:
                marked[item] = True
            cut = np.flatnonzero(marked)
            number = np.cumsum(marked, dtype=np.int32) - np.int32(1)
            for item, (low, high) in zip(found, ranges, strict=True):
                low[:, axis] = number[item[:, 0]]
                high[:, axis] = number[item[:, 1]]
        edges.append(cut)
    return Grid(tuple(edges)), ranges
