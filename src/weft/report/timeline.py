"""What a schedule does over time, row by row: tasks on cores, loads on links, bits in memories. For charts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from weft.model.chip import Chip
from weft.model.schedule import LaneLoad, Schedule


@dataclass(frozen=True, slots=True)
class Span:
    """Something that takes a share of a row over [start, end).

    Args:
        share: part of the row's capacity; 1 for a task on a core.
        op:    the op that a task belongs to, or "" for a transfer.    title: what it is, in words.
    """

    start: int
    end: int
    share: float
    op: str
    title: str


@dataclass(frozen=True, slots=True)
class Row:
    """One core, or one lane of a link, with what it does in the order of time."""

    name: str
    kind: str
    spans: tuple[Span, ...]

    def busy(self, until: int) -> float:
        """Share of its capacity used over [0, until)."""
        return sum((span.end - span.start) * span.share for span in self.spans) / max(1, until)


def core_rows(schedule: Schedule, chip: Chip) -> tuple[Row, ...]:
    """A row per core, in the chip's order."""
    spans: dict[str, list[Span]] = {core.name: [] for core in chip.cores}
    for task in schedule.tasks:
        tile = " ".join(f"{dim} {a}:{b}" for dim, (a, b) in task.ranges if b - a > 1)
        spans[task.core].append(
            Span(task.start, task.end, 1.0, task.op, f"{task.op} [{tile}] {task.start:,}-{task.end:,}")
        )
    return tuple(Row(name, "core", tuple(sorted(items, key=_when))) for name, items in spans.items())


def lane_rows(schedule: Schedule, chip: Chip) -> tuple[Row, ...]:
    """A row per link, or per direction of a full-duplex link, that carries anything."""
    rates = {link.name: chip.lane_rate(link) for link in chip.links}
    order = {name: number for number, name in enumerate(rates)}
    spans: dict[tuple[int, str], list[Span]] = {}

    def book(loads: Sequence[LaneLoad], start: int, end: int, op: str, title: str) -> None:
        for (link, lane), rate in sums(loads).items():
            share = float(rate / rates[link])
            spans.setdefault((order[link], lane), []).append(Span(start, end, share, op, title))

    for move in schedule.transfers:
        book(
            move.lanes,
            move.start,
            move.end,
            "",
            f"{move.tensor} {move.way} {move.bits:,} bit {move.start:,}-{move.end:,}",
        )
    for task in schedule.tasks:
        book(task.lanes, task.start, task.end, task.op, f"{task.op} streams {task.start:,}-{task.end:,}")
    return tuple(Row(lane, "link", tuple(sorted(items, key=_when))) for (_, lane), items in sorted(spans.items()))


def sums(loads: Sequence[LaneLoad]) -> Mapping[tuple[str, str], Fraction]:
    """Rates of one event per (link, lane)."""
    total: dict[tuple[str, str], Fraction] = {}
    for load in loads:
        key = (load.link, load.lane)
        total[key] = total.get(key, Fraction(0)) + load.rate
    return total


def _when(span: Span) -> tuple[int, int]:
    return span.start, span.end


def occupancy(schedule: Schedule) -> dict[str, tuple[tuple[int, int], ...]]:
    """For each memory its (cycle, bits held from then on), workspaces included."""
    changes: dict[str, dict[int, int]] = {}

    def hold(memory: str, start: int, end: int, bits: int) -> None:
        at = changes.setdefault(memory, {})
        at[start] = at.get(start, 0) + bits
        at[end] = at.get(end, 0) - bits

    for held in schedule.residencies:
        hold(held.memory, held.start, held.end, held.bits)
    for task in schedule.tasks:
        for memory, bits in task.workspace:
            hold(memory, task.start, task.end, bits)
    steps: dict[str, tuple[tuple[int, int], ...]] = {}
    for memory, at in sorted(changes.items()):
        level = 0
        steps[memory] = tuple((cycle, level := level + change) for cycle, change in sorted(at.items()))
    return steps


def columns(row: Row, until: int, count: int) -> list[float]:
    """The share of the row in use in each of `count` equal slices of [0, until)."""
    used = [0.0] * count
    for span in row.spans:
        for slot, cycles in _slices(span, until, count):
            used[slot] += cycles * span.share
    width = max(1, until) / count
    return [min(1.0, value / width) for value in used]


def _slices(span: Span, until: int, count: int) -> Iterator[tuple[int, float]]:
    width = max(1, until) / count
    first, last = int(span.start / width), min(count - 1, int(span.end / width))
    for slot in range(first, last + 1):
        yield slot, max(0.0, min(span.end, (slot + 1) * width) - max(span.start, slot * width))
