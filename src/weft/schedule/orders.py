"""Other orders of a plan's tiles, and other cores for them: what is tried last, once tiles and groups are settled.

First a few priorities of the whole plan; then, where tiles are few, changes of one or two, taken or left by late
acceptance (Burke and Bykov, European Journal of Operational Research 258(1), 2017): a change is taken that is no worse
than what there was `MEMORY` changes ago.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from weft._jit import kernel
from weft.model.schedule import Infeasible
from weft.model.workload import Workload
from weft.schedule.engine import Placed, place
from weft.schedule.fabric import Fabric
from weft.schedule.places import INPUTS, OPERANDS, ROW, Ints, Small, list_cells
from weft.schedule.plan import Plan

Score = Callable[[Placed], tuple[float, ...]]
Options = Sequence[Sequence[int]]
"""For each tile the plan's recipes that may run it, one per core."""

MEMORY = 20
"""Changes after which what was taken then is the measure of what is taken."""


@dataclass(frozen=True, eq=False)
class Graph:
    """Which tile reads what which tile makes.

    Args:
        first: [tiles + 1]: of each tile's readers in `reader`.     reader: [edges]: tiles.
    """

    first: Ints
    reader: Ints

    @cached_property
    def readers(self) -> list[list[int]]:
        """Of each tile."""
        return [part.tolist() for part in np.split(self.reader, self.first[1:-1])]

    @cached_property
    def makers(self) -> list[list[int]]:
        """Of what each tile reads."""
        found: list[list[int]] = [[] for _ in self.readers]
        for tile, readers in enumerate(self.readers):
            for reader in readers:
                found[reader].append(tile)
        return found

    def priorities(self, duration: Sequence[int], core: Sequence[int]) -> Iterator[list[int]]:
        """Orders in which each tile comes after those that make what it reads: longest work still to come first; what
        has just become ready first; fewest makers deep first; what can start first, were data there at once.

        Args: duration, core: of each tile.
        """
        makers = self.makers
        after, level = list(duration), [0] * len(makers)
        for tile in self._listed(lambda tile, _: tile):
            level[tile] = max((level[maker] + 1 for maker in makers[tile]), default=0)
        deepest = sorted(range(len(makers)), key=lambda tile: -level[tile])
        for tile in deepest:
            after[tile] += max((after[reader] for reader in self.readers[tile]), default=0)
        yield self._listed(lambda tile, _: -after[tile])
        yield self._listed(lambda _, ready: -ready)
        yield self._listed(lambda tile, _: level[tile])
        yield self._soonest(duration, core, after)

    def _listed(self, key: Callable[[int, int], int]) -> list[int]:
        """All tiles by a key of each, given which tile it is and at which position it became ready."""
        missing = [len(found) for found in self.makers]
        heap = [(key(tile, 0), tile) for tile, count in enumerate(missing) if not count]
        heapq.heapify(heap)
        order: list[int] = []
        while heap:
            tile = heapq.heappop(heap)[1]
            order.append(tile)
            for reader in self.readers[tile]:
                missing[reader] -= 1
                if not missing[reader]:
                    heapq.heappush(heap, (key(reader, len(order)), reader))
        return order

    def _soonest(self, duration: Sequence[int], core: Sequence[int], after: Sequence[int]) -> list[int]:
        """What can start first, then what has the longest work to come."""
        missing = [len(found) for found in self.makers]
        ready, free = [0] * len(missing), [0] * (max(core) + 1)
        heap = [(0, -after[tile], tile) for tile, count in enumerate(missing) if not count]
        heapq.heapify(heap)
        order: list[int] = []
        while heap:
            time, _, tile = heapq.heappop(heap)
            begin = max(ready[tile], free[core[tile]])
            if begin > time:
                heapq.heappush(heap, (begin, -after[tile], tile))
                continue
            free[core[tile]] = begin + duration[tile]
            order.append(tile)
            for reader in self.readers[tile]:
                missing[reader] -= 1
                ready[reader] = max(ready[reader], free[core[tile]])
                if not missing[reader]:
                    heapq.heappush(heap, (ready[reader], -after[reader], reader))
        return order


