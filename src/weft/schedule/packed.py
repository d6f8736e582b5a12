"""A schedule of what was placed, as columns: `trace.schedule_of` for a million tiles."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from weft.model.columns import Columns, Large, Residencies, Small, Tasks, Transfers, Uses, dims_of, rank_of
from weft.model.packing import to_columns
from weft.model.schedule import LaneLoad, PortLoad, Schedule, Task, Transfer, Use
from weft.schedule.engine import Placed
from weft.schedule.loads import loads_of
from weft.schedule.moves import AT_RATE, MADE, MOVED, READ, TILE, WAY
from weft.schedule.pieces import Grid
from weft.schedule.places import BITS, MEMORY, ROW, TENSOR, WRITER
from weft.schedule.plan import Recipe
from weft.schedule.trace import books


def columns_of(placed: Placed) -> Columns:
    """All tasks, transfers and residencies, at the times of `placed`."""
    workload, chip = placed.engine.workload, placed.engine.fabric.chip
    kinds = _Kinds.of(placed)
    rank = rank_of(workload)
    numbers = {tensor.name: number for number, tensor in enumerate(workload.tensors)}
    tensor = np.array([numbers[name] for name in placed.found.names], np.int32)[placed.holding[:, TENSOR]]
    box = _boxes(placed, rank)
    tasks, uses = _tasks(placed, kinds, rank)
    held = Residencies(
        np.arange(len(tensor), dtype=np.int32),
        placed.holding[:, MEMORY].astype(np.int32),
        tensor,
        box,
        placed.holding[:, BITS].copy(),
        placed.held[:, 0].copy(),
        placed.held[:, 1].copy(),
        placed.held[:, 2].copy(),
        placed.holding[:, WRITER].astype(np.int32),
    )
    return Columns(
        workload.name,
        chip.name,
        kinds.table.scale,
        tasks,
        uses,
        _transfers(placed, kinds, tensor, box),
        held,
        kinds.table.bookings,
        kinds.table.ways,
        kinds.table.mappings,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Kinds:
    """What many events share.

    Args:
        table:    columns with a task per recipe used and a transfer per way and rate, for what these have in common.
        recipe, task: [tasks]: recipe in the plan, row in the table.     move: [transfers]: row in the table.
    """

    table: Columns
    recipe: Large
    task: Large
    move: Large

    @staticmethod
    def of(placed: Placed) -> _Kinds:
        workload, chip = placed.engine.workload, placed.engine.fabric.chip
        event = placed.event[:-1]
        recipes = np.concatenate([cut.recipes for cut in placed.plan.cuts])[event[event[:, TILE] >= 0, TILE]]
        used, task = np.unique(recipes, return_inverse=True)
        taken, ways = _taken(placed)
        pairs, move = np.unique(
            np.stack([taken, event[event[:, TILE] < 0, AT_RATE]], axis=1), axis=0, return_inverse=True
        )
        schedule = Schedule(
            workload.name,
            chip.name,
            tuple(_task(placed, placed.plan.recipes[number]) for number in used.tolist()),
            tuple(_transfer(placed, ways[number], rate) for number, rate in pairs.tolist()),
            (),
        )
        return _Kinds(to_columns(workload, chip, schedule), recipes, task.reshape(-1), move.reshape(-1))


NOTHING = Use("", "", "", (), ())


def _task(placed: Placed, recipe: Recipe) -> Task:
    """What all tasks of a recipe have in common."""
    scale = placed.engine.fabric.scale
    loads = loads_of(placed.engine.fabric, recipe)
    ports = tuple(PortLoad(memory, port, Fraction(rate, scale)) for memory, port, rate in loads.ports)
    lanes = tuple(LaneLoad(link, lane, Fraction(rate, scale)) for link, lane, rate in loads.lanes)
    name, core, energy = recipe.problem.op.name, recipe.core, loads.energy_pj
    return Task(0, name, (), core, 0, 1, (), NOTHING, loads.workspace, ports, lanes, energy, loads.mapping)


def _taken(placed: Placed) -> tuple[Large, list[tuple[int, ...]]]:
    """For each transfer the number of its ways; the ways by that number: every single one, then those of multicasts."""
    event = placed.event[:-1]
    ways: list[tuple[int, ...]] = [(number,) for number in range(len(placed.engine.tables.every))]
    taken = event[:, WAY].copy()
    together: dict[int, tuple[int, ...]] = {}
    for number, way in placed.more.tolist():
        together[number] = (*together.get(number, (int(event[number, WAY]),)), way)
    known: dict[tuple[int, ...], int] = {}
    for number, several in together.items():
        if several not in known:
            known[several] = len(ways)
            ways.append(several)
        taken[number] = known[several]
    return taken[event[:, TILE] < 0], ways


def _transfer(placed: Placed, ways: tuple[int, ...], units: int) -> Transfer:
    """What all transfers over one way, or several together, at one rate have in common."""
    routes, rate, ports, lanes, setup = books(placed, ways, units)
    return Transfer(0, "", (), routes, 0, 1, 0, rate, setup, (), (), ports, lanes, 0.0)


def _tasks(placed: Placed, kinds: _Kinds, rank: int) -> tuple[Tasks, Uses]:
    workload, plan, table = placed.engine.workload, placed.plan, kinds.table
    events = np.flatnonzero(placed.event[:-1, TILE] >= 0)
    tile = placed.event[events, TILE]
    op = np.searchsorted(plan.first, tile, side="right") - 1
    operands = np.array([len(item.operands) for item in workload.ops], np.int64)
    uses_first = np.concatenate((np.zeros(1, np.int64), np.cumsum(operands[op])))
    count = int(uses_first[-1])
    ranges = np.empty((len(tile), dims_of(workload), 2), np.int32)
    ranges[:, :, 0], ranges[:, :, 1] = 0, 1
    uses = Uses(
        np.empty(count, np.int32),
        np.empty(count, np.int32),
        np.empty(count, np.int32),
        np.empty(count, np.bool_),
        np.empty(0, np.int64),
        np.empty((count, rank, 2), np.int32),
        *_held(placed, events, uses_first, count),
    )
    filled = np.ones(count, np.bool_)
    tensors = {tensor.name: number for number, tensor in enumerate(workload.tensors)}
    homes = _homes(placed)
    for index, cut in enumerate(plan.cuts):
        rows = np.flatnonzero(op == index)
        ranges[rows, : cut.tiles.shape[1]] = cut.tiles[tile[rows] - plan.first[index]]
        touch = placed.tiles.tile[tile[rows], ROW]
        for at in range(len(cut.op.operands)):
            mine = uses_first[rows] + at
            number = int(placed.found.operand[placed.found.first[index] + at, 0])
            uses.operand[mine], uses.tensor[mine] = at, tensors[placed.found.names[number]]
            uses.memory[mine] = homes[kinds.recipe[rows], at, 0]
            uses.streamed[mine] = homes[kinds.recipe[rows], at, 1]
            uses.box[mine] = _edges(placed.found.grids[number], placed.tiles.touch[touch + at], rank)
            if at < len(cut.op.operands) - 1:  # a tile that needs nothing of an input reads no box
                filled[mine] = (uses.box[mine, :, 0] < uses.box[mine, :, 1]).all(axis=1)
    boxes_first = np.concatenate((np.zeros(1, np.int64), np.cumsum(filled, dtype=np.int64)))
    kind = kinds.task
    tasks = Tasks(
        events.astype(np.int32),
        op.astype(np.int32),
        ranges,
        table.tasks.core[kind],
        placed.start[events],
        placed.end[events],
        uses_first,
        table.tasks.booking[kind],
        table.tasks.energy_pj[kind],
        table.tasks.mapping[kind],
    )
    box = uses.box if filled.all() else uses.box[filled]
    return tasks, Uses(
        uses.operand, uses.tensor, uses.memory, uses.streamed, boxes_first, box, uses.held_first, uses.held
    )


def _held(placed: Placed, events: Large, uses_first: Large, count: int) -> tuple[Large, Small]:
    """(first, holdings) of each use: those read, by operand, and of the last one those made."""
    event = placed.event
    reading = np.repeat(np.arange(len(events)), event[events + 1, READ] - event[events, READ])
    rows = _spread(event[events, READ], event[events + 1, READ])
    read_by = uses_first[reading] + placed.read[rows, 1]
    making = np.repeat(np.arange(len(events)), event[events + 1, MADE] - event[events, MADE])
    made = _spread(event[events, MADE], event[events + 1, MADE])
    use = np.concatenate((read_by, uses_first[making + 1] - 1))
    order = np.argsort(use, kind="stable")
    first = np.concatenate((np.zeros(1, np.int64), np.cumsum(np.bincount(use, minlength=count))))
    return first, np.concatenate((placed.read[rows, 0], made))[order].astype(np.int32)


def _spread(first: Large, last: Large) -> Large:
    """All numbers of the ranges [first, last), one range after another."""
    lengths = last - first
    found: Large = np.arange(int(lengths.sum())) + np.repeat(first - np.cumsum(lengths) + lengths, lengths)
    return found


def _homes(placed: Placed) -> Large:
    """[recipes, operands, 2]: memory of each operand, and whether it is streamed from there."""
    memory, recipes = placed.engine.tables.memory, placed.plan.recipes
    found = np.zeros((len(recipes), max(len(recipe.homes) for recipe in recipes), 2), np.int64)
    for number, recipe in enumerate(recipes):
        for at, (_, name, streamed) in enumerate(recipe.homes):
            found[number, at] = memory[name], streamed
    return found


def _transfers(placed: Placed, kinds: _Kinds, tensor: Small, box: Small) -> Transfers:
    event, table, kind = placed.event, kinds.table, kinds.move
    moves = np.flatnonzero(event[:-1, TILE] < 0)
    sources, made = event[moves + 1, READ] - event[moves, READ], event[moves + 1, MADE] - event[moves, MADE]
    first_made = event[moves, MADE]
    zero = np.zeros(1, np.int64)
    return Transfers(
        moves.astype(np.int32),
        tensor[first_made],
        box[first_made],
        table.transfers.way[kind],
        placed.start[moves],
        placed.end[moves],
        event[moves, MOVED],
        event[moves, AT_RATE] * table.scale // placed.engine.fabric.scale,
        table.transfers.setup_cycles[kind],
        np.concatenate((zero, np.cumsum(sources))),
        placed.read[_spread(event[moves, READ], event[moves + 1, READ]), 0].astype(np.int32),
        np.concatenate((zero, np.cumsum(made))),
        _spread(first_made, event[moves + 1, MADE]).astype(np.int32),
        table.transfers.booking[kind],
        placed.pj[moves],
    )


def _boxes(placed: Placed, rank: int) -> Small:
    """[holdings, rank, 2]."""
    found = np.empty((len(placed.holding), rank, 2), np.int32)
    for number, grid in enumerate(placed.found.grids):
        rows = np.flatnonzero(placed.holding[:, TENSOR] == number)
        found[rows] = _edges(grid, placed.box[rows], rank)
    return found


def _edges(grid: Grid, cells: Small, rank: int) -> Small:
    """Boxes from one cell to another; the axes of `cells` that the tensor lacks come first, those of a box last."""
    found = np.empty((len(cells), rank, 2), np.int32)
    found[:, :, 0], found[:, :, 1] = 0, 1
    axes = cells.shape[1] // 2
    lacks = axes - len(grid.edges)
    for axis, edges in enumerate(grid.edges):
        found[:, axis, 0] = edges[cells[:, lacks + axis]]
        found[:, axis, 1] = edges[cells[:, axes + lacks + axis]]
    return found
