"""trace.pftrace: a schedule as Perfetto draws it, with a track per core and link and a counter per memory.

Perfetto's times are nanoseconds; here one of them stands for one base cycle, so that nothing is rounded. Transfers that
share a lane stand on tracks below each other.

The file is a sequence of protobuf messages of six kinds, written here field by field as
https://perfetto.dev/docs/reference/trace-packet-proto numbers them (`docs/decisions/016-traces-by-hand.md`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from weft.model.chip import Chip
from weft.model.schedule import Schedule
from weft.model.workload import Box
from weft.report.timeline import occupancy, sums

BEGIN, END, COUNTER = 1, 2, 4
"""Types of track events."""

CORES, LINKS, MEMORIES = range(2, 5)
"""Tracks that hold those of their kind; the whole schedule is track 1."""

Slice = tuple[int, int, str, bytes]
"""Start, end, name, annotations."""


def trace_bytes(schedule: Schedule, chip: Chip) -> bytes:
    """The file's content."""
    title = f"{schedule.workload} on {schedule.chip} (1 ns here is 1 base cycle, {1e9 / chip.base_clock_hz:.6g} ns)"
    packets = [_descriptor(1, None, title, _message(3, _number(1, 1) + _text(6, title)))]
    packets += [
        _descriptor(uuid, 1, name, _number(11, 3) + _number(12, uuid))
        for uuid, name in ((CORES, "cores"), (LINKS, "links"), (MEMORIES, "memories"))
    ]
    events: list[tuple[int, int, bytes]] = []
    uuid = MEMORIES
    for parent, name, slices in (*_core_tracks(schedule, chip), *_lane_tracks(schedule, chip)):
        uuid += 1
        packets.append(_descriptor(uuid, parent, name, _number(12, uuid)))
        for start, end, what, notes in slices:
            events.append((start, 1, _event(start, _number(9, BEGIN) + _number(11, uuid) + _text(23, what) + notes)))
            events.append((end, 0, _event(end, _number(9, END) + _number(11, uuid))))
    for memory, steps in occupancy(schedule).items():
        uuid += 1
        packets.append(_descriptor(uuid, MEMORIES, memory, _message(8, _text(6, "bit")) + _number(12, uuid)))
        for cycle, bits in steps:
            events.append((cycle, 2, _event(cycle, _number(9, COUNTER) + _number(11, uuid) + _number(30, bits))))
    # what ends at a time comes before what starts then: half-open intervals
    events.sort(key=lambda event: event[:2])
    return b"".join((*packets, *(event[2] for event in events)))


def _core_tracks(schedule: Schedule, chip: Chip) -> Iterator[tuple[int, str, list[Slice]]]:
    slices: dict[str, list[Slice]] = {core.name: [] for core in chip.cores}
    for task in schedule.tasks:
        tile = " ".join(f"{dim} {start}:{stop}" for dim, (start, stop) in task.ranges)
        notes = _note("tile", tile) + _note("energy_pj", task.energy_pj) + _note("mapping", task.mapping)
        slices[task.core].append((task.start, task.end, task.op, notes))
    for name, items in slices.items():
        yield CORES, name, items


def _lane_tracks(schedule: Schedule, chip: Chip) -> Iterator[tuple[int, str, list[Slice]]]:
    """A track per lane, or several where what it carries overlaps in time."""
    order = {link.name: number for number, link in enumerate(chip.links)}
    slices: dict[tuple[int, str], list[Slice]] = {}
    for move in schedule.transfers:
        notes = _note("way", move.way) + _note("box", _shown(move.box)) + _note("bits", move.bits)
        for (link, lane), rate in sums(move.lanes).items():
            slice_ = (move.start, move.end, move.tensor, notes + _note("bits_per_cycle", float(rate)))
            slices.setdefault((order[link], lane), []).append(slice_)
    for task in schedule.tasks:
        for (link, lane), rate in sums(task.lanes).items():
            slice_ = (task.start, task.end, f"{task.op} streams", _note("bits_per_cycle", float(rate)))
            slices.setdefault((order[link], lane), []).append(slice_)
    for (_, lane), items in sorted(slices.items()):
        for number, row in enumerate(apart(items), 1):
            yield LINKS, lane if number == 1 else f"{lane} ({number})", row


def apart(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Slices in as few rows as they need so that none overlaps another of its row.

    >>> [[name for *_, name, _ in row] for row in apart([(0, 4, "a", b""), (2, 6, "b", b""), (4, 5, "c", b"")])]
    [['a', 'c'], ['b']]
    """
    rows: list[list[Slice]] = []
    for item in sorted(slices, key=lambda it: it[:2]):
        row = next((row for row in rows if row[-1][1] <= item[0]), None)
        if row is None:
            row = []
            rows.append(row)
        row.append(item)
    return rows


def _shown(box: Box) -> str:
    return " ".join(f"{start}:{stop}" for start, stop in box)


# -- messages: Trace.packet is field 1 of the file; TracePacket, TrackDescriptor, TrackEvent, DebugAnnotation below it


def _descriptor(uuid: int, parent: int | None, name: str, more: bytes) -> bytes:
    inside = _number(1, uuid) + _text(2, name) + (b"" if parent is None else _number(5, parent)) + more
    return _message(1, _number(10, 1) + _message(60, inside))


def _event(cycle: int, inside: bytes) -> bytes:
    return _message(1, _number(8, cycle) + _number(10, 1) + _message(11, inside))


def _note(name: str, value: str | int | float) -> bytes:
    if isinstance(value, str):
        told = _text(6, value)
    elif isinstance(value, int):
        told = _number(3, value)
    else:
        told = _varint(5 << 3 | 1) + struct.pack("<d", value)
    return _message(4, _text(10, name) + told)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode())


def _message(field: int, inside: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(inside)) + inside


def _varint(value: int) -> bytes:
    """A number of at least 0, seven bits a byte, the lowest first.

    >>> _varint(300)
    b'\\xac\\x02'
    """
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)