def graph_of(placed: Placed) -> Graph:
    """What its tiles read of each other."""
    tiles, found = placed.tiles, placed.found
    cells = np.empty(max(1, int(found.cells.max(initial=1))), np.int64)
    maker = np.full(len(found.piece_bits), -1, np.int64)
    edges = np.empty((int(found.cells.sum()) + 1, 2), np.int64)
    count = _edges(tiles.tile, tiles.touch, tiles.operand, found.tensor, cells, maker, edges)
    edges = np.unique(edges[:count], axis=0)
    first = np.searchsorted(edges[:, 0], np.arange(len(tiles.tile) + 1))
    return Graph(first.astype(np.int64), np.ascontiguousarray(edges[:, 1]))


@kernel
def _edges(tile: Ints, touch: Small, operand: Ints, tensor: Ints, cells: Ints, maker: Ints, edges: Ints) -> int:
    """(maker, reader) of pieces, in `edges`; returns how many.

    Args:    maker: [pieces], out: the tile that makes each.     cells: scratch.
    """
    for number in range(tile.shape[0]):
        k = tile[number, INPUTS]
        found = list_cells(tensor, operand[tile[number, OPERANDS] + k, 0], touch, tile[number, ROW] + k, cells, 0)
        for i in range(found):
            maker[cells[i]] = number
    count = 0
    for number in range(tile.shape[0]):
        for k in range(tile[number, INPUTS]):
            found = list_cells(tensor, operand[tile[number, OPERANDS] + k, 0], touch, tile[number, ROW] + k, cells, 0)
            last = -1
            for i in range(found):
                if maker[cells[i]] >= 0 and maker[cells[i]] != last:
                    last = maker[cells[i]]
                    edges[count, 0], edges[count, 1] = last, number
                    count += 1
    return count


class Orders:
    """A search from one plan, by whole schedules.

    Args: options: for each tile the recipes that may run it; its own alone where it stays on its core.
    """

    def __init__(
        self, workload: Workload, fabric: Fabric, plan: Plan, placed: Placed, options: Options, score: Score
    ) -> None:
        self.workload, self.fabric, self.score, self.options = workload, fabric, score, options
        self.first = plan
        self.plan, self.placed, self.best = plan, placed, score(placed)
        self.graph = graph_of(placed)
        self.tried = 0

    def run(self, evaluations: int, rng: random.Random) -> None:
        """Priorities first, then changes, as many schedules as that; the best is in `plan` and `placed`."""
        recipes = np.concatenate([cut.recipes for cut in self.first.cuts]).tolist()
        names = {core.name: number for number, core in enumerate(self.fabric.chip.cores)}
        cores = [names[self.first.recipes[number].core] for number in recipes]
        order, score = self.first.order.tolist(), self.best
        for other in self.graph.priorities([self.first.recipes[number].duration for number in recipes], cores):
            if self.tried < evaluations:
                found = self._attempt(other, recipes)
                if found is not None and found < score:
                    order, score = other, found
        history = [score] * MEMORY
        while self.tried < evaluations and len(order) > 1:
            changed, now = list(order), list(recipes)
            for _ in range(rng.choice((1, 1, 2))):
                self._change(changed, now, rng)
            found = self._attempt(changed, now)
            slot = self.tried % MEMORY
            if found is not None and (found <= score or found <= history[slot]):
                order, recipes, score = changed, now, found
            history[slot] = score

    def _change(self, order: list[int], recipes: list[int], rng: random.Random) -> None:
        """One tile to another core, or to another position between those that make what it reads and its readers."""
        tile = rng.randrange(len(order))
        if len(self.options[tile]) > 1 and rng.random() < 0.5:
            recipes[tile] = rng.choice(self.options[tile])
            return
        order.remove(tile)
        makers, readers = set(self.graph.makers[tile]), set(self.graph.readers[tile])
        low = max((at + 1 for at, other in enumerate(order) if other in makers), default=0)
        high = min((at for at, other in enumerate(order) if other in readers), default=len(order))
        order.insert(rng.randint(low, high), tile)

    def _attempt(self, order: list[int], recipes: list[int]) -> tuple[float, ...] | None:
        self.tried += 1
        plan = self._planned(order, recipes)
        placed = place(self.workload, self.fabric, plan)
        if isinstance(placed, Infeasible):
            return None
        placed = placed.retimed()
        score = self.score(placed)
        if score < self.best:
            self.plan, self.placed, self.best = plan, placed, score
        return score

    def _planned(self, order: list[int], recipes: list[int]) -> Plan:
        first = self.first.first
        cuts = tuple(
            replace(cut, recipes=np.array(recipes[first[op] : first[op + 1]], np.int64))
            for op, cut in enumerate(self.first.cuts)
        )
        return replace(self.first, cuts=cuts, order=np.array(order, np.int64))
