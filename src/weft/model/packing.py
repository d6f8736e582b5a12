"""Schedules to columns and back."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from weft.model.chip import Chip, Route
from weft.model.columns import (
    Bookings,
    Columns,
    Large,
    Residencies,
    Small,
    Tasks,
    Transfers,
    Uses,
    Ways,
    dims_of,
    lanes_of,
    ports_of,
    rank_of,
)
from weft.model.schedule import LaneLoad, PortLoad, Residency, Schedule, Task, Transfer, Use
from weft.model.workload import Box, Workload

MOST = 2**31 - 1
"""Largest id, position or edge of a box."""
MOST_BITS = 2**62
"""Largest count of bits, cycles or scaled rates."""

# -- from nouns --------------------------------------------------------------------------------------------------------


def to_columns(workload: Workload, chip: Chip, schedule: Schedule) -> Columns:
    """A schedule as columns. What columns cannot say at all (a box of another rank, a tile without one of its dims) is
    an empty range there, which the same rule refuses.

    Raises: OverflowError where a number is too large for its column.
    """
    return _Packer(workload, chip, schedule).columns()


class _Packer:
    def __init__(self, workload: Workload, chip: Chip, schedule: Schedule) -> None:
        self.schedule = schedule
        self.rank, self.num_dims = rank_of(workload), dims_of(workload)
        self.ops = _numbers(op.name for op in workload.ops)
        self.dims = [[name for name, _ in op.dims] for op in workload.ops]
        self.operands = [_numbers(operand.name for operand in op.operands) for op in workload.ops]
        self.tensors = _numbers(tensor.name for tensor in workload.tensors)
        self.ranks = [len(tensor.shape) for tensor in workload.tensors]
        self.cores = _numbers(core.name for core in chip.cores)
        self.memories = _numbers(memory.name for memory in chip.memories)
        self.links = _numbers(link.name for link in chip.links)
        self.ports = {name: number for number, name in enumerate(ports_of(chip))}
        self.lanes = {name: number for number, name in enumerate(lanes_of(chip))}
        self.scale = _scale(chip, schedule)
        self.bookings: dict[tuple[object, ...], int] = {}
        self.ways: dict[tuple[Route, ...], int] = {}
        self.mappings: dict[str, int] = {}

    def columns(self) -> Columns:
        schedule = self.schedule
        uses = [use for task in schedule.tasks for use in (*task.reads, task.writes)]
        ops = [self.ops.get(task.op, -1) for task in schedule.tasks for _ in range(len(task.reads) + 1)]
        tasks = Tasks(
            _small(task.id for task in schedule.tasks),
            _small(self.ops.get(task.op, -1) for task in schedule.tasks),
            _boxes([self._tile(task) for task in schedule.tasks], self.num_dims),
            _small(self.cores.get(task.core, -1) for task in schedule.tasks),
            _large(task.start for task in schedule.tasks),
            _large(task.end for task in schedule.tasks),
            _first(len(task.reads) + 1 for task in schedule.tasks),
            _small(self._booking(task.ports, task.lanes, task.workspace) for task in schedule.tasks),
            np.array([task.energy_pj for task in schedule.tasks], np.float64),
            _small(self.mappings.setdefault(task.mapping, len(self.mappings)) for task in schedule.tasks),
        )
        used = Uses(
            _small(
                self.operands[op].get(use.operand, -1) if op >= 0 else -1 for op, use in zip(ops, uses, strict=True)
            ),
            _small(self.tensors.get(use.tensor, -1) for use in uses),
            _small(self.memories.get(use.memory, -1) for use in uses),
            np.array([use.streamed for use in uses], np.bool_),
            _first(len(use.boxes) for use in uses),
            _boxes([self._box(use.tensor, box) for use in uses for box in use.boxes], self.rank),
            _first(len(use.residencies) for use in uses),
            _small(number for use in uses for number in use.residencies),
        )
        transfers = Transfers(
            _small(move.id for move in schedule.transfers),
            _small(self.tensors.get(move.tensor, -1) for move in schedule.transfers),
            _boxes([self._box(move.tensor, move.box) for move in schedule.transfers], self.rank),
            _small(self.ways.setdefault(move.routes, len(self.ways)) for move in schedule.transfers),
            _large(move.start for move in schedule.transfers),
            _large(move.end for move in schedule.transfers),
            _large(move.bits for move in schedule.transfers),
            _large(self._rate(move.rate) for move in schedule.transfers),
            _large(move.setup_cycles for move in schedule.transfers),
            _first(len(move.sources) for move in schedule.transfers),
            _small(number for move in schedule.transfers for number in move.sources),
            _first(len(move.residencies) for move in schedule.transfers),
            _small(number for move in schedule.transfers for number in move.residencies),
            _small(self._booking(move.ports, move.lanes, ()) for move in schedule.transfers),
            np.array([move.energy_pj for move in schedule.transfers], np.float64),
        )
        held = schedule.residencies
        residencies = Residencies(
            _small(item.id for item in held),
            _small(self.memories.get(item.memory, -1) for item in held),
            _small(self.tensors.get(item.tensor, -1) for item in held),
            _boxes([self._box(item.tensor, item.box) for item in held], self.rank),
            _large(item.bits for item in held),
            _large(item.start for item in held),
            _large(item.valid_from for item in held),
            _large(item.end for item in held),
            _small(item.writer for item in held),
        )
        return Columns(
            schedule.workload,
            schedule.chip,
            self.scale,
            tasks,
            used,
            transfers,
            residencies,
            self._bookings(),
            self._ways(),
            tuple(self.mappings),
        )

    def _tile(self, task: Task) -> Box:
        dims = self.dims[self.ops[task.op]] if task.op in self.ops else []
        ranges = dict(task.ranges)
        fits = len(ranges) == len(task.ranges) == len(dims) and ranges.keys() == set(dims)
        return tuple(ranges[dim] for dim in dims) if fits else ((0, 0),)

    def _box(self, tensor: str, box: Box) -> Box:
        return box if tensor in self.tensors and len(box) == self.ranks[self.tensors[tensor]] else ((0, 0),)

    def _rate(self, rate: Fraction) -> int:
        return rate.numerator * (self.scale // rate.denominator)

    def _booking(
        self, ports: tuple[PortLoad, ...], lanes: tuple[LaneLoad, ...], work: tuple[tuple[str, int], ...]
    ) -> int:
        key = (
            tuple((self.ports.get((load.memory, load.port), -1), self._rate(load.rate)) for load in ports),
            tuple((self.lanes.get((load.link, load.lane), -1), self._rate(load.rate)) for load in lanes),
            tuple((self.memories.get(memory, -1), bits) for memory, bits in work),
        )
        return self.bookings.setdefault(key, len(self.bookings))

    def _bookings(self) -> Bookings:
        columns: list[NDArray[np.int32] | NDArray[np.int64]] = []
        for kind in range(3):
            rows: list[list[tuple[int, int]]] = [list(key[kind]) for key in self.bookings]  # type: ignore[call-overload]
            columns.append(_first(map(len, rows)))
            columns.append(_small(what for row in rows for what, _ in row))
            columns.append(_large(amount for row in rows for _, amount in row))
        return Bookings(*columns)  # type: ignore[arg-type]

    def _ways(self) -> Ways:
        routes = list(itertools.chain.from_iterable(self.ways))
        return Ways(
            _first(map(len, self.ways)),
            _first(len(route.memories) for route in routes),
            _small(self.memories.get(name, -1) for route in routes for name in route.memories),
            _first(len(route.links) for route in routes),
            _small(self.links.get(name, -1) for route in routes for name in route.links),
        )


def _numbers(names: Iterable[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names)}


def _scale(chip: Chip, schedule: Schedule) -> int:
    """The least factor that makes every rate of the schedule and the chip a whole number."""
    denominators = {chip.lane_rate(link).denominator for link in chip.links}
    denominators |= {chip.port_rate(memory, port).denominator for memory in chip.memories for port in memory.ports}
    events: list[Task | Transfer] = [*schedule.tasks, *schedule.transfers]
    for event in events:
        denominators |= {load.rate.denominator for load in event.ports}
        denominators |= {load.rate.denominator for load in event.lanes}
    denominators |= {move.rate.denominator for move in schedule.transfers}
    return math.lcm(*denominators)


def _small(values: Iterable[int]) -> Small:
    found = np.array(list(values), np.int64)
    if found.size and (found.max() > MOST or found.min() < -MOST):
        raise OverflowError(f"ids and positions must be at most {MOST}, not {found.max()}")
    return found.astype(np.int32)


def _large(values: Iterable[int]) -> Large:
    listed = list(values)
    if any(not -MOST_BITS <= value <= MOST_BITS for value in listed):
        raise OverflowError(f"bits, cycles and scaled rates must be at most {MOST_BITS}, not {max(listed)}")
    return np.array(listed, np.int64)


def _first(lengths: Iterable[int]) -> Large:
    return np.array([0, *itertools.accumulate(lengths)], np.int64)


def _boxes(boxes: Sequence[Box], rank: int) -> Small:
    pad: Box = ((0, 1),) * rank
    return _small(edge for box in boxes for side in (*box, *pad[len(box) :]) for edge in side).reshape(-1, rank, 2)


# -- to nouns ----------------------------------------------------------------------------------------------------------


def to_schedule(workload: Workload, chip: Chip, columns: Columns) -> Schedule:
    """The nouns of some columns."""
    nouns = Nouns(workload, chip, columns)
    return Schedule(
        columns.workload,
        columns.chip,
        tuple(nouns.task(row) for row in range(len(columns.tasks.id))),
        tuple(nouns.transfer(row) for row in range(len(columns.transfers.id))),
        tuple(nouns.residency(row) for row in range(len(columns.residencies.id))),
    )


class Nouns:
    """Single rows of columns as nouns."""

    def __init__(self, workload: Workload, chip: Chip, columns: Columns) -> None:
        self.columns = columns
        self.ops = workload.ops
        self.tensors = workload.tensors
        self.cores = _names([core.name for core in chip.cores])
        self.memories = _names([memory.name for memory in chip.memories])
        self.links = _names([link.name for link in chip.links])
        self.ports = ports_of(chip)
        self.lanes = lanes_of(chip)
        self.bookings: dict[int, Loads] = {}

    def task(self, row: int) -> Task:
        tasks = self.columns.tasks
        number = int(tasks.op[row])
        op = self.ops[number] if number >= 0 else None
        dims = [name for name, _ in op.dims] if op else []
        uses = [self._use(number, use) for use in _span(tasks.uses_first, row)]
        ports, lanes, work = self._booking(int(tasks.booking[row]))
        return Task(
            int(tasks.id[row]),
            op.name if op else UNKNOWN,
            tuple(zip(dims, _box(tasks.tile[row], len(dims)), strict=True)),
            self.cores(int(tasks.core[row])),
            int(tasks.start[row]),
            int(tasks.end[row]),
            tuple(uses[:-1]),
            uses[-1],
            work,
            ports,
            lanes,
            float(tasks.energy_pj[row]),
            self.columns.mappings[int(tasks.mapping[row])],
        )

    def transfer(self, row: int) -> Transfer:
        moves = self.columns.transfers
        ports, lanes, _ = self._booking(int(moves.booking[row]))
        tensor = int(moves.tensor[row])
        return Transfer(
            int(moves.id[row]),
            self._tensor(tensor),
            self._box(tensor, moves.box[row]),
            tuple(self._route(route) for route in _span(self.columns.ways.routes_first, int(moves.way[row]))),
            int(moves.start[row]),
            int(moves.end[row]),
            int(moves.bits[row]),
            self._rate(int(moves.rate[row])),
            int(moves.setup_cycles[row]),
            tuple(int(moves.source[at]) for at in _span(moves.sources_first, row)),
            tuple(int(moves.made[at]) for at in _span(moves.made_first, row)),
            ports,
            lanes,
            float(moves.energy_pj[row]),
        )

    def residency(self, row: int) -> Residency:
        held = self.columns.residencies
        tensor = int(held.tensor[row])
        return Residency(
            int(held.id[row]),
            self.memories(int(held.memory[row])),
            self._tensor(tensor),
            self._box(tensor, held.box[row]),
            int(held.bits[row]),
            int(held.start[row]),
            int(held.valid_from[row]),
            int(held.end[row]),
            int(held.writer[row]),
        )

    def _use(self, op: int, use: int) -> Use:
        uses = self.columns.uses
        operand, tensor = int(uses.operand[use]), int(uses.tensor[use])
        return Use(
            self.ops[op].operands[operand].name if op >= 0 and operand >= 0 else UNKNOWN,
            self._tensor(tensor),
            self.memories(int(uses.memory[use])),
            tuple(self._box(tensor, uses.box[at]) for at in _span(uses.boxes_first, use)),
            tuple(int(uses.held[at]) for at in _span(uses.held_first, use)),
            bool(uses.streamed[use]),
        )

    def _booking(self, number: int) -> Loads:
        if number not in self.bookings:
            self.bookings[number] = self._loads(number)
        return self.bookings[number]

    def _loads(self, number: int) -> Loads:
        table = self.columns.bookings
        return (
            tuple(
                PortLoad(*_pair(self.ports, int(table.port[at])), self._rate(int(table.port_rate[at])))
                for at in _span(table.ports_first, number)
            ),
            tuple(
                LaneLoad(*_pair(self.lanes, int(table.lane[at])), self._rate(int(table.lane_rate[at])))
                for at in _span(table.lanes_first, number)
            ),
            tuple(
                (self.memories(int(table.work_memory[at])), int(table.work_bits[at]))
                for at in _span(table.work_first, number)
            ),
        )

    def _route(self, number: int) -> Route:
        ways = self.columns.ways
        return Route(
            tuple(self.memories(int(ways.memory[at])) for at in _span(ways.memories_first, number)),
            tuple(self.links(int(ways.link[at])) for at in _span(ways.links_first, number)),
        )

    def _tensor(self, number: int) -> str:
        return self.tensors[number].name if number >= 0 else UNKNOWN

    def _box(self, tensor: int, box: Small) -> Box:
        return _box(box, len(self.tensors[tensor].shape) if tensor >= 0 else len(box))

    def _rate(self, units: int) -> Fraction:
        return Fraction(units, self.columns.scale)


Loads = tuple[tuple[PortLoad, ...], tuple[LaneLoad, ...], tuple[tuple[str, int], ...]]

UNKNOWN = "?"
"""What is called by a number that stands for nothing."""


def _names(names: Sequence[str]) -> Callable[[int], str]:
    return lambda number: names[number] if number >= 0 else UNKNOWN


def _pair(names: Sequence[tuple[str, str]], number: int) -> tuple[str, str]:
    return names[number] if number >= 0 else (UNKNOWN, UNKNOWN)


def _span(first: Large, row: int) -> range:
    return range(int(first[row]), int(first[row + 1]))


def _box(edges: Small, rank: int) -> Box:
    return tuple((int(start), int(stop)) for start, stop in edges[:rank])
