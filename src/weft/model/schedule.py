"""The schedule: tasks on cores, transfers over links, residencies in memories; base cycles, intervals half-open."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from weft.model.workload import Box, Range


@dataclass(frozen=True, slots=True)
class Use:
    """What a task reads or writes: boxes of a root tensor in one memory for the whole task.

    streamed: the data passes between that memory and the core while the task runs, over `links`
              (a streamed write makes the boxes valid in `memory` at the task's end, like any other write).
    """

    operand: str
    tensor: str
    boxes: tuple[Box, ...]
    memory: str
    streamed: bool = False


@dataclass(frozen=True, slots=True)
class PortLoad:
    """Bits that a task moves through one port of a memory that transfers use too, and the rate that this books."""

    memory: str
    port: str
    rate: Fraction


@dataclass(frozen=True, slots=True)
class LaneLoad:
    """A rate booked on a link's lane (`Link.lane`) [bits per base cycle]."""

    lane: str
    rate: Fraction


@dataclass(frozen=True, slots=True)
class Task:
    """One op tile on one core.

    Args:
        ranges:    the tile: a half-open range per op dim.
        reads, writes: what it touches.
        workspace: (memory, bits) reserved for the whole task: tiles of streamed operands, second copies.
        ports, lanes: rates booked for the whole task.
        energy_pj: inside the core and, for streamed operands, along their path; memory and MACs, without leakage.
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
    """One box moved from the first memory of a route to the last, at one constant rate on every link and port.

    Destination space is held from `start`; the data is valid there at `end`. The source stays until `end`.
    """

    id: int
    tensor: str
    box: Box
    memories: tuple[str, ...]
    links: tuple[str, ...]
    start: int
    end: int
    bits: int
    rate: Fraction
    ports: tuple[PortLoad, ...]
    lanes: tuple[LaneLoad, ...]
    energy_pj: float


@dataclass(frozen=True, slots=True)
class Residency:
    """A box that takes room in a memory over [start, end); its data is there from `valid_from`.

    cause: "initial", "task 3" (written by it) or "transfer 7" (arrived by it).
    Boxes of one tensor that share time in one memory do not overlap (what two tasks both need is held once).
    """

    memory: str
    tensor: str
    box: Box
    bits: int
    start: int
    valid_from: int
    end: int
    cause: str


@dataclass(frozen=True, slots=True)
class Schedule:
    """Everything that happens, and when. `order` of tasks and transfers is the order in which they were placed."""

    workload: str
    chip: str
    tasks: tuple[Task, ...]
    transfers: tuple[Transfer, ...]
    residencies: tuple[Residency, ...]

    @property
    def latency_cycles(self) -> int:
        """Cycle at which the last task or transfer has ended."""
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
