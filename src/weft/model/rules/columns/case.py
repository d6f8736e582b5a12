"""What a rule on columns is asked about, and how its findings are told in the words of the rule on nouns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from weft.model.chip import Chip
from weft.model.columns import Columns, Large, Small, dims_of, rank_of
from weft.model.packing import Nouns
from weft.model.rules.case import Case, Fault, Rule
from weft.model.rules.columns.kernels import alike, in_order, latest
from weft.model.schedule import Residency, Schedule, Task, Transfer
from weft.model.workload import Workload

Rows = Sequence[int] | Large


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule found.

    Args:
        checked: elementary facts looked at.
        tasks, transfers, residencies: rows of which some fact does not hold; the rule on nouns says which.
        faults:  those that single rows cannot tell.
    """

    checked: int
    tasks: Rows = ()
    transfers: Rows = ()
    residencies: Rows = ()
    faults: list[Fault] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Kinds:
    """Rows alike in what some rules look at.

    Args:
        first: for each row the first that is alike.
        rows, counts: one row of each kind, and how many are of it.
    """

    first: Large
    rows: list[int]
    counts: list[int]

    @staticmethod
    def of(first: Large) -> Kinds:
        counts = np.bincount(first, minlength=len(first))
        rows = np.flatnonzero(counts)
        return Kinds(first, rows.tolist(), counts[rows].tolist())


class PackedCase:
    """Columns with their workload and chip, and what is looked up more than once.

    What follows from ids (`held`, `source`, `made`, `writer`) is -1 for an id that nothing has.
    """

    def __init__(self, workload: Workload, chip: Chip, columns: Columns) -> None:
        self.workload, self.chip, self.columns = workload, chip, columns
        self.nouns = Nouns(workload, chip, columns)
        numbers = {tensor.name: number for number, tensor in enumerate(workload.tensors)}
        self.roots = _large(numbers[workload.root(tensor.name)] for tensor in workload.tensors)
        self.bits = _large(tensor.bits for tensor in workload.tensors)
        self.shapes = _padded([tensor.shape for tensor in workload.tensors], rank_of(workload))
        self.sizes = _padded([tuple(op.size.values()) for op in workload.ops], dims_of(workload))
        self.outermost = [memory.name for memory in chip.memories].index(chip.outermost)

    @property
    def num_tasks(self) -> int:
        return len(self.columns.tasks.id)

    # -- ids ----------------------------------------------------------------------------------------------------------

    @cached_property
    def event_ids(self) -> Small:
        """Of tasks, then of transfers: an event is its position here."""
        return np.concatenate((self.columns.tasks.id, self.columns.transfers.id))

    @cached_property
    def events(self) -> Ids:
        return Ids(self.event_ids)

    @cached_property
    def residencies(self) -> Ids:
        return Ids(self.columns.residencies.id)

    @cached_property
    def held(self) -> Large:
        """Rows of the residencies that uses name."""
        return self.residencies.rows(self.columns.uses.held)

    @cached_property
    def source(self) -> Large:
        """Rows of the residencies that transfers read."""
        return self.residencies.rows(self.columns.transfers.source)

    @cached_property
    def made(self) -> Large:
        """Rows of the residencies that transfers make."""
        return self.residencies.rows(self.columns.transfers.made)

    @cached_property
    def writer(self) -> Large:
        """Events that residencies name."""
        return self.events.rows(self.columns.residencies.writer)

    # -- uses ---------------------------------------------------------------------------------------------------------

    @cached_property
    def task_of(self) -> Large:
        """[uses]: the row of each use's task."""
        return owners(self.columns.tasks.uses_first)

    @cached_property
    def writes(self) -> Large:
        """[tasks]: the use that each writes."""
        return self.columns.tasks.uses_first[1:] - 1

    @cached_property
    def is_write(self) -> NDArray[np.bool_]:
        found = np.zeros(len(self.columns.uses.operand), np.bool_)
        found[self.writes] = True
        return found

    @cached_property
    def reads(self) -> tuple[Large, Large]:
        """For each residency that a task reads: its row, and the task."""
        use = owners(self.columns.uses.held_first)
        inputs = ~self.is_write[use]
        return self.held[inputs], self.task_of[use[inputs]]

    @cached_property
    def writings(self) -> tuple[Large, Large]:
        """For each residency that a task makes: its row, and the task."""
        use = owners(self.columns.uses.held_first)
        outputs = self.is_write[use]
        return self.held[outputs], self.task_of[use[outputs]]

    @cached_property
    def movings(self) -> Large:
        """[sources of transfers]: the row of each one's transfer."""
        return owners(self.columns.transfers.sources_first)

    @cached_property
    def makings(self) -> Large:
        """[residencies made by transfers]: the row of each one's transfer."""
        return owners(self.columns.transfers.made_first)

    # -- time ---------------------------------------------------------------------------------------------------------

    @cached_property
    def start(self) -> Large:
        """[events]."""
        return np.concatenate((self.columns.tasks.start, self.columns.transfers.start))

    @cached_property
    def end(self) -> Large:
        """[events]."""
        return np.concatenate((self.columns.tasks.end, self.columns.transfers.end))

    @cached_property
    def booking(self) -> Large:
        """[events]."""
        return np.concatenate((self.columns.tasks.booking, self.columns.transfers.booking)).astype(np.int64)

    @cached_property
    def starting(self) -> Large:
        """Events in the order of their starts."""
        return in_order(self.start, np.arange(len(self.start)))

    @cached_property
    def ending(self) -> Large:
        """Events in the order of their ends."""
        return in_order(self.end, np.arange(len(self.end)))

    @cached_property
    def last_read(self) -> Large:
        """[residencies]: when the last reader of each ends, -1 where nothing reads it."""
        rows, tasks = self.reads
        cycles = np.concatenate((self.columns.tasks.end[tasks], self.columns.transfers.end[self.movings]))
        return latest(np.concatenate((rows, self.source)), cycles, len(self.columns.residencies.id))

    # -- kinds ---------------------------------------------------------------------------------------------------------

    @cached_property
    def kinds_of_tasks(self) -> Kinds:
        """Tasks alike in op, core, booking and, by use, in operand, tensor, memory, streamed."""
        tasks, uses = self.columns.tasks, self.columns.uses
        counts = np.diff(tasks.uses_first)
        rows = np.full((self.num_tasks, 3 + 3 * int(counts.max(initial=0))), -1, np.int32)
        rows[:, 0], rows[:, 1], rows[:, 2] = tasks.op, tasks.core, tasks.booking
        column = 3 + 3 * (np.arange(len(uses.operand)) - tasks.uses_first[self.task_of])
        rows[self.task_of, column] = uses.operand
        rows[self.task_of, column + 1] = uses.tensor
        rows[self.task_of, column + 2] = 2 * uses.memory + uses.streamed
        return Kinds.of(alike(rows))

    @cached_property
    def kinds_of_transfers(self) -> Kinds:
        """Transfers alike in way, booking, rate and set-up."""
        moves = self.columns.transfers
        wide = np.column_stack((moves.way.astype(np.int64), moves.booking, moves.rate, moves.setup_cycles))
        return Kinds.of(alike(np.ascontiguousarray(wide).view(np.int32)))

    # -- telling ------------------------------------------------------------------------------------------------------

    @cached_property
    def bare(self) -> Case:
        """A case of nothing: what rules on nouns look up of the workload and the chip."""
        nothing = Schedule(self.columns.workload, self.columns.chip, (), (), ())
        return replace(Case.of(self.workload, self.chip, nothing), latency=self.columns.latency_cycles)

    def tell(self, rule: Rule, found: Found) -> list[Fault]:
        """The faults of the rows found, as the rule on nouns words them."""
        if not (len(found.tasks) or len(found.transfers) or len(found.residencies)):
            return []
        case = self.case_of(
            [self.nouns.task(row) for row in _distinct(found.tasks)],
            [self.nouns.transfer(row) for row in _distinct(found.transfers)],
            [self.nouns.residency(row) for row in _distinct(found.residencies)],
        )
        faults = [fact for fact in rule.facts(case) if fact is not None]
        assert faults, f"the two tellings of '{rule.sentence}' disagree"
        return faults

    def case_of(self, tasks: list[Task], transfers: list[Transfer], residencies: list[Residency]) -> Case:
        """A case of a few rows, with all residencies and events that they name."""
        named = {number for task in tasks for use in (*task.reads, task.writes) for number in use.residencies}
        named |= {number for move in transfers for number in (*move.sources, *move.residencies)}
        there = self.residencies.rows(np.array(sorted(named), np.int64))
        known = {item.id: item for item in (self.nouns.residency(int(row)) for row in there if row >= 0)}
        events: dict[int, Task | Transfer] = {task.id: task for task in tasks}
        events |= {move.id: move for move in transfers}
        writers = np.array(sorted({item.writer for item in residencies} - events.keys()), np.int64)
        for row in self.events.rows(writers):
            if row >= 0:
                event = self.event(int(row))
                events[event.id] = event
        return replace(
            self.bare,
            schedule=Schedule(
                self.columns.workload, self.columns.chip, tuple(tasks), tuple(transfers), tuple(residencies)
            ),
            residencies=known | {item.id: item for item in residencies},
            events=events,
        )

    def event(self, number: int) -> Task | Transfer:
        return self.nouns.task(number) if number < self.num_tasks else self.nouns.transfer(number - self.num_tasks)


