"""A schedule of what was placed: arrays back to nouns."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING

from weft.model.chip import Route
from weft.model.schedule import LaneLoad, PortLoad, Residency, Schedule, Task, Transfer, Use
from weft.model.workload import Box, volume
from weft.schedule.loads import Loads, loads_of
from weft.schedule.moves import AT_RATE, MADE, MOVED, READ, TILE, WAY
from weft.schedule.places import BITS, MEMORY, TENSOR, WRITER
from weft.schedule.tables import booked

if TYPE_CHECKING:
    from weft.schedule.engine import Placed


def schedule_of(placed: Placed) -> Schedule:
    """All tasks, transfers and residencies, at the times of `placed`."""
    workload, chip = placed.engine.workload, placed.engine.fabric.chip
    boxes = _boxes(placed)
    tasks, transfers = [], []
    maker = _Maker(placed, boxes)
    for number, tile in enumerate(placed.event[:-1, TILE].tolist()):
        if tile >= 0:
            tasks.append(maker.task(number, tile))
        else:
            transfers.append(maker.transfer(number))
    names, memories = placed.found.names, placed.engine.tables.memories
    residencies = tuple(
        Residency(number, memories[row[MEMORY]], names[row[TENSOR]], box, row[BITS], *_three(times), row[WRITER])
        for number, (row, box, times) in enumerate(
            zip(placed.holding.tolist(), boxes, placed.held.tolist(), strict=True)
        )
    )
    return Schedule(workload.name, chip.name, tuple(tasks), tuple(transfers), residencies)


def _three(times: list[int]) -> tuple[int, int, int]:
    start, valid, end = times
    return start, valid, end


def _boxes(placed: Placed) -> list[Box]:
    """The box of every holding."""
    axes = placed.box.shape[1] // 2
    found = []
    for row, tensor in zip(placed.box.tolist(), placed.holding[:, TENSOR].tolist(), strict=True):
        grid = placed.found.grids[tensor]
        lacks = axes - len(grid.edges)
        found.append(grid.box(row[lacks:axes], row[axes + lacks :]))
    return found


class _Maker:
    """Makes tasks and transfers; those of one recipe, and those of one way and rate, share their loads."""

    def __init__(self, placed: Placed, boxes: list[Box]) -> None:
        self.placed, self.boxes = placed, boxes
        self.scale = placed.engine.fabric.scale
        self.event, self.read = placed.event.tolist(), placed.read.tolist()
        self.start, self.end, self.pj = placed.start.tolist(), placed.end.tolist(), placed.pj.tolist()
        self.touch, self.tile = placed.tiles.touch.tolist(), placed.tiles.tile.tolist()
        self.more: dict[int, list[int]] = {}
        for number, way in placed.more.tolist():
            self.more.setdefault(number, []).append(way)
        self.loads = cache(self._loads)
        self.books = cache(lambda ways, units: books(placed, ways, units))

    def task(self, number: int, tile: int) -> Task:
        placed = self.placed
        index, within = placed.plan.at(tile)
        cut = placed.plan.cuts[index]
        recipe = placed.plan.recipes[cut.recipes[within]]
        loads, ports, lanes = self.loads(int(cut.recipes[within]))
        row, first, inputs = self.tile[tile][:3]
        ids: list[list[int]] = [[] for _ in range(inputs)]
        for held, operand in self.read[self.event[number][READ] : self.event[number + 1][READ]]:
            ids[operand].append(held)
        uses = []
        for at, (operand, (_, memory, streamed)) in enumerate(zip(cut.op.operands, recipe.homes, strict=True)):
            tensor = int(placed.found.operand[first + at, 0])
            box = self._box(tensor, row + at)
            made = ids[at] if at < inputs else range(self.event[number][MADE], self.event[number + 1][MADE])
            boxes = (box,) if volume(box) or at == inputs else ()
            uses.append(Use(operand.name, placed.found.names[tensor], memory, boxes, tuple(made), streamed))
        return Task(
            number,
            cut.op.name,
            cut.ranges(within),
            recipe.core,
            self.start[number],
            self.end[number],
            tuple(uses[:-1]),
            uses[-1],
            loads.workspace,
            ports,
            lanes,
            loads.energy_pj,
            loads.mapping,
        )

    def transfer(self, number: int) -> Transfer:
        event = self.event[number]
        ways = (event[WAY], *self.more.get(number, ()))
        routes, rate, ports, lanes, setup = self.books(ways, event[AT_RATE])
        made = range(event[MADE], self.event[number + 1][MADE])
        return Transfer(
            number,
            self.placed.found.names[self.placed.holding[made[0], TENSOR]],
            self.boxes[made[0]],
            routes,
            self.start[number],
            self.end[number],
            event[MOVED],
            rate,
            setup,
            tuple(held for held, _ in self.read[event[READ] : self.event[number + 1][READ]]),
            tuple(made),
            ports,
            lanes,
            self.pj[number],
        )

    def _box(self, tensor: int, row: int) -> Box:
        grid, cells = self.placed.found.grids[tensor], self.touch[row]
        axes = len(cells) // 2
        lacks = axes - len(grid.edges)
        return grid.box(cells[lacks:axes], cells[axes + lacks :])

    def _loads(self, number: int) -> tuple[Loads, tuple[PortLoad, ...], tuple[LaneLoad, ...]]:
        loads = loads_of(self.placed.engine.fabric, self.placed.plan.recipes[number])
        ports = tuple(PortLoad(memory, port, Fraction(rate, self.scale)) for memory, port, rate in loads.ports)
        lanes = tuple(LaneLoad(link, lane, Fraction(rate, self.scale)) for link, lane, rate in loads.lanes)
        return loads, ports, lanes


def books(
    placed: Placed, numbers: tuple[int, ...], units: int
) -> tuple[tuple[Route, ...], Fraction, tuple[PortLoad, ...], tuple[LaneLoad, ...], int]:
    """Of a transfer over some ways: its routes, rate, what is booked at it, and set-up."""
    fabric = placed.engine.fabric
    ways = [placed.engine.tables.every[number] for number in numbers]
    rate = Fraction(units, fabric.scale)
    ports, lanes = booked(fabric, ways)
    setup = max(sum(fabric.link_cycles(fabric.link[name]) for name in way.route.links) for way, _ in ways)
    return (
        tuple(way.route for way, _ in ways),
        rate,
        tuple(PortLoad(memory, port, rate) for memory, port in ports),
        tuple(LaneLoad(link, lane, rate) for link, lane in lanes),
        fabric.chip.transfer_setup_cycles + setup,
    )
