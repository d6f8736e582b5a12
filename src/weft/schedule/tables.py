"""A chip as the engine's kernels see it: everything numbered, ways between memories looked up once.

Lines are what events share: cores first (one task at a time), then lanes, then ports, then transfer engines, then room
in memories.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence, Sized
from typing import Any, NamedTuple

import numpy as np

from weft.model.workload import SLOTS, Slot
from weft.schedule.fabric import Fabric, Way

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]

MOST_WAYS = 8
"""Ways between two memories that are weighed: the first ones declared. Only meshes have more."""

UNKNOWN = -1
"""Number of ways where nobody has asked yet."""

FIRST, NUMBER, BEST = range(3)
"""Columns of `Ways.between`: first way, how many, highest rate."""

RATE, SETUP, LINES, ACCESSES = range(4)
"""Columns of `Ways.way` [ways + 1, 4]: rate units, base cycles, first rows in `line` and in `access`."""


class Ways(NamedTuple):
    """Ways between memories.

    Args:
        between: [memories, memories, slots, 3]: from one to another for a slot.
        way:     [ways + 1, 4].
        line:    [., 2]: a line that a way uses, how many times over (0: one unit of it, at any rate).
        scale:   [1]: rate units of one bit per base cycle.
        access:  [., 2]: at every port passed: bits of a whole access, pJ per bit of it; first, for its links: 1, pJ.
    """

    between: Ints
    way: Ints
    line: Ints
    scale: Ints
    access: Floats


class Tables:
    """Numbers of a fabric's cores, lanes, ports and memories, and its ways as arrays."""

    def __init__(self, fabric: Fabric) -> None:
        chip = fabric.chip
        self.fabric = fabric
        self.memories = tuple(memory.name for memory in chip.memories)
        self.memory = {name: number for number, name in enumerate(self.memories)}
        self.core = {core.name: number for number, core in enumerate(chip.cores)}
        self.slot: dict[Slot, int] = {slot: number for number, slot in enumerate(SLOTS)}
        lanes = [
            (link.name, lane)
            for link in chip.links
            for lane in ([link.name] if link.half_duplex else [f"{link.name}>", f"{link.name}<"])
        ]
        ports = [(memory.name, port.name) for memory in chip.memories for port in memory.ports]
        self.lane = {at: len(self.core) + number for number, at in enumerate(lanes)}
        self.port = {at: len(self.core) + len(lanes) + number for number, at in enumerate(ports)}
        self.engines = len(self.core) + len(lanes) + len(ports)
        self.room = self.engines + 1
        """Number of the first memory's line."""
        rates = [fabric.lane_rate[link] for link, _ in lanes] + [fabric.port_rate[at] for at in ports]
        self.capacity = np.array(
            [
                *(1 for _ in chip.cores),
                *rates,
                chip.transfer_engines or 0,
                *(memory.size_bits for memory in chip.memories),
            ],
            np.int64,
        )
        self.alone = np.zeros(len(self.capacity), np.int64)
        self.alone[: len(self.core)] = 1
        for at, number in self.lane.items():
            self.alone[number] = fabric.link[at[0]].exclusive
        self.outermost = self.memory[chip.outermost]
        self.every: list[tuple[Way, Slot]] = []
        """The ways, as they are numbered."""
        self._between = np.zeros((len(self.memory), len(self.memory), len(SLOTS), 3), np.int64)
        self._between[..., NUMBER] = UNKNOWN
        self._ways: Ways | None = None

    def ways(self) -> Ways:
        """All ways looked up so far."""
        if self._ways is None:
            lines = [self._lines(way) for way, _ in self.every]
            accesses = [self._accesses(way, slot) for way, slot in self.every]
            way = np.zeros((len(self.every) + 1, 4), np.int64)
            way[:-1, RATE] = [item.rate for item, _ in self.every]
            way[:-1, SETUP] = [item.setup_cycles for item, _ in self.every]
            way[:, LINES], way[:, ACCESSES] = starts(lines), starts(accesses)
            scale = np.array([self.fabric.scale], np.int64)
            self._ways = Ways(self._between.copy(), way, rows(lines), scale, rows(accesses, np.float64))
        return self._ways

    def look_up(self, pairs: Iterable[tuple[int, int, int]]) -> None:
        """Look up the ways from a memory to another for a slot, where that is yet to be done."""
        for source, target, slot in pairs:
            if self._between[source, target, slot, NUMBER] != UNKNOWN:
                continue
            name = SLOTS[slot]
            here, there = self.memories[source], self.memories[target]
            found = self.fabric.ways(here, there, name)[:MOST_WAYS] if here != there else ()
            best = max((way.rate for way in found), default=0)
            self._between[source, target, slot] = len(self.every), len(found), best
            self.every += [(way, name) for way in found]
            self._ways = None

    def _lines(self, way: Way) -> list[tuple[int, int]]:
        every = [self.lane[at] for at in way.lanes] + [self.port[at] for at in way.ports]
        engines = [] if self.fabric.chip.transfer_engines is None else [(self.engines, 0)]
        return [(line, every.count(line)) for line in dict.fromkeys(every)] + engines

    def _accesses(self, way: Way, slot: Slot) -> list[tuple[float, float]]:
        """What `Fabric.transfer_pj` sums."""
        found = [(1.0, sum(self.fabric.link[name].pj_per_bit for name in way.route.links))]
        for here, there in itertools.pairwise(way.route.memories):
            reading, writing = self.fabric.hop_ports(here, there, slot)
            for name, port, reads in ((here, reading, True), (there, writing, False)):
                memory = self.fabric.memory[name]
                pj = memory.read_pj if reads else memory.write_pj
                found.append((port.access_bits, pj / port.bandwidth_bits))
        return found


def starts(lists: Sequence[Sized]) -> Ints:
    """[lists + 1]: row at which each begins when all are written one after another."""
    return np.cumsum([0, *map(len, lists)], dtype=np.int64)


def rows(lists: Sequence[Sequence[tuple[float, float]]], dtype: Any = np.int64) -> Any:
    """[rows, 2]: lists of pairs, one after another."""
    return np.array(list(itertools.chain(*lists)), dtype).reshape(-1, 2)