def owners(first: Large) -> Large:
    """The row that owns each entry.

    >>> owners(np.array([0, 2, 2, 3])).tolist()
    [0, 0, 2]
    """
    return np.repeat(np.arange(len(first) - 1), np.diff(first))


class Ids:
    """Where ids stand; they are all different."""

    def __init__(self, ids: Small) -> None:
        self.ids = ids
        self.counted = bool(np.array_equal(ids, np.arange(len(ids))))
        self.order = np.zeros(0, np.int64) if self.counted else np.argsort(ids)

    def rows(self, wanted: Small | Large) -> Large:
        """The position of each wanted id, -1 where there is none."""
        if not len(self.ids):
            return np.full(len(wanted), -1, np.int64)
        if self.counted:
            return np.where((wanted >= 0) & (wanted < len(self.ids)), wanted, -1).astype(np.int64)
        place = np.minimum(np.searchsorted(self.ids, wanted, sorter=self.order), len(self.ids) - 1)
        return np.where(self.ids[self.order[place]] == wanted, self.order[place], -1).astype(np.int64)


def _distinct(rows: Rows) -> list[int]:
    return [int(row) for row in np.unique(np.asarray(rows, np.int64))]


def _large(values: object) -> Large:
    return np.array(list(values), np.int64)  # type: ignore[call-overload]


def _padded(shapes: list[tuple[int, ...]], rank: int) -> Large:
    """[shapes, rank]: behind the axes that a shape has, axes of size 1."""
    return np.array([shape + (1,) * (rank - len(shape)) for shape in shapes], np.int64).reshape(-1, rank)
