"""Where boxes would lie: first-fit addresses over time, and how far they reach beyond the bits that are held.

Capacity is a matter of summed bits. An allocator that never moves a box may need more, because the room that is free
lies in pieces: this says how much. It is a report, no rule.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass

from weft.model.chip import Chip
from weft.model.schedule import Schedule

Span = tuple[int, int, int]
"""(start, end, bits): a residency or workspace."""


@dataclass(frozen=True, slots=True)
class Fragmentation:
    """One memory's addresses.

    Args:
        held_bits:  most bits held at once.
        reach_bits: end of the highest address that first fit gives out.
    """

    memory: str
    held_bits: int
    reach_bits: int
    size_bits: int

    @property
    def fits(self) -> bool:
        return self.reach_bits <= self.size_bits


def fragmentation(schedule: Schedule, chip: Chip) -> tuple[Fragmentation, ...]:
    """For each memory that holds something, in the chip's order.

    Boxes get addresses in the order in which they come, each the lowest at which it fits until it leaves.
    """
    spans: defaultdict[str, list[Span]] = defaultdict(list)
    for held in schedule.residencies:
        if held.start < held.end:
            spans[held.memory].append((held.start, held.end, held.bits))
    for task in schedule.tasks:
        for memory, bits in task.workspace:
            if bits:
                spans[memory].append((task.start, task.end, bits))
    return tuple(
        Fragmentation(memory.name, *first_fit(spans[memory.name]), memory.size_bits)
        for memory in chip.memories
        if spans[memory.name]
    )


def first_fit(spans: list[Span]) -> tuple[int, int]:
    """Most bits held at once, and the end of the highest address given.

    >>> first_fit([(0, 4, 8), (0, 9, 4), (4, 9, 12)])  # the 8 bits that become free are no room for 12
    (16, 24)
    """
    # at one cycle what leaves goes first; of what comes, the first listed
    moments = sorted(
        [(start, 1, number) for number, (start, _, _) in enumerate(spans)]
        + [(end, 0, number) for number, (_, end, _) in enumerate(spans)]
    )
    room = _Room()
    address = [0] * len(spans)
    held = most = 0
    for _, comes, number in moments:
        bits = spans[number][2]
        if comes:
            address[number] = room.take(bits)
            held += bits
            most = max(most, held)
        else:
            room.give(address[number], bits)
            held -= bits
    return most, room.reach


class _Room:
    """Free pieces below the end of all that was ever given out, in the order of their addresses; none touch."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.reach = 0

    def take(self, bits: int) -> int:
        for place, (start, end) in enumerate(zip(self.starts, self.ends, strict=True)):
            # the piece that ends where all ends can grow
            if end - start >= bits or end == self.reach:
                self.starts[place] += bits
                self.reach = max(self.reach, start + bits)
                if start + bits >= end:
                    del self.starts[place], self.ends[place]
                return start
        self.reach += bits
        return self.reach - bits

    def give(self, start: int, bits: int) -> None:
        end = start + bits
        place = bisect_left(self.starts, start)
        if place < len(self.starts) and self.starts[place] == end:
            end = self.ends[place]
            del self.starts[place], self.ends[place]
        if place and self.ends[place - 1] == start:
            self.ends[place - 1] = end
        else:
            self.starts.insert(place, start)
            self.ends.insert(place, end)
