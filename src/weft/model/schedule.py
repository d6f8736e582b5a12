"""The schedule: tasks on cores, transfers over links, residencies in memories; base cycles, intervals half-open.

Tasks and transfers are *events*, numbered together in the order in which they were placed. What happens follows from
orders: every core, link lane, port and memory takes its events in the order of (start, id), and each event starts as
soon as its data is there and all that it uses has room for it. `execute/replay.py` reaches the same times from the
orders alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from weft.model.chip import Route
from weft.model.workload import Box, Range


@dataclass(frozen=True, slots=True)
class Use:
    """What a task reads or writes: boxes of a root tensor that lie in one memory for the whole task.

    Args:
        operand: the op's operand letter.     tensor: root tensor.     memory: where the boxes lie.
        boxes:   disjoint; together they hold at least what the tile needs.
        residencies: ids of the residencies read, or made (a write).
        streamed: the data passes between that memory and the core while the task runs; the path is booked in `lanes`.
    """

    operand: str
    tensor: str
    memory: str
    boxes: tuple[Box, ...]
    residencies: tuple[int, ...]
    streamed: bool = False


@dataclass(frozen=True, slots=True)
class PortLoad:
    """A rate booked on a port of one memory [bits per base cycle]."""

    memory: str
    port: str
    rate: Fraction


@dataclass(frozen=True, slots=True)
class LaneLoad:
    """A rate booked on a link's lane (`Link.lane`) [bits per base cycle]."""

    link: str
    lane: str
    rate: Fraction


@dataclass(frozen=True, slots=True)
class Task:
    """One op tile on one core.

    Args:
        id:      event number.     op: the op's name.
        ranges:  the tile: a half-open range per op dim.
        reads, writes: what it touches; each written box becomes valid at `end`.
        workspace: (memory, bits) reserved for the whole task: tiles of streamed operands, second copies.
        ports, lanes: rates booked for the whole task.
        energy_pj: inside the core and, for streamed operands, along their path; without static power.
        mapping:   text of its mapping.
    """

    id: int
    op: str
    ranges: tuple[tuple[str, Range], ...]
    core: str
    start: int
    end: int
    reads: tuple[Use, ...]
    writes: Use
    workspace: tuple[tuple[str, int], ...]
    ports: tuple[PortLoad, ...]
    lanes: tuple[LaneLoad, ...]
    energy_pj: float
    mapping: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """One box moved from one memory to one or several others (multicast), at one constant rate on every link and port.

    Space in all receivers is held from `start`; the data is valid in all at `end`. The source is held until `end`.
    The routes form a tree: the source and every memory passed are read once, each memory entered is written once, and
    what a memory sends over one lane of a link goes to all that hear it there at once.

    Args:
        id:       event number.
        routes:   one per receiver, all from one source; memories between are passed (cut-through).
        bits:     of the box;     rate: bits per base cycle.
        setup_cycles: the chip's set-up and the latency of the longest route's links, part of [start, end).
        sources:  ids of the residencies read; together they hold the box.
        residencies: ids of those made, one per route, in the order of `routes`.
    """

    id: int
    tensor: str
    box: Box
    routes: tuple[Route, ...]
    start: int
    end: int
    bits: int
    rate: Fraction
    setup_cycles: int
    sources: tuple[int, ...]
    residencies: tuple[int, ...]
    ports: tuple[PortLoad, ...]
    lanes: tuple[LaneLoad, ...]
    energy_pj: float

    @property
    def source(self) -> str:
        return self.routes[0].memories[0]

    @property
    def targets(self) -> tuple[str, ...]:
        """The receivers, in the order of `routes`."""
        return tuple(route.memories[-1] for route in self.routes)

    @property
    def hops(self) -> tuple[tuple[str, str, str], ...]:
        """(memory, link, memory) of every edge of the tree, each once however many routes share it."""
        return tuple(
            dict.fromkeys(
                hop
                for route in self.routes
                for hop in zip(route.memories, route.links, route.memories[1:], strict=False)
            )
        )

    @property
    def way(self) -> str:
        """Its routes in words."""
        return ", ".join(" > ".join(route.memories) for route in self.routes)


@dataclass(frozen=True, slots=True)
class Residency:
    """A box that takes room in a memory over [start, end); its data is there from `valid_from`.

    It ends when the last event that reads it has ended (at `valid_from` where none does). In the outermost memory,
    the network's inputs, weights and outputs stay until the schedule ends.
    Boxes of one tensor that share time in one memory do not overlap: what two tasks both need is held once, and a box
    comes back into a memory only when the copy that was there has left.

    Args:
        writer: the event that makes it, or -1 for what lies in the outermost memory from the start.
    """

    id: int
    memory: str
    tensor: str
    box: Box
    bits: int
    start: int
    valid_from: int
    end: int
    writer: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """Everything that happens, and when."""

    workload: str
    chip: str
    tasks: tuple[Task, ...]
    transfers: tuple[Transfer, ...]
    residencies: tuple[Residency, ...]

    @property
    def latency_cycles(self) -> int:
        """Base cycle at which the last task or transfer has ended."""
        return max([task.end for task in self.tasks] + [transfer.end for transfer in self.transfers], default=0)


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that does not hold, as data."""

    rule: str
    subject: str
    at_cycle: int
    needs: str
    has: str

    def __str__(self) -> str:
        return f"cycle {self.at_cycle}: {self.rule}: {self.subject} needs {self.needs}, has {self.has}"


@dataclass(frozen=True, slots=True)
class Infeasible:
    """No schedule or mapping exists under the given settings: what was needed, what there is, what would help."""

    subject: str
    reason: str
    needs_bits: int | None = None
    has_bits: int | None = None
    memory: str | None = None
    remedy: str = ""

    def __str__(self) -> str:
        need = f" (needs {self.needs_bits} bits of '{self.memory}', which has {self.has_bits})" if self.memory else ""
        return f"{self.subject}: {self.reason}{need}" + (f"; {self.remedy}" if self.remedy else "")
