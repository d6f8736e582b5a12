"""The best schedule of a few tiles, proved by CP-SAT: a formulation that shares no code with `weft.schedule`.

Given are the tiles of every op and, for each core that takes a tile, what it costs there. Decided are the core of each
tile, the order on each core, which box moves when, from which memory, over which way and at which rate, how long each
copy is kept, and so what is let go, written back and fetched again. Minimised is latency.

What is held and moved are *cells*: tensors cut along the edges of all boxes that tiles touch. The freedom that is left
out on both sides, here and in what is compared with it:

- a transfer moves cells, whole ones, on a shortest route, at one of `SHARES` of the route's rate (on a route of
  exclusive links at all of it: less only takes longer) and to one receiver, unless `multicast` is asked for;
- what moves into a core's memory is read there by a task; what has to make room goes to the outermost memory;
- no operand is streamed.

Moving several cells as one box is no further freedom where transfers have no set-up and cells are whole multiples of
what a route moves in a cycle: one after another they are there no later, and take room no sooner. `Instance` checks
that, and that no port is ever what is waited for. So the optimum is a lower limit of every schedule of these tiles that
keeps within the three points above.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

from weft.model.chip import Chip, Link, Memory, Port, Route
from weft.model.schedule import LaneLoad, PortLoad, Residency, Schedule, Task, Transfer, Use
from weft.model.workload import Box, Workload, volume

SHARES = (Fraction(1), Fraction(3, 4), Fraction(1, 2), Fraction(1, 4))

Cell = tuple[str, Box]


@dataclass(frozen=True)
class Job:
    """One tile: as a task on each core that takes it (times and residencies left blank), keyed by core."""

    on: dict[str, Task]

    @property
    def task(self) -> Task:
        return next(iter(self.on.values()))


@dataclass(frozen=True)
class Way:
    """A route from a memory to another: the lanes with how often each is used, and the rate of the slowest."""

    route: Route
    lanes: tuple[tuple[str, str, int], ...]
    rate: Fraction
    alone: bool


@dataclass(frozen=True)
class Instance:
    """Tiles to be scheduled, and what they touch in cells."""

    workload: Workload
    chip: Chip
    jobs: tuple[Job, ...]
    multicast: bool = False

    def __post_init__(self) -> None:
        chip = self.chip
        assert not chip.transfer_setup_cycles
        assert not any(link.latency_cycles for link in chip.links)
        assert len({chip.base_clock_hz, *(link.clock_hz for link in chip.links)}) == 1
        tasks = [task for job in self.jobs for task in job.on.values()]
        assert not any(use.streamed for task in tasks for use in (*task.reads, task.writes))
        for way, cell in itertools.product(self.ways.values(), self.cells):
            for rate in (way.rate * share for share in self.shares(way)):
                assert rate.denominator == 1
                assert self.bits(cell) % rate.numerator == 0
        for memory in chip.memories:
            mine = [link for link in chip.links if memory.name in link.a | link.b]
            most = sum(chip.lane_rate(link) * len({link.lane(a, b) for a, b in _ends(link)}) for link in mine)
            users = sum(any(level.memory == memory.name for level in core.levels) for core in chip.cores)
            for port in memory.ports:
                booked = [
                    sum(load.rate for load in task.ports if (load.memory, load.port) == (memory.name, port.name))
                    for task in tasks
                ]
                assert users * max(booked) + (most if _moves(port) else 0) <= chip.port_rate(memory, port)

    @cached_property
    def homes(self) -> tuple[str, ...]:
        """Memories in which tasks find and leave their boxes."""
        return tuple(dict.fromkeys(t.writes.memory for job in self.jobs for t in job.on.values()))

    @cached_property
    def edges(self) -> dict[str, list[list[int]]]:
        """Along each axis of each tensor, where some box begins or ends."""
        found: dict[str, list[set[int]]] = {}
        for tensor in self.workload.tensors:
            if self.workload.root(tensor.name) == tensor.name:
                found[tensor.name] = [{0, size} for size in tensor.shape]
        for job in self.jobs:
            for use in (*job.task.reads, job.task.writes):
                for box in use.boxes:
                    for axis, extent in enumerate(box):
                        found[use.tensor][axis].update(extent)
        return {name: [sorted(axis) for axis in axes] for name, axes in found.items()}

    def within(self, use: Use) -> tuple[Cell, ...]:
        """The cells of what a task reads or writes."""
        cells: list[Cell] = []
        for box in use.boxes:
            spans = []
            for (start, stop), edges in zip(box, self.edges[use.tensor], strict=True):
                inner = [edge for edge in edges if start <= edge <= stop]
                spans.append(list(itertools.pairwise(inner)))
            cells += [(use.tensor, part) for part in itertools.product(*spans)]
        return tuple(cells)

    @cached_property
    def readers(self) -> dict[Cell, list[int]]:
        """By cell: tiles that read it."""
        found: dict[Cell, list[int]] = {}
        for number, job in enumerate(self.jobs):
            for cell in dict.fromkeys(cell for use in job.task.reads for cell in self.within(use)):
                found.setdefault(cell, []).append(number)
        return found

    @cached_property
    def maker(self) -> dict[Cell, int]:
        """By cell: the tile that makes it; inputs and weights have none."""
        return {cell: number for number, job in enumerate(self.jobs) for cell in self.within(job.task.writes)}

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        return tuple(dict.fromkeys([*self.readers, *self.maker]))

    @cached_property
    def kept(self) -> frozenset[str]:
        """Tensors that have to be in the outermost memory in the end."""
        return frozenset(self.workload.root(t.name) for t in self.workload.tensors if t.role == "output")

    def bits(self, cell: Cell) -> int:
        return volume(cell[1]) * self.workload.tensor(cell[0]).bits

    @cached_property
    def ways(self) -> dict[tuple[str, str], Way]:
        """The one shortest route between any two of the memories."""
        chip = self.chip
        links = {link.name: link for link in chip.links}
        found: dict[tuple[str, str], Way] = {}
        for source, target in itertools.permutations((chip.outermost, *self.homes), 2):
            (route,) = chip.routes(source, target)
            passed = [
                (name, links[name].lane(a, b))
                for name, (a, b) in zip(route.links, itertools.pairwise(route.memories), strict=True)
            ]
            lanes = tuple((link, lane, passed.count((link, lane))) for link, lane in dict.fromkeys(passed))
            rate = min(chip.lane_rate(links[link]) / count for link, _, count in lanes)
            found[source, target] = Way(route, lanes, rate, all(links[link].exclusive for link in route.links))
        return found

    @staticmethod
    def shares(way: Way) -> tuple[Fraction, ...]:
        return SHARES[:1] if way.alone else SHARES

    def transfer_pj(self, source: str, target: str, bits: int) -> float:
        """Links, and an access at both ends of each (a memory that is passed is written and read)."""
        route = self.ways[source, target].route
        total = sum(bits * self.chip.link(name).pj_per_bit for name in route.links)
        for a, b in itertools.pairwise(route.memories):
            out, into = self.chip.memory(a), self.chip.memory(b)
            total += bits * out.read_pj / _port(out, "read").bandwidth_bits
            total += bits * into.write_pj / _port(into, "write").bandwidth_bits
        return total


def _ends(link: Link) -> Iterator[tuple[str, str]]:
    return ((a, b) for a, b in itertools.permutations(sorted(link.a | link.b), 2) if link.joins(a, b))


def _moves(port: Port) -> bool:
    """Whether a port is one of those that transfers use: it has no flows of its own, or those with what is above."""
    return not port.flows or any(flow in ("from_above", "to_above") for _, flow in port.flows)


def _port(memory: Memory, direction: str) -> Port:
    return next(port for port in memory.ports if _moves(port) and port.direction == direction)


@dataclass(frozen=True)
class Best:
    """What CP-SAT found: `proved` where no schedule is sooner."""

    value: int
    schedule: Schedule
    proved: bool = False


def best(instance: Instance, horizon: int, limit: float) -> Best | None:
    """The best schedule that ends by `horizon`; None where nothing was found within the limit.

    CP-SAT's word alone is not enough: of case 71 release 9.15 calls 3370 cycles the optimum, and with 3369 for a
    horizon finds 3331. So it is asked for something better until it says that there is nothing.

    Args: limit: deterministic time of each run.
    """
    found: Best | None = None
    while True:
        model = Oracle(instance, horizon)
        better = model.solve(limit) or (None if model.nothing else model.solve(limit, from_below=True))
        if better is None:
            return found and replace(found, proved=model.nothing)
        found, horizon = better, better.value - 1


@dataclass
class _Copy:
    """A cell in a core's memory over some time, if `there`: made by its tile, or by a move (number `move`)."""

    memory: str
    there: Any
    start: Any
    valid: Any
    end: Any
    move: int | None


