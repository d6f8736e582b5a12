"""A chip as the engine's kernels see it: everything numbered, ways between memories looked up once.

Lines are what events share: cores first (one task at a time), then lanes, then ports, then transfer engines, then room
in memories.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
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

HOP_FROM, HOP_TO, HOP_LANE, HOP_OUT, HOP_IN, SETUP = range(6)
"""Columns of `Ways.hop`: memories; lines of its lane, of the port it leaves by, of the port it comes in by; latency of
its link [base cycles]."""


class Ways(NamedTuple):
    """Ways between memories.

    Args:
        between: [memories, memories, slots, 3]: from one to another for a slot.
        way:     [ways + 1]: first row of each in `hop`.     hop: [., 6].
        hop_pj:  [., 5]: pJ per bit on the link; bits of a whole access and pJ per bit of it where it leaves, and where
                 it comes in.
        fixed:   [3]: rate units of one bit per base cycle; set-up of any transfer; line of the transfer engines, or -1.
    """

    between: Ints
    way: Ints
    hop: Ints
    hop_pj: Floats
    fixed: Ints


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
        for at, number in self.port.items():
            self.alone[number] = fabric.port[at].exclusive
        self.outermost = self.memory[chip.outermost]
        self.every: list[tuple[Way, Slot]] = []
        """The ways, as they are numbered."""
        self._between = np.zeros((len(self.memory), len(self.memory), len(SLOTS), 3), np.int64)
        self._between[..., NUMBER] = UNKNOWN
        self._ways: Ways | None = None

    def ways(self) -> Ways:
        """All ways looked up so far."""
        if self._ways is None:
            chip = self.fabric.chip
            hops = [list(self._hops(way, slot)) for way, slot in self.every]
            numbers = [number for own in hops for number, _ in own]
            energies = [pj for own in hops for _, pj in own]
            engines = -1 if chip.transfer_engines is None else self.engines
            self._ways = Ways(
                self._between.copy(),
                starts(hops),
                np.array(numbers, np.int64).reshape(-1, 6),
                np.array(energies, np.float64).reshape(-1, 5),
                np.array([self.fabric.scale, chip.transfer_setup_cycles, engines], np.int64),
            )
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

    def _hops(self, way: Way, slot: Slot) -> Iterator[tuple[tuple[int, ...], tuple[float, ...]]]:
        """Numbers and energies of each hop: columns of `Ways.hop` and of `Ways.hop_pj`."""
        route = way.route
        for name, (here, there) in zip(route.links, itertools.pairwise(route.memories), strict=True):
            link = self.fabric.link[name]
            reading, writing = self.fabric.hop_ports(here, there, slot)
            yield (
                (
                    self.memory[here],
                    self.memory[there],
                    self.lane[name, link.lane(here, there)],
                    self.port[here, reading.name],
                    self.port[there, writing.name],
                    self.fabric.link_cycles(link),
                ),
                (
                    link.pj_per_bit,
                    reading.access_bits,
                    self.fabric.memory[here].read_pj / reading.bandwidth_bits,
                    writing.access_bits,
                    self.fabric.memory[there].write_pj / writing.bandwidth_bits,
                ),
            )


def booked(fabric: Fabric, ways: Sequence[tuple[Way, Slot]]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(memory, port) and (link, lane) that ways from one source use together, as `moves._tree` counts them."""
    ports: list[tuple[str, str]] = []
    lanes: list[tuple[str, str]] = []
    hops, sent, read = set[tuple[str, str, str]](), set[tuple[str, str]](), set[str]()
    for way, slot in ways:
        for name, (here, there) in zip(way.route.links, itertools.pairwise(way.route.memories), strict=True):
            if (here, name, there) in hops:
                continue
            hops.add((here, name, there))
            reading, writing = fabric.hop_ports(here, there, slot)
            lane = fabric.link[name].lane(here, there)
            if here not in read:
                ports.append((here, reading.name))
            ports.append((there, writing.name))
            if (here, lane) not in sent:
                lanes.append((name, lane))
            read.add(here)
            sent.add((here, lane))
    return ports, lanes


def starts(lists: Sequence[Sized]) -> Ints:
    """[lists + 1]: row at which each begins when all are written one after another."""
    return np.cumsum([0, *map(len, lists)], dtype=np.int64)


def rows(lists: Sequence[Sequence[tuple[float, float]]], dtype: Any = np.int64) -> Any:
    """[rows, 2]: lists of pairs, one after another."""
    return np.array(list(itertools.chain(*lists)), dtype).reshape(-1, 2)
