"""Places a plan on a chip: decides every order, by a list scheduler on arrays; then all as early as orders allow.

depend     which pieces every tile reads and writes
kernels    moves, room, cores, links: what happens, in which order           (kernel)
timing     the same orders, everything as early as they allow                (kernel)
trace      a schedule of it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from weft.model.schedule import Infeasible, Schedule
from weft.model.workload import SLOTS, Workload
from weft.schedule.depend import Depend, Dependencies
from weft.schedule.fabric import Fabric
from weft.schedule.kernels import place_tiles
from weft.schedule.lines import empty_lines
from weft.schedule.loads import loads_of
from weft.schedule.moves import (
    ASK_SPACE,
    ASK_WAYS,
    DONE,
    EVENTS,
    FAULT_MEMORY,
    FAULT_TENSOR,
    FAULT_TILE,
    FROM,
    FULL,
    HAS,
    MADE,
    MORE_ROWS,
    MOVED,
    NEEDS,
    NO_WAY,
    READ_ROWS,
    TARGET,
    TILE,
    UNTIL,
    USE_ROWS,
    WAY,
    Scratch,
    Trace,
)
from weft.schedule.places import (
    BITS,
    HOLDINGS,
    HOMES,
    IDLES,
    INPUTS,
    KEPT,
    MEMORY,
    OPERANDS,
    PIECE_BITS,
    RECIPE,
    ROW,
    TENSOR,
    WAITS,
    WRITER,
    Board,
    Floats,
    Ints,
    Small,
    Tiles,
    file_places,
)
from weft.schedule.plan import Plan, Recipe
from weft.schedule.tables import Tables, Ways, rows, starts
from weft.schedule.timing import hold_times, retime
from weft.schedule.trace import schedule_of

AHEAD = 2
"""A multicast serves reads that many times as many positions ahead as there are cores: the other tiles of a step."""


@dataclass(frozen=True, eq=False)
class Figures:
    """A recipe in numbers.

    Args:
        core, duration, pj: of a task.     offchip: bits that pass the outermost memory's ports while it runs.
        lines:  (line, rate).     work: (memory, bits).     homes: memory of each operand.
    """

    core: int
    duration: int
    pj: float
    offchip: int
    lines: tuple[tuple[int, int], ...]
    work: tuple[tuple[int, int], ...]
    homes: tuple[int, ...]


class Engine:
    """Places plans of one workload on one chip; keeps what consecutive plans share."""

    def __init__(self, workload: Workload, fabric: Fabric) -> None:
        self.workload = workload
        self.fabric = fabric
        self.tables = Tables(fabric)
        self.depend = Depend(workload)
        self.ops = [op.name for op in workload.ops]
        self._figures: dict[int, tuple[Recipe, Figures]] = {}

    def place(self, plan: Plan) -> Placed | Infeasible:
        """Everything that happens when the plan's tiles are placed in their order, or what does not fit."""
        assert [cut.op.name for cut in plan.cuts] == self.ops, "one cut per op, in the workload's order"
        found = self.depend.of(plan.cuts)
        used = np.zeros(len(plan.recipes), np.bool_)
        for cut in plan.cuts:
            used[cut.recipes] = True
        figures = [self.figures(plan.recipes[number]) for number in np.flatnonzero(used)]
        tiles = _tiles(plan, found, np.cumsum(used) - 1, figures)
        if not self.tables.every:
            self._look_up(plan, found)
        longer = 1
        while True:
            made = self._attempt(plan, found, tiles, figures, longer)
            if made != ASK_SPACE:
                assert not isinstance(made, int)
                return made
            longer *= 2

    def _attempt(
        self, plan: Plan, found: Dependencies, tiles: Tiles, figures: list[Figures], longer: int
    ) -> Placed | Infeasible | int:
        tables = self.tables
        board = self._board(found, tiles, longer)
        trace = _trace(len(plan.order), longer, int(found.cells.sum()))
        scratch = self._scratch(found, tiles)
        while True:
            ended = place_tiles(
                tiles, tables.ways(), board, trace, scratch, tables.room, tables.outermost, AHEAD * len(tables.core)
            )
            if ended != ASK_WAYS:
                break
            self._look_up(plan, found)
            board, scratch = self._board(found, tiles, longer), self._scratch(found, tiles)
            trace.counts[:] = 0
        if ended == DONE:
            return self._placed(plan, found, tiles, figures, board, trace)
        if ended == ASK_SPACE:
            return ended
        return self._why(plan, found, ended, scratch.fault)

    def _board(self, found: Dependencies, tiles: Tiles, longer: int) -> Board:
        tables = self.tables
        pieces, touched = len(found.piece_bits), int(found.cells.sum())
        piece = np.zeros((pieces + 1, 4), np.int64)
        piece[:-1, PIECE_BITS] = found.piece_bits
        place = np.empty((pieces + touched, 6), np.int32)
        link = np.empty((pieces + touched, 2), np.int32)
        read_at = np.empty(touched, np.int32)
        widest = int(np.diff(np.append(found.tensor[:, 0], pieces)).max(initial=1))
        cells = np.empty(max(widest, int(found.cells.max(initial=1))), np.int64)
        places = file_places(tiles, found.tensor, piece, link, place, read_at, cells, tables.outermost)
        holdings = longer * 4 * len(tiles.order) + len(found.tensor) + 64
        line, step = empty_lines(tables.capacity, tables.alone)
        return Board(
            tensor=found.tensor,
            piece=piece,
            place=place[:places],
            read_at=read_at,
            gone=np.zeros(places, np.int64),
            holding=np.empty((holdings, 16), np.int64),
            box=np.empty((holdings, found.touch.shape[1]), np.int32),
            newest=np.full(len(tables.memories), -1, np.int64),
            idle=np.empty(holdings, np.int64),
            wait=np.empty((longer * 8 * len(tiles.order) + 64, 2), np.int32),
            counts=np.zeros(IDLES + 1, np.int64),
            cells=cells,
            line=line,
            step=step,
        )

    def _scratch(self, found: Dependencies, tiles: Tiles) -> Scratch:
        operands = int(np.diff(found.first).max(initial=1))
        cells = operands * int(found.cells.max(initial=1))
        widest = max([1, *np.diff(tiles.recipe[:, 2])], default=1) + 1
        targets, longest = len(self.tables.memories) + 2, 1 + int(np.diff(self.tables.ways().way).max(initial=1))
        hops = targets * longest
        lines = max(int(widest), 3 * hops + 1)
        return Scratch(
            fault=np.zeros(8, np.int64),
            cells=np.empty(cells, np.int64),
            places=np.empty(cells, np.int64),
            mask=np.empty(cells, np.int32),
            begin=np.zeros(operands + 2, np.int64),
            box=np.zeros((2, found.touch.shape[1]), np.int32),
            extent=np.zeros(found.touch.shape[1] // 2, np.int64),
            moved=np.empty(cells, np.int64),
            demand=np.zeros(len(self.tables.memories), np.int64),
            asked=np.zeros(len(self.tables.memories), np.int64),
            want=np.zeros((lines, 2), np.int64),
            best=np.zeros((targets, 6), np.int64),
            picked=np.zeros(targets, np.int64),
            tree=np.zeros((3 * hops + 1, 2), np.int64),
            hops=np.zeros(hops, np.int64),
            pace=np.zeros(3, np.int64),
            trial=np.zeros((3 * hops + targets, 4), np.int64),
        )

    def figures(self, recipe: Recipe) -> Figures:
        """What a recipe books, in numbers; worked out once."""
        known = self._figures.get(id(recipe))
        if known is not None and known[0] is recipe:
            return known[1]
        tables, loads, outermost = self.tables, loads_of(self.fabric, recipe), self.fabric.chip.outermost
        lines: dict[int, int] = {}
        for link, lane, rate in loads.lanes:
            lines[tables.lane[link, lane]] = lines.get(tables.lane[link, lane], 0) + rate
        for memory, port, rate in loads.ports:
            lines[tables.port[memory, port]] = lines.get(tables.port[memory, port], 0) + rate
        made = Figures(
            tables.core[recipe.core],
            recipe.duration,
            loads.energy_pj,
            sum(flow.bits for flow in recipe.mapped.price.flows if flow.memory == outermost and flow.flow != "link"),
            tuple(lines.items()),
            tuple((tables.memory[memory], bits) for memory, bits in loads.workspace),
            tuple(tables.memory[memory] for _, memory, _ in recipe.homes),
        )
        self._figures[id(recipe)] = recipe, made
        return made

    def _look_up(self, plan: Plan, found: Dependencies) -> None:
        """Ways between all memories in which a tensor is touched, for all tensors."""
        outermost, output = self.tables.outermost, SLOTS.index("O")
        held: list[set[int]] = [{outermost} for _ in found.names]
        read: list[set[tuple[int, int]]] = [set() for _ in found.names]
        for index, cut in enumerate(plan.cuts):
            touched = found.operand[found.first[index] : found.first[index + 1]].tolist()
            for recipe in np.flatnonzero(np.bincount(cut.recipes)):
                homes = self.figures(plan.recipes[recipe]).homes
                for at, ((tensor, slot), memory) in enumerate(zip(touched, homes, strict=True)):
                    held[tensor].add(memory)
                    if at < len(touched) - 1:
                        read[tensor].add((memory, slot))
        for sources, targets in zip(held, read, strict=True):
            wanted = [*sorted(targets), (outermost, output)]
            self.tables.look_up((source, target, slot) for source in sorted(sources) for target, slot in wanted)

    def _why(self, plan: Plan, found: Dependencies, ended: int, fault: Ints) -> Infeasible:
        """What did not fit, or where no link leads."""
        index, tile = plan.at(int(fault[FAULT_TILE]))
        cut, memories = plan.cuts[index], self.tables.memories
        subject = f"{cut.op.name} on {plan.recipes[cut.recipes[tile]].core}"
        if ended == FULL:
            return Infeasible(
                subject,
                "its boxes do not fit beside what must stay",
                int(fault[NEEDS]),
                int(fault[HAS]),
                memories[fault[FAULT_MEMORY]],
                "make the memory larger",
            )
        tensor = found.names[fault[FAULT_TENSOR]]
        assert ended == NO_WAY, f"{subject} reads a part of {tensor} that no tile before it makes"
        return Infeasible(
            subject,
            f"no links lead from '{memories[fault[FAULT_MEMORY]]}' to '{memories[fault[TARGET]]}', for '{tensor}'",
            remedy="join them",
        )

    def _placed(
        self, plan: Plan, found: Dependencies, tiles: Tiles, figures: list[Figures], board: Board, trace: Trace
    ) -> Placed:
        events, holdings = int(trace.counts[EVENTS]), int(board.counts[HOLDINGS])
        event = trace.event[: events + 1]
        event[events, MADE] = holdings
        return Placed(
            self,
            plan,
            found,
            tiles,
            tuple(figures),
            self.tables.ways(),
            event,
            trace.pj[:events],
            trace.more[: trace.counts[MORE_ROWS]],
            trace.read[: trace.counts[READ_ROWS]],
            trace.use[: trace.counts[USE_ROWS]],
            board.wait[: board.counts[WAITS]],
            board.holding[:holdings],
            board.box[:holdings],
            event[:-1, FROM],
            event[:-1, UNTIL],
        )


def _tiles(plan: Plan, found: Dependencies, number: Ints, figures: Sequence[Figures]) -> Tiles:
    """A plan's tiles for the kernels. `number` is [recipes of the plan]: their places in `figures`."""
    lines, work, homes = [f.lines for f in figures], [f.work for f in figures], [f.homes for f in figures]
    recipe = np.zeros((len(figures) + 1, 4), np.int64)
    recipe[:-1, 0], recipe[:-1, 1] = [f.core for f in figures], [f.duration for f in figures]
    recipe[:, 2], recipe[:, 3] = starts(lines), starts(work)
    home = starts(homes)
    tile = np.empty((int(plan.first[-1]), 5), np.int64)
    for index, cut in enumerate(plan.cuts):
        mine = tile[plan.first[index] : plan.first[index + 1]]
        operands = int(found.first[index + 1] - found.first[index])
        mine[:, ROW] = found.row[index] + operands * np.arange(len(mine))
        mine[:, OPERANDS], mine[:, INPUTS] = found.first[index], operands - 1
        mine[:, RECIPE] = number[cut.recipes]
        mine[:, HOMES] = home[mine[:, RECIPE]]
    return Tiles(
        np.ascontiguousarray(plan.order, np.int64),
        tile,
        found.touch,
        found.operand,
        np.array([memory for item in homes for memory in item], np.int64),
        recipe,
        rows(lines),
        rows(work),
    )


def _trace(tiles: int, longer: int, touched: int) -> Trace:
    events = longer * 4 * tiles + 64
    event = np.empty((events + 1, 9), np.int64)
    event[0] = 0
    return Trace(
        event,
        np.empty(events, np.float64),
        np.empty((events, 2), np.int32),
        np.empty((longer * 8 * tiles + touched + 64, 2), np.int32),
        np.empty((longer * 16 * events, 2), np.int64),
        np.zeros(4, np.int64),
    )


@dataclass(frozen=True, eq=False)
class Placed:
    """What happens, at given times.

    Args:
        figures: of the recipes used, as `tiles` numbers them.
        event, pj, more, read, use: as in `moves.Trace`.     wait, holding, box: as in `places.Board`.
        start, end: [events].
    """

    engine: Engine
    plan: Plan
    found: Dependencies
    tiles: Tiles
    figures: tuple[Figures, ...]
    ways: Ways
    event: Ints
    pj: Floats
    more: Small
    read: Small
    use: Ints
    wait: Small
    holding: Ints
    box: Small
    start: Ints
    end: Ints

    @property
    def latency_cycles(self) -> int:
        """Base cycle at which the last task or transfer has ended."""
        return int(self.end.max(initial=0))

    @property
    def transfers(self) -> int:
        return int((self.event[:-1, TILE] < 0).sum())

    @property
    def recipe(self) -> Ints:
        """[tiles]: the recipe of every one."""
        found: Ints = self.tiles.tile[:, RECIPE]
        return found

    @cached_property
    def energy_pj(self) -> float:
        """Of all tasks and transfers, and static power until the end."""
        tasks = np.array([item.pj for item in self.figures])[self.recipe].sum()
        static = self.engine.fabric.chip.static_pj_per_cycle * self.latency_cycles
        return float(tasks + self.pj.sum()) + static

    @cached_property
    def offchip_bits(self) -> int:
        """What transfers and streaming tasks move out of and into the outermost memory."""
        tasks = np.array([item.offchip for item in self.figures], np.int64)[self.recipe].sum()
        outermost = self.engine.fabric.chip.outermost
        ends = [way.route.memories for way, _ in self.engine.tables.every]
        out = np.array([m[0] == outermost for m in ends] + [False], np.int64)
        into = np.array([m[-1] == outermost for m in ends] + [False], np.int64)
        moved, first, more = self.event[:-1, MOVED], self.event[:-1, WAY], self.more
        singly = (out[first] + into[first]) * moved  # a multicast leaves once, and enters wherever a way leads
        return int(tasks + singly.sum() + (into[more[:, 1]] * moved[more[:, 0]]).sum())

    @cached_property
    def busy(self) -> dict[str, int]:
        """Base cycles during which each core runs tasks."""
        cycles = np.array([item.duration for item in self.figures], np.int64)[self.recipe]
        core = np.array([item.core for item in self.figures], np.int64)[self.recipe]
        total = np.zeros(len(self.engine.tables.core), np.int64)
        np.add.at(total, core, cycles)
        return {name: int(total[number]) for name, number in self.engine.tables.core.items()}

    @cached_property
    def stays(self) -> Ints:
        """[holdings]: those that lie in the outermost memory until the schedule ends."""
        home = self.holding[:, MEMORY] == self.engine.tables.outermost
        kept = self.found.tensor[:, KEPT][self.holding[:, TENSOR]] > 0
        stays: Ints = (home & (kept | (self.holding[:, WRITER] < 0))).astype(np.int64)
        return stays

    @cached_property
    def held(self) -> Ints:
        """[holdings, 3]: start, when its data is there, end."""
        times = np.empty((len(self.holding), 3), np.int64)
        hold_times(self.event, self.read, self.holding, self.start, self.end, times)
        times[self.stays > 0, 2] = self.latency_cycles
        return times

    @cached_property
    def peaks(self) -> tuple[tuple[str, int], ...]:
        """Most bits reserved in each memory at one instant, workspaces included."""
        tasks = np.flatnonzero(self.event[:-1, TILE] >= 0)
        memory, bits = [self.holding[:, MEMORY]], [self.holding[:, BITS]]
        first, last = [self.held[:, 0]], [self.held[:, 2]]
        recipe = self.recipe[self.event[tasks, TILE]]
        for number, item in enumerate(self.figures):
            mine = tasks[recipe == number] if item.work else tasks[:0]
            for at, taken in item.work:
                memory.append(np.full(len(mine), at))
                bits.append(np.full(len(mine), taken))
                first.append(self.start[mine])
                last.append(self.end[mine])
        where, size = np.concatenate(memory * 2), np.concatenate(bits)
        when, change = np.concatenate(first + last), np.concatenate([size, -size])
        order = np.lexsort((change, when, where))
        held = np.cumsum(change[order])  # all that a memory takes it gives back, so each begins at 0
        begins = np.flatnonzero(np.diff(where[order], prepend=-1))
        most = np.maximum.reduceat(held, begins)
        names = self.engine.tables.memories
        return tuple(sorted((names[where[order[k]]], int(peak)) for k, peak in zip(begins, most, strict=True)))

    def retimed(self) -> Placed:
        """The same orders, everything as early as they allow."""
        events, holdings = len(self.start), len(self.holding)
        tables = self.engine.tables
        start, end = np.empty(events, np.int64), np.empty(events, np.int64)
        began = retime(
            self.tiles,
            self.event,
            self.read,
            self.use,
            self.wait,
            self.holding,
            self.stays,
            tables.capacity,
            tables.alone,
            tables.room,
            np.argsort(self.start, kind="stable"),
            start,
            end,
            np.empty(len(self.use) + len(tables.capacity) + 1, np.int64),
            np.empty(len(self.wait) + holdings + 1, np.int64),
            np.empty(len(self.read) + holdings + 1, np.int64),
            np.empty((5, events + holdings + 2), np.int64),
            np.empty((2, len(tables.capacity)), np.int64),
        )
        assert began == events, f"the engine's orders wait for each other: {np.flatnonzero(start < 0)[:8]}"
        return replace(self, start=start, end=end)

    def settled(self) -> Placed:
        """`retimed` until nothing moves.

        Once retimed, events that now start together are ordered by id, which may let something start earlier still. No
        event ever moves later, so this ends.
        """
        now = self
        while True:
            earlier = now.retimed()
            if np.array_equal(earlier.start, now.start):
                return now
            now = earlier

    def schedule(self) -> Schedule:
        """A schedule of it."""
        return schedule_of(self)


def place(workload: Workload, fabric: Fabric, plan: Plan) -> Placed | Infeasible:
    """Everything that happens when a plan's tiles are placed in their order, or what does not fit.

    What consecutive plans share (equal cuts and recipes are the same objects) is worked out once per fabric.
    """
    known = fabric.engines.get(id(workload))
    if known is None or known[0] is not workload:
        known = (workload, Engine(workload, fabric))
        fabric.engines[id(workload)] = known
    engine = known[1]
    assert isinstance(engine, Engine)
    return engine.place(plan)
