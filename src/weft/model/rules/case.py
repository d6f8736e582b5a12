"""What a rule is asked about: a schedule with its workload and chip, indexed once for all rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from weft.model.chip import Chip, Core, Link, Memory
from weft.model.schedule import Residency, Schedule, Task, Transfer, Use, Violation
from weft.model.workload import Box, Op, Operand, Tensor, Workload


class Fault(NamedTuple):
    """One fact that does not hold: what about, when, what must be, what is."""

    subject: str
    at_cycle: int
    needs: str
    has: str


Facts = Iterator[Fault | None]
"""One item per elementary fact looked at: None where it holds."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A sentence about schedules, and the facts that make it true.

    Args:
        sentence: what must hold.
        facts:    goes through the elementary facts of a case.
        ground:   the rules that come after rely on it, so they are asked only where it holds.
    """

    sentence: str
    facts: Callable[[Case], Facts]
    ground: bool = False


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How many facts were looked at, and those that do not hold."""

    checked: int
    violations: tuple[Violation, ...]

    @property
    def ok(self) -> bool:
        return not self.violations


@dataclass(frozen=True, slots=True)
class Case:
    """A schedule with its workload and chip, and what is looked up more than once.

    Args:
        roots:     root tensor of every tensor.
        residencies, events: by id.
        last_read: for each residency that is read, when its last reader ends.
        kept:      root tensors whose place in the outermost memory lasts until the schedule ends.
        latency:   when the schedule ends.
    """

    workload: Workload
    chip: Chip
    schedule: Schedule
    ops: Mapping[str, Op]
    tensors: Mapping[str, Tensor]
    roots: Mapping[str, str]
    cores: Mapping[str, Core]
    memories: Mapping[str, Memory]
    links: Mapping[str, Link]
    residencies: Mapping[int, Residency]
    events: Mapping[int, Task | Transfer]
    last_read: Mapping[int, int]
    kept: frozenset[str]
    latency: int

    @staticmethod
    def of(workload: Workload, chip: Chip, schedule: Schedule) -> Case:
        last_read: dict[int, int] = {}
        for task in schedule.tasks:
            for use in task.reads:
                for residency in use.residencies:
                    last_read[residency] = max(last_read.get(residency, task.end), task.end)
        for transfer in schedule.transfers:
            for residency in transfer.sources:
                last_read[residency] = max(last_read.get(residency, transfer.end), transfer.end)
        events: list[Task | Transfer] = [*schedule.tasks, *schedule.transfers]
        roots = {tensor.name: workload.root(tensor.name) for tensor in workload.tensors}
        return Case(
            workload=workload,
            chip=chip,
            schedule=schedule,
            ops={op.name: op for op in workload.ops},
            tensors={tensor.name: tensor for tensor in workload.tensors},
            roots=roots,
            cores={core.name: core for core in chip.cores},
            memories={memory.name: memory for memory in chip.memories},
            links={link.name: link for link in chip.links},
            residencies={residency.id: residency for residency in schedule.residencies},
            events={event.id: event for event in events},
            last_read=last_read,
            kept=frozenset(roots[tensor.name] for tensor in workload.tensors if tensor.role != "intermediate"),
            latency=schedule.latency_cycles,
        )

    def needed(self, operand: Operand, task: Task) -> Box:
        """What a task touches of an operand, as a box of its root tensor."""
        box = operand.box(dict(task.ranges))
        if self.roots[operand.tensor] == operand.tensor:
            return box
        return self.workload.root_box(operand.tensor, box)

    def made_by(self, event: Task | Transfer) -> tuple[int, ...]:
        """Ids of the residencies that an event makes."""
        return event.writes.residencies if isinstance(event, Task) else event.residencies


def named(event: Task | Transfer) -> str:
    """How a violation calls an event."""
    if isinstance(event, Task):
        tile = " ".join(f"{dim}[{start},{stop})" for dim, (start, stop) in event.ranges)
        return f"task {event.id} ({event.op} {tile} on {event.core})"
    return f"transfer {event.id} ({event.tensor} {shown(event.box)} {event.way})"


def used(task: Task, use: Use) -> str:
    """How a violation calls what a task reads or writes."""
    return f"{use.operand} of {named(task)}"


def kept_as(residency: Residency) -> str:
    """How a violation calls a residency."""
    return f"residency {residency.id} ({residency.tensor} {shown(residency.box)} in {residency.memory})"


def shown(box: Box) -> str:
    """A box in interval notation.

    >>> shown(((0, 2), (3, 4)))
    '[0,2)x[3,4)'
    """
    return "x".join(f"[{start},{stop})" for start, stop in box) or "scalar"