@dataclass
class _Move:
    """A transfer of a cell, if `there`: from one of the sources to one (or several) of the targets."""

    cell: Cell
    there: Any
    start: Any
    end: Any
    sources: list[tuple[str, _Copy | None, Any]]
    targets: dict[str, Any]
    modes: list[tuple[tuple[tuple[str, str, int], ...], Fraction, Any]]


class Oracle:
    """One model of one instance."""

    def __init__(self, instance: Instance, horizon: int) -> None:
        from ortools.sat.python import cp_model

        self.it, self.horizon = instance, horizon
        self.nothing = False
        """Whether it is proved that there is none."""
        self.model = cp_model.CpModel()
        self.span = self._time()
        self.on_core: dict[str, list[tuple[Any, Any, int]]] = {}
        self.on_lane: dict[tuple[str, str], list[tuple[Any, int, Any, int]]] = {}
        self.in_memory: dict[str, list[tuple[Any, int]]] = {}
        self.on_engine: list[Any] = []
        self.moves: list[_Move] = []
        self.copies: dict[Cell, list[_Copy]] = {}
        self.used: dict[tuple[int, Cell], list[tuple[_Copy, Any]]] = {}
        self._tasks()
        for cell in instance.cells:
            self._cell(cell)
        self._resources()
        self.model.minimize(self.span)

    def _time(self) -> Any:
        return self.model.new_int_var(0, self.horizon, "")

    def _bool(self) -> Any:
        return self.model.new_bool_var("")

    def _tasks(self) -> None:
        model = self.model
        self.start = [self._time() for _ in self.it.jobs]
        self.end = [self._time() for _ in self.it.jobs]
        self.runs: list[dict[str, Any]] = []
        self.at: list[dict[str, Any]] = []
        for number, job in enumerate(self.it.jobs):
            start, end = self.start[number], self.end[number]
            runs = {core: self._bool() for core in job.on}
            model.add_exactly_one(runs.values())
            for core, task in job.on.items():
                cycles = task.end - task.start
                interval = model.new_optional_interval_var(start, cycles, end, runs[core], "")
                self.on_core.setdefault(core, []).append((interval, runs[core], cycles))
                for memory, bits in task.workspace:
                    self.in_memory.setdefault(memory, []).append((interval, bits))
            homes: dict[str, list[Any]] = {}
            for core, task in job.on.items():
                homes.setdefault(task.writes.memory, []).append(runs[core])
            self.runs.append(runs)
            self.at.append({home: sum(found) for home, found in homes.items()})
            model.add(self.span >= end)

    def _cell(self, cell: Cell) -> None:
        it, model = self.it, self.model
        copies = self.copies.setdefault(cell, [])
        maker = it.maker.get(cell)
        readers = it.readers.get(cell, [])
        if maker is not None:
            for home, there in self.at[maker].items():
                here = self._bool()
                model.add(here == there)
                copies.append(_Copy(home, here, self.start[maker], self.end[maker], self._time(), None))
        moves: list[_Move] = []
        out: _Move | None = None
        if maker is not None:
            out = self._move(cell, {it.chip.outermost: self._bool()})
        for _ in readers:
            targets = {home: self._bool() for home in it.homes if any(home in self.at[tile] for tile in readers)}
            move = self._move(cell, targets)
            if moves:
                model.add_implication(move.there, moves[-1].there)
                model.add(moves[-1].start <= move.start)
            number = len(self.moves) - 1
            self._source(move, it.chip.outermost, None, out)
            for copy in copies:
                self._source(move, copy.memory, copy, None)
            moves.append(move)
            copies += [
                _Copy(home, there, move.start, move.end, self._time(), number) for home, there in targets.items()
            ]
        if out is not None:
            for copy in copies:
                self._source(out, copy.memory, copy, None)
            if cell[0] in it.kept:
                model.add(out.there == 1)
        for move in [*moves, *([out] if out is not None else [])]:
            self._finish(move)
        self._implied(cell, moves, out)
        for tile in readers:
            options = [(copy, self._bool()) for copy in copies if copy.memory in self.at[tile]]
            self.used[tile, cell] = options
            for home, there in self.at[tile].items():
                model.add(sum(lit for copy, lit in options if copy.memory == home) == there)
            for copy, lit in options:
                model.add_implication(lit, copy.there)
                model.add(copy.valid <= self.start[tile]).only_enforce_if(lit)
                model.add(copy.end >= self.end[tile]).only_enforce_if(lit)
        for copy in copies:
            model.add(copy.end >= copy.valid)
            if copy.move is not None:
                reads = [lit for tile in readers for other, lit in self.used[tile, cell] if other is copy]
                model.add_bool_or([copy.there.negated(), *reads])
        for home in it.homes:
            here = [
                model.new_optional_interval_var(copy.start, self._time(), copy.end, copy.there, "")
                for copy in copies
                if copy.memory == home
            ]
            if len(here) > 1:
                model.add_no_overlap(here)
            self.in_memory.setdefault(home, []).extend((interval, it.bits(cell)) for interval in here)

    def _implied(self, cell: Cell, moves: list[_Move], out: _Move | None) -> None:
        """What follows anyway, said so that the solver sees it."""
        it, model = self.it, self.model
        maker, readers = it.maker.get(cell), it.readers.get(cell, [])
        bits = it.bits(cell)

        def least(ends: Iterator[tuple[str, str]]) -> int:
            return min((int(bits / it.ways[pair].rate) for pair in ends), default=0)

        if maker is None:
            model.add(moves[0].there == 1)
            arrives = least((it.chip.outermost, home) for home in it.homes)
            for tile in readers:
                model.add(self.start[tile] >= arrives)
            return
        across = least(pair for pair in it.ways if it.chip.outermost not in pair)
        for tile in readers:
            model.add(self.start[tile] >= self.end[maker])
            for home, there in self.at[tile].items():
                same = self.at[maker].get(home, 0)
                model.add(self.start[tile] >= self.end[maker] + across * (there - same))
        for move in moves:
            model.add(move.start >= self.end[maker]).only_enforce_if(move.there)
        if cell[0] in it.kept:
            model.add(self.span >= self.end[maker] + least((home, it.chip.outermost) for home in it.homes))

    def _move(self, cell: Cell, targets: dict[str, Any]) -> _Move:
        move = _Move(cell, self._bool(), self._time(), self._time(), [], targets, [])
        self.moves.append(move)
        return move

    def _source(self, move: _Move, memory: str, copy: _Copy | None, out: _Move | None) -> None:
        """One more place that a move may take its cell from."""
        lit = self._bool()
        move.sources.append((memory, copy, lit))
        self.model.add_implication(lit, move.there)
        if memory in move.targets:
            self.model.add_implication(lit, move.targets[memory].negated())
        if copy is not None:
            self.model.add_implication(lit, copy.there)
            self.model.add(move.start >= copy.valid).only_enforce_if(lit)
            self.model.add(copy.end >= move.end).only_enforce_if(lit)
        elif out is not None:
            self.model.add_implication(lit, out.there)
            self.model.add(move.start >= out.end).only_enforce_if(lit)

    def _finish(self, move: _Move) -> None:
        """Its one source, its target (or targets), its way and rate."""
        it, model = self.it, self.model
        bits = it.bits(move.cell)
        model.add(sum(lit for _, _, lit in move.sources) == move.there)
        for lit in move.targets.values():
            model.add_implication(lit, move.there)
        if it.multicast and len(move.targets) > 1:
            model.add_bool_or([move.there.negated(), *move.targets.values()])
        else:
            model.add(sum(move.targets.values()) == move.there)
        model.add(self.span >= move.end)
        classes: dict[tuple[tuple[tuple[str, str, int], ...], Fraction], list[Any]] = {}
        for memory, _, lit in move.sources:
            for target, there in move.targets.items():
                if memory == target:
                    continue
                way = it.ways[memory, target]
                key = (way.lanes, way.rate)
                if key not in classes:
                    classes[key] = []
                    for share in it.shares(way):
                        mode = self._bool()
                        cycles = int(bits / (way.rate * share))
                        span = model.new_optional_interval_var(move.start, cycles, move.end, mode, "")
                        for link, lane, count in way.lanes:
                            rate = int(way.rate * share) * count
                            self.on_lane.setdefault((link, lane), []).append((span, rate, mode, cycles))
                        if it.chip.transfer_engines is not None:
                            self.on_engine.append(span)
                        classes[key].append(mode)
                        move.modes.append((way.lanes, way.rate * share, mode))
                model.add_bool_or([lit.negated(), there.negated(), *classes[key]])
        model.add(sum(mode for _, _, mode in move.modes) == move.there)

    def _resources(self) -> None:
        model, chip = self.model, self.it.chip
        for found in self.on_core.values():
            model.add_no_overlap([interval for interval, _, _ in found])
            model.add(sum(lit * cycles for _, lit, cycles in found) <= self.span)
        for (name, _), users in self.on_lane.items():
            link = chip.link(name)
            most = int(chip.lane_rate(link))
            if link.exclusive or all(rate == most for _, rate, _, _ in users):
                model.add_no_overlap([interval for interval, _, _, _ in users])
            else:
                model.add_cumulative([it for it, _, _, _ in users], [rate for _, rate, _, _ in users], most)
            model.add(sum(lit * cycles * rate for _, rate, lit, cycles in users) <= self.span * most)
        for name, held in self.in_memory.items():
            size = chip.memory(name).size_bits
            if sum(bits for _, bits in held) > size:
                model.add_cumulative([interval for interval, _ in held], [bits for _, bits in held], size)
        if chip.transfer_engines is not None:
            model.add_cumulative(self.on_engine, [1] * len(self.on_engine), chip.transfer_engines)

    # -- solving -------------------------------------------------------------------------------------------------------

    def solve(self, limit: float, from_below: bool = False) -> Best | None:
        """The best schedule found within a deterministic limit; None where none was.

        Args: from_below: raise what is proved until a schedule meets it, instead of improving schedules.
        """
        from ortools.sat.python import cp_model

        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.random_seed = 0
        solver.parameters.max_deterministic_time = limit
        solver.parameters.use_objective_lb_search = from_below
        status = solver.solve(self.model)
        self.nothing = status == cp_model.INFEASIBLE
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return None
        return Best(round(solver.objective_value), self._schedule(solver))

    def _schedule(self, solver: Any) -> Schedule:
        """What the values say, as a schedule that the rules can be asked about."""
        it, chip = self.it, self.it.chip
        held: list[Residency] = []
        number: dict[int, int] = {}
        """Of the residency of a copy, by the copy's identity."""
        away: dict[Cell, int] = {}
        """Of the residency in the outermost memory."""

        def hold(cell: Cell, memory: str, start: int, valid: int, writer: int) -> int:
            held.append(Residency(len(held), memory, *cell, it.bits(cell), start, valid, valid, writer))
            return len(held) - 1

        timed = [(solver.value(start), "task", number) for number, start in enumerate(self.start)]
        timed += [
            (solver.value(m.start), "move", number) for number, m in enumerate(self.moves) if solver.value(m.there)
        ]
        event = {(kind, which): place for place, (_, kind, which) in enumerate(sorted(timed))}
        for cell in it.cells:
            if cell not in it.maker:
                away[cell] = hold(cell, chip.outermost, 0, 0, -1)
            for copy in (copy for copy in self.copies[cell] if solver.value(copy.there)):
                writer = event["task", it.maker[cell]] if copy.move is None else event["move", copy.move]
                number[id(copy)] = hold(cell, copy.memory, solver.value(copy.start), solver.value(copy.valid), writer)
        for place, move in enumerate(self.moves):
            if chip.outermost in move.targets and solver.value(move.there):
                times = solver.value(move.start), solver.value(move.end)
                away[move.cell] = hold(move.cell, chip.outermost, *times, event["move", place])
        tasks = tuple(self._task(solver, tile, event["task", tile], number) for tile in range(len(it.jobs)))
        moves = tuple(
            self._transfer(solver, place, event["move", place], number, away)
            for place, move in enumerate(self.moves)
            if solver.value(move.there)
        )
        last: dict[int, int] = {}
        for task in tasks:
            for source in (source for use in task.reads for source in use.residencies):
                last[source] = max(last.get(source, 0), task.end)
        for transfer in moves:
            for source in transfer.sources:
                last[source] = max(last.get(source, 0), transfer.end)
        finish = max([task.end for task in tasks] + [transfer.end for transfer in moves])
        stays = it.kept | {t.name for t in it.workload.tensors if t.role in ("input", "weight")}
        ends = [
            finish if r.memory == chip.outermost and r.tensor in stays else last.get(r.id, r.valid_from) for r in held
        ]
        residencies = tuple(replace(r, end=end) for r, end in zip(held, ends, strict=True))
        return Schedule(it.workload.name, chip.name, tasks, moves, residencies)

    def _task(self, solver: Any, tile: int, event: int, number: dict[int, int]) -> Task:
        it = self.it
        core = next(core for core, lit in self.runs[tile].items() if solver.value(lit))
        task = it.jobs[tile].on[core]
        reads = []
        for use in task.reads:
            found = [
                number[id(copy)] for cell in it.within(use) for copy, lit in self.used[tile, cell] if solver.value(lit)
            ]
            reads.append(replace(use, residencies=tuple(dict.fromkeys(found))))
        made = tuple(
            number[id(copy)]
            for cell in it.within(task.writes)
            for copy in self.copies[cell]
            if copy.move is None and solver.value(copy.there)
        )
        writes = replace(task.writes, residencies=made)
        times = {"start": solver.value(self.start[tile]), "end": solver.value(self.end[tile])}
        return replace(task, id=event, reads=tuple(reads), writes=writes, **times)

    def _transfer(self, solver: Any, place: int, event: int, number: dict[int, int], away: dict[Cell, int]) -> Transfer:
        it, chip, move = self.it, self.it.chip, self.moves[place]
        source, copy, _ = next(entry for entry in move.sources if solver.value(entry[2]))
        targets = [target for target, lit in move.targets.items() if solver.value(lit)]
        rate = next(rate for _, rate, lit in move.modes if solver.value(lit))
        routes = tuple(it.ways[source, target].route for target in targets)
        hops = dict.fromkeys(
            hop for route in routes for hop in zip(route.memories, route.links, route.memories[1:], strict=False)
        )
        lanes = dict.fromkeys((a, link, chip.link(link).lane(a, b)) for a, link, b in hops)
        ports = [(a, _port(chip.memory(a), "read").name) for a in dict.fromkeys(a for a, _, _ in hops)]
        ports += [(b, _port(chip.memory(b), "write").name) for _, _, b in hops]
        made = [
            away[move.cell]
            if target == chip.outermost
            else next(number[id(c)] for c in self.copies[move.cell] if c.move == place and c.memory == target)
            for target in targets
        ]
        return Transfer(
            event,
            *move.cell,
            routes,
            solver.value(move.start),
            solver.value(move.end),
            it.bits(move.cell),
            rate,
            0,
            (away[move.cell] if copy is None else number[id(copy)],),
            tuple(made),
            tuple(PortLoad(memory, port, rate) for memory, port in ports),
            tuple(LaneLoad(link, lane, rate) for _, link, lane in lanes),
            sum(it.transfer_pj(source, target, it.bits(move.cell)) for target in targets),
        )
