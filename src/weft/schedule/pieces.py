"""Tensors cut into pieces along the edges of every tile that reads or writes them, so that each piece is held once."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from dataclasses import dataclass

from weft.model.workload import Box

Cell = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """The edges of a root tensor's pieces along each axis; a piece is one cell of the grid."""

    edges: tuple[tuple[int, ...], ...]

    def cells(self, box: Box) -> list[Cell]:
        """The pieces that make up a box (whose edges are the grid's)."""
        spans = [
            range(bisect_left(edges, start), bisect_left(edges, stop))
            for edges, (start, stop) in zip(self.edges, box, strict=True)
        ]
        return list(itertools.product(*spans))

    def box(self, cells: list[Cell]) -> Box:
        """The smallest box around some pieces."""
        return tuple(
            (edges[min(cell[axis] for cell in cells)], edges[max(cell[axis] for cell in cells) + 1])
            for axis, edges in enumerate(self.edges)
        )

    def boxes(self, cells: list[Cell]) -> list[tuple[Box, list[Cell]]]:
        """Pieces gathered into few boxes, by joining neighbours along one axis after another."""
        if not cells:
            return []
        groups = [[cell] for cell in sorted(cells)]
        for axis in range(len(self.edges) - 1, -1, -1):
            groups = self._join(groups, axis)
        return [(self.box(group), group) for group in groups]

    def _join(self, groups: list[list[Cell]], axis: int) -> list[list[Cell]]:
        """Joins groups (each a full box of cells) that are neighbours along `axis` and alike along all others."""
        spans: dict[Cell, tuple[Cell, list[Cell]]] = {}
        for group in groups:
            low = tuple(min(cell[a] for cell in group) for a in range(len(self.edges)))
            high = tuple(max(cell[a] for cell in group) for a in range(len(self.edges)))
            spans[low] = (high, group)
        joined: list[list[Cell]] = []
        done: set[Cell] = set()
        for low in sorted(spans):
            if low in done:
                continue
            end, first = spans[low]
            group = list(first)
            while True:
                following = (*low[:axis], end[axis] + 1, *low[axis + 1 :])
                if following not in spans or following in done:
                    break
                high, more = spans[following]
                if any(high[a] != end[a] for a in range(len(end)) if a != axis):
                    break
                done.add(following)
                group += more
                end = high
            joined.append(group)
        return joined


def make_grid(shape: tuple[int, ...], boxes: list[Box]) -> Grid:
    """The grid of a tensor on whose pieces all `boxes` have their edges."""
    return Grid(
        tuple(
            tuple(sorted({0, size, *(edge for box in boxes for edge in box[axis])})) for axis, size in enumerate(shape)
        )
    )
