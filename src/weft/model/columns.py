"""A schedule as columns: arrays with a row per task, transfer and residency, for schedules of a million tiles.

`packing.py` converts between these and the nouns of `schedule.py`. Names are numbers: ops and tensors by their position
in the workload, cores, memories and links by theirs in the chip, ports and lanes as `ports_of` and `lanes_of` list
them, an operand by its position in its op; -1 stands for a name that does not exist. Ids are those of the nouns. What
many rows share - bookings, ways, texts of mappings - is listed once and numbered.

Boxes are [rows, rank, 2] with one rank for all: a box of fewer axes has axes (0, 1) behind its own, a scalar nothing
else. A column called `first` has one entry more than there are rows: row r owns [first[r], first[r + 1]).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weft.model.chip import Chip
from weft.model.workload import Workload

Small = NDArray[np.int32]
Large = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Bookings:
    """[bookings]: what events take while they run; events alike share one.

    Args:
        ports_first, port, port_rate: port numbers with rates.
        lanes_first, lane, lane_rate: lane numbers with rates.
        work_first, work_memory, work_bits: workspaces; none for transfers.
    """

    ports_first: Large
    port: Small
    port_rate: Large
    lanes_first: Large
    lane: Small
    lane_rate: Large
    work_first: Large
    work_memory: Small
    work_bits: Large


@dataclass(frozen=True, slots=True, eq=False)
class Ways:
    """[ways]: the routes of transfers; way w has the routes [routes_first[w], routes_first[w + 1]).

    Args:
        memories_first, memory: of each route.     links_first, link: of each route.
    """

    routes_first: Large
    memories_first: Large
    memory: Small
    links_first: Large
    link: Small


@dataclass(frozen=True, slots=True, eq=False)
class Uses:
    """[uses]: what tasks read and write.

    Args:
        operand: position among its op's operands.     tensor: root tensor.
        boxes_first, box: [boxes, rank, 2].            held_first, held: ids of residencies read, or made.
    """

    operand: Small
    tensor: Small
    memory: Small
    streamed: NDArray[np.bool_]
    boxes_first: Large
    box: Small
    held_first: Large
    held: Small


@dataclass(frozen=True, slots=True, eq=False)
class Tasks:
    """[tasks].

    Args:
        tile: [tasks, dims, 2]: ranges in the order of the op's dims; (0, 1) behind them.
        uses_first: its uses; the last of them is what it writes.
        mapping: position in `Columns.mappings`.
    """

    id: Small
    op: Small
    tile: Small
    core: Small
    start: Large
    end: Large
    uses_first: Large
    booking: Small
    energy_pj: NDArray[np.float64]
    mapping: Small


@dataclass(frozen=True, slots=True, eq=False)
class Transfers:
    """[transfers].

    Args:
        sources_first, source: ids of residencies read.     made_first, made: ids of those made, one per route.
    """

    id: Small
    tensor: Small
    box: Small
    way: Small
    start: Large
    end: Large
    bits: Large
    rate: Large
    setup_cycles: Large
    sources_first: Large
    source: Small
    made_first: Large
    made: Small
    booking: Small
    energy_pj: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Residencies:
    """[residencies]; `writer` is the id of an event, or -1 for what is there from the start."""

    id: Small
    memory: Small
    tensor: Small
    box: Small
    bits: Large
    start: Large
    valid_from: Large
    end: Large
    writer: Small


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """A schedule; all rates are in units of 1/`scale` bit per base cycle."""

    workload: str
    chip: str
    scale: int
    tasks: Tasks
    uses: Uses
    transfers: Transfers
    residencies: Residencies
    bookings: Bookings
    ways: Ways
    mappings: tuple[str, ...]

    @property
    def latency_cycles(self) -> int:
        """Base cycle at which the last task or transfer has ended."""
        return max(int(self.tasks.end.max(initial=0)), int(self.transfers.end.max(initial=0)))


def ports_of(chip: Chip) -> tuple[tuple[str, str], ...]:
    """(memory, port) by number."""
    return tuple((memory.name, port.name) for memory in chip.memories for port in memory.ports)


def lanes_of(chip: Chip) -> tuple[tuple[str, str], ...]:
    """(link, lane) by number: a lane per half-duplex link, two per full-duplex one."""
    return tuple(
        (link.name, lane)
        for link in chip.links
        for lane in ((link.name,) if link.half_duplex else (f"{link.name}>", f"{link.name}<"))
    )


def rank_of(workload: Workload) -> int:
    """The rank of all boxes: the highest of any tensor, at least 1."""
    return max((len(tensor.shape) for tensor in workload.tensors), default=1) or 1


def dims_of(workload: Workload) -> int:
    """Dims of every tile: the most that any op has, at least 1."""
    return max((len(op.dims) for op in workload.ops), default=1) or 1
