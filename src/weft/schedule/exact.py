"""A few tiles, scheduled by CP-SAT: what the engine decides tile by tile is decided at once.

Each tile that reads a piece finds it in its memory, left there by the tile that made it or brought for another one, or
has it brought: from any memory that holds it, over any way. Pieces leave for the outermost memory at most once. Moves
are of single pieces, at all of a way's rate.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from weft.model.schedule import Infeasible
from weft.schedule.engine import Figures, Placed, place
from weft.schedule.moves import AT_RATE, FROM, MADE, MOVED, OUTPUT, READ, TILE, UNTIL, USE, WAY
from weft.schedule.places import (
    BITS,
    FIRST,
    GIVEN,
    INPUTS,
    KEPT,
    LAST,
    MEMORY,
    OPERANDS,
    ROW,
    SHAPE,
    START,
    TENSOR,
    VALID,
    WRITER,
    list_cells,
)
from weft.schedule.plan import Plan
from weft.schedule.tables import FIRST as FIRST_WAY
from weft.schedule.tables import NUMBER, booked

PER_PJ = 100
"""Energies are counted in hundredths of a pJ."""

MOST_TILES, MOST_PIECES = 16, 80
"""Beyond, CP-SAT finds nothing better in a time that one would wait."""


def installed() -> bool:
    """Whether OR-Tools is there."""
    return importlib.util.find_spec("ortools") is not None


@dataclass
class _Copy:
    """A piece in a memory over some time, if `there`: left by its maker, or brought (`move`)."""

    memory: int
    there: Any
    start: Any
    valid: Any
    end: Any
    move: _Move | None


@dataclass(eq=False)
class _Move:
    """A piece on its way, if `there`.

    Args: ways: by (from, to): lits, one per way.     sources: (lit, copy it comes from; None: the outermost memory).
    """

    piece: int
    slot: int
    there: Any
    start: Any
    end: Any
    ways: dict[tuple[int, int], list[tuple[int, Any]]] = field(default_factory=dict)
    sources: list[tuple[Any, _Copy | None]] = field(default_factory=list)


@dataclass(frozen=True)
class _Event:
    """What happens, taken from a solution."""

    start: int
    end: int
    tile: int
    move: _Move | None = None


class Exact:
    """One model. `solve` gives a schedule that ends by `horizon`, or None where it finds none.

    Args: options: for each tile the plan's recipes that may run it.
    """

    def __init__(
        self, placed: Placed, options: Sequence[Sequence[int]], goal: Literal["latency", "energy"], horizon: int
    ) -> None:
        from ortools.sat.python import cp_model

        self.placed, self.engine, self.tables = placed, placed.engine, placed.engine.tables
        self.plan: Plan = placed.plan
        self.options, self.goal, self.horizon = options, goal, horizon
        self.model = cp_model.CpModel()
        self.users: dict[int, list[tuple[Any, int, Any, int, int]]] = {}
        """By line: interval, amount, whether it is there, cycles, and the core's or lane's line that it is on."""
        self.room: dict[int, list[tuple[Any, int]]] = {}
        self.pj: list[Any] = []
        self.moves: list[_Move] = []
        self.copies: dict[int, list[_Copy]] = {}
        self.found_in: dict[tuple[int, int], list[tuple[Any, _Copy | None]]] = {}
        self.out: dict[int, _Move] = {}
        self._touches()
        self._tasks()
        for piece in sorted(self.readers.keys() | self.maker.keys()):
            self._piece(piece)
        self._lines()
        static = round(self.engine.fabric.chip.static_pj_per_cycle * PER_PJ)
        self.model.minimize(self.span if goal == "latency" else sum(self.pj) + static * self.span)

    # -- what is given -------------------------------------------------------------------------------------------------

    def _touches(self) -> None:
        tiles, found = self.placed.tiles, self.placed.found
        cells = np.empty(max(1, int(found.cells.max(initial=1))), np.int64)
        self.reads: list[dict[int, int]] = []
        """Of each tile: by piece the operand that reads it."""
        self.makes: list[list[int]] = []
        for row in tiles.tile.tolist():
            touched = []
            for k in range(row[INPUTS] + 1):
                number = int(tiles.operand[row[OPERANDS] + k, 0])
                count = list_cells(found.tensor, number, tiles.touch, row[ROW] + k, cells, 0)
                touched.append(cells[:count].tolist())
            self.reads.append({piece: k for k in range(row[INPUTS] - 1, -1, -1) for piece in touched[k]})
            self.makes.append(touched[-1])
        self.maker = {piece: tile for tile, pieces in enumerate(self.makes) for piece in pieces}
        self.readers: dict[int, list[int]] = {}
        for tile, pieces in enumerate(self.reads):
            for piece in pieces:
                self.readers.setdefault(piece, []).append(tile)
        self.tensor_of = np.searchsorted(found.tensor[:, FIRST], np.arange(len(found.piece_bits)), side="right") - 1

    def _figures(self, number: int) -> Figures:
        return self.engine.figures(self.plan.recipes[number])

    def _slot(self, tile: int, operand: int) -> int:
        tiles = self.placed.tiles
        return int(tiles.operand[tiles.tile[tile, OPERANDS] + operand, 1])

    # -- the model -----------------------------------------------------------------------------------------------------

    def _time(self) -> Any:
        return self.model.new_int_var(0, self.horizon, "")

    def _bool(self) -> Any:
        return self.model.new_bool_var("")

    def _tasks(self) -> None:
        model = self.model
        self.span = self._time()
        self.start = [self._time() for _ in self.options]
        self.end = [self._time() for _ in self.options]
        self.runs = [{number: self._bool() for number in numbers} for numbers in self.options]
        for tile, runs in enumerate(self.runs):
            model.add_exactly_one(runs.values())
            model.add(self.span >= self.end[tile])
            for number, lit in runs.items():
                it = self._figures(number)
                span = model.new_optional_interval_var(self.start[tile], it.duration, self.end[tile], lit, "")
                for line, amount in ((it.core, 1), *it.lines):
                    self.users.setdefault(line, []).append((span, amount, lit, it.duration, it.core))
                for memory, bits in it.work:
                    self.room.setdefault(memory, []).append((span, bits))
                self.pj.append(round(it.pj * PER_PJ) * lit)

    def _where(self, tile: int, operand: int) -> dict[int, Any]:
        """By memory: whether an operand of a tile is there."""
        found: dict[int, list[Any]] = {}
        for number, lit in self.runs[tile].items():
            found.setdefault(self._figures(number).homes[operand], []).append(lit)
        where: dict[int, Any] = {}
        for memory, lits in found.items():
            where[memory] = lits[0] if len(lits) == 1 else self._bool()
            if len(lits) > 1:
                self.model.add(sum(lits) == where[memory])
        return where

    def _piece(self, piece: int) -> None:
        model, outermost = self.model, self.tables.outermost
        maker, readers = self.maker.get(piece), self.readers.get(piece, [])
        copies = self.copies.setdefault(piece, [])
        home: _Copy | None = None
        made: dict[int, Any] = {}
        if maker is not None:
            made = self._where(maker, int(self.placed.tiles.tile[maker, INPUTS]))
            for memory, lit in made.items():
                copy = _Copy(memory, lit, self.start[maker], self.end[maker], self._time(), None)
                if memory == outermost:
                    home = copy
                else:
                    copies.append(copy)
            out = self.out[piece] = self._move(piece, OUTPUT)
            model.add(out.start >= self.end[maker]).only_enforce_if(out.there)
            if self.placed.found.tensor[self.tensor_of[piece], KEPT]:
                model.add(out.there + (home.there if home else 0) == 1)
        places = {tile: self._where(tile, self.reads[tile][piece]) for tile in readers}
        brought: dict[int, tuple[_Move, dict[int, _Copy]]] = {}
        for tile in readers:
            if maker is not None:
                model.add(self.start[tile] >= self.end[maker])
            move = self._move(piece, self._slot(tile, self.reads[tile][piece]))
            end, mine = self._time(), dict[int, _Copy]()
            for memory, here in places[tile].items():
                if memory != outermost:
                    there = self._bool()
                    model.add_implication(there, here)
                    mine[memory] = _Copy(memory, there, move.start, move.end, end, move)
            model.add(sum(copy.there for copy in mine.values()) == move.there)
            brought[tile] = move, mine
            copies += mine.values()
        for tile in readers:
            options: list[tuple[Any, _Copy | None]] = []
            for memory, here in places[tile].items():
                if memory == outermost:
                    self._at_home(piece, home, here, self.start[tile])
                    continue
                lits = []
                for copy in (copy for copy in copies if copy.memory == memory):
                    lit = copy.there if copy is brought[tile][1][memory] else self._bool()
                    model.add_implication(lit, copy.there)
                    model.add(copy.valid <= self.start[tile]).only_enforce_if(lit)
                    model.add(copy.end >= self.end[tile]).only_enforce_if(lit)
                    lits.append(lit)
                    options.append((lit, copy))
                model.add(sum(lits) == here)
            self.found_in[tile, piece] = options
        for move, mine in brought.values():
            for memory, target in mine.items():
                self._source(move, outermost, None, memory, target.there, home)
                for copy in copies:
                    if copy.memory != memory:
                        self._source(move, copy.memory, copy, memory, target.there, home)
            self._ways(move)
        if maker is not None:
            for copy in copies:
                self._source(self.out[piece], copy.memory, copy, outermost, self.out[piece].there, home)
            self._ways(self.out[piece])
        bits = int(self.placed.found.piece_bits[piece])
        for memory in {copy.memory for copy in copies}:
            spans = [
                model.new_optional_interval_var(copy.start, self._time(), copy.end, copy.there, "")
                for copy in copies
                if copy.memory == memory
            ]
            model.add_no_overlap(spans)
            self.room.setdefault(memory, []).extend((span, bits) for span in spans)
        for copy in copies:
            model.add(copy.end >= copy.valid)

    def _at_home(self, piece: int, home: _Copy | None, lit: Any, start: Any) -> None:
        """Where `lit` holds, the piece is in the outermost memory by `start`."""
        if piece not in self.maker:
            return
        out = self.out[piece]
        self.model.add(start >= out.end).only_enforce_if(lit, out.there)
        if home is None:
            self.model.add_implication(lit, out.there)
        else:
            self.model.add_bool_or([lit.negated(), out.there, home.there])

    def _move(self, piece: int, slot: int) -> _Move:
        move = _Move(piece, slot, self._bool(), self._time(), self._time())
        self.moves.append(move)
        return move

    def _source(
        self, move: _Move, source: int, copy: _Copy | None, target: int, there: Any, home: _Copy | None
    ) -> None:
        """One more place from which a move may go to a memory."""
        self.tables.look_up([(source, target, move.slot)])
        between = self.tables.ways().between[source, target, move.slot]
        if not between[NUMBER]:
            return
        model, lit = self.model, self._bool()
        model.add_implication(lit, there)
        if copy is None:
            self._at_home(move.piece, home, lit, move.start)
        else:
            model.add_implication(lit, copy.there)
            model.add(copy.valid <= move.start).only_enforce_if(lit)
            model.add(copy.end >= move.end).only_enforce_if(lit)
        if (source, target) not in move.ways:
            first, number = int(between[FIRST_WAY]), int(between[NUMBER])
            move.ways[source, target] = [(way, self._bool()) for way in range(first, first + number)]
        model.add_bool_or([lit.negated(), *(mode for _, mode in move.ways[source, target])])
        move.sources.append((lit, copy))

    def _ways(self, move: _Move) -> None:
        model, bits = self.model, int(self.placed.found.piece_bits[move.piece])
        model.add(sum(lit for lit, _ in move.sources) == move.there)
        model.add(sum(lit for found in move.ways.values() for _, lit in found) == move.there)
        model.add(self.span >= move.end)
        for number, lit in (item for found in move.ways.values() for item in found):
            way, fabric = self.tables.every[number][0], self.engine.fabric
            setup = fabric.chip.transfer_setup_cycles + sum(fabric.link_cycles(fabric.link[n]) for n in way.route.links)
            cycles = setup - (-bits * fabric.scale // way.rate)
            span = model.new_optional_interval_var(move.start, cycles, move.end, lit, "")
            lines = self.books(number)
            for line, amount in lines:
                self.users.setdefault(line, []).append((span, amount, lit, cycles, lines[0][0]))
            self.pj.append(round(self.transfer_pj(number, bits) * PER_PJ) * lit)

    def books(self, number: int) -> list[tuple[int, int]]:
        """(line, amount) of a way at all of its rate: a lane first."""
        fabric, tables = self.engine.fabric, self.tables
        way, slot = tables.every[number]
        ports, lanes = booked(fabric, [(way, slot)])
        counts = Counter([*(tables.lane[at] for at in lanes), *(tables.port[at] for at in ports)])
        engines = [] if fabric.chip.transfer_engines is None else [(tables.engines, 1)]
        return [(line, way.rate * count) for line, count in counts.items()] + engines

    def transfer_pj(self, number: int, bits: int) -> float:
        """Links of a way, and whole accesses at both ends of each hop [pJ]."""
        ways = self.tables.ways()
        hops = ways.hop_pj[ways.way[number] : ways.way[number + 1]].tolist()
        return float(
            sum(bits * link + -(-bits // a) * a * out + -(-bits // b) * b * into for link, a, out, b, into in hops)
        )

    def _lines(self) -> None:
        """Nothing is asked for more than it has; lines that can never be are left out."""
        model, capacity = self.model, self.tables.capacity.tolist()
        for line, users in self.users.items():
            most: dict[int, int] = {}
            for _, amount, _, _, on in users:
                on_it = max(given for _, given, _, _, _ in self.users[on])
                together = 1 if self.tables.alone[on] else max(1, capacity[on] // on_it)
                most[on] = max(most.get(on, 0), amount * together)
            alone = self.tables.alone[line] or all(2 * amount > capacity[line] for _, amount, _, _, _ in users)
            if all(on == line for _, _, _, _, on in users) or sum(most.values()) > capacity[line]:
                if alone:
                    model.add_no_overlap([span for span, _, _, _, _ in users])
                    model.add(sum(lit * cycles for _, _, lit, cycles, _ in users) <= self.span)
                else:
                    model.add_cumulative([u[0] for u in users], [u[1] for u in users], capacity[line])
        for memory, held in self.room.items():
            size = capacity[self.tables.room + memory]
            if sum(bits for _, bits in held) > size:
                model.add_cumulative([span for span, _ in held], [bits for _, bits in held], size)

    # -- solving -------------------------------------------------------------------------------------------------------

    def solve(self, limit: float, seed: int) -> Placed | None:
        """What was found within a deterministic limit."""
        from ortools.sat.python import cp_model

        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.random_seed = seed
        solver.parameters.max_deterministic_time = limit
        status = solver.solve(self.model)
        return self._placed(solver) if status in (cp_model.OPTIMAL, cp_model.FEASIBLE) else None

    def _placed(self, solver: Any) -> Placed | None:
        value = solver.value
        recipes = [next(number for number, lit in runs.items() if value(lit)) for runs in self.runs]
        times = zip(self.start, self.end, strict=True)
        events = [_Event(value(start), value(end), tile) for tile, (start, end) in enumerate(times)]
        events += [_Event(value(m.start), value(m.end), -1, m) for m in self.moves if value(m.there)]
        events.sort(key=lambda event: event.start)
        first = self.plan.first
        cuts = tuple(
            replace(cut, recipes=np.array(recipes[first[op] : first[op + 1]], np.int64))
            for op, cut in enumerate(self.plan.cuts)
        )
        order = np.array([event.tile for event in events if event.tile >= 0], np.int64)
        base = place(self.engine.workload, self.engine.fabric, replace(self.plan, cuts=cuts, order=order))
        return None if isinstance(base, Infeasible) else _Writer(self, base, solver, recipes).write(events)


class _Writer:
    """A solution as the engine writes what it places."""

    def __init__(self, model: Exact, base: Placed, solver: Any, recipes: Sequence[int]) -> None:
        self.model, self.base, self.value, self.recipes = model, base, solver.value, recipes
        self.tables = model.tables
        self.holding: list[list[int]] = []
        self.box: list[list[int]] = []
        self.wait: list[tuple[int, int]] = []
        self.number: dict[int, int] = {}
        """Of a copy's holding, by the copy's identity."""
        self.home: dict[int, int] = {}
        """Of each piece in the outermost memory."""
        self.last: dict[tuple[int, int], int] = {}

    def write(self, events: Sequence[_Event]) -> Placed:
        base, found, value, room = self.base, self.base.found, self.value, self.tables.room
        axes = found.touch.shape[1] // 2
        for number, row in enumerate(found.tensor.tolist()):
            if row[GIVEN]:
                shape = row[SHAPE : SHAPE + axes]
                pieces = range(row[FIRST], row[FIRST] + int(np.prod(shape)))
                held = self._hold(number, self.tables.outermost, [0] * axes + shape, pieces, 0, 0, -1)
                self.home.update(dict.fromkeys(pieces, held))
        event = np.zeros((len(events) + 1, 9), np.int64)
        pj = np.zeros(len(events), np.float64)
        read: list[tuple[int, int]] = []
        use: list[tuple[int, int]] = []
        for at, it in enumerate(events):
            event[at, READ], event[at, USE], event[at, MADE] = len(read), len(use), len(self.holding)
            event[at, TILE], event[at, WAY] = it.tile, -1
            event[at, FROM], event[at, UNTIL] = it.start, it.end
            if it.move is None:
                figures = self.model._figures(self.recipes[it.tile])
                read += self._reads(it.tile)
                use += [(figures.core, 1), *figures.lines]
                asked = dict[int, int]()
                for memory, bits in figures.work:
                    asked[memory] = asked.get(memory, 0) + bits
                memory = figures.homes[-1]
                for piece in self.model.makes[it.tile]:
                    held = self._piece(piece, memory, it.start, it.end, at)
                    asked[memory] = asked.get(memory, 0) + self.holding[held][BITS]
                    if memory == self.tables.outermost:
                        self.home[piece] = held
                    for copy in self.model.copies[piece]:
                        if copy.move is None and value(copy.there):
                            self.number[id(copy)] = held
                use += [(room + name, bits) for name, bits in asked.items()]
                continue
            move = it.move
            target, way = next((pair[1], way) for pair, known in move.ways.items() for way, lit in known if value(lit))
            source = next(copy for lit, copy in move.sources if value(lit))
            read.append((self.home[move.piece] if source is None else self.number[id(source)], 0))
            use += self.model.books(way)
            held = self._piece(move.piece, target, it.start, it.end, at)
            bits = self.holding[held][BITS]
            use.append((room + target, bits))
            if target == self.tables.outermost:
                self.home[move.piece] = held
            for mine in self.model.copies[move.piece]:
                if mine.move is move and value(mine.there):
                    self.number[id(mine)] = held
            event[at, WAY], event[at, MOVED], event[at, AT_RATE] = way, bits, self.tables.every[way][0].rate
            pj[at] = self.model.transfer_pj(way, bits)
        event[-1, READ], event[-1, USE], event[-1, MADE] = len(read), len(use), len(self.holding)
        return replace(
            base,
            ways=self.tables.ways(),
            more=np.empty((0, 2), np.int32),
            event=event,
            pj=pj,
            read=np.array(read, np.int32).reshape(-1, 2),
            use=np.array(use, np.int64).reshape(-1, 2),
            wait=np.array(self.wait, np.int32).reshape(-1, 2),
            holding=np.array(self.holding, np.int64),
            box=np.array(self.box, np.int32),
            start=event[:-1, FROM],
            end=event[:-1, UNTIL],
        )

    def _reads(self, tile: int) -> list[tuple[int, int]]:
        """(holding, operand) of every operand, each holding once."""
        tiles, found = self.base.tiles, self.base.found
        row = tiles.tile[tile]
        cells = np.empty(max(1, int(found.cells.max(initial=1))), np.int64)
        every: list[tuple[int, int]] = []
        for k in range(row[INPUTS]):
            tensor = int(tiles.operand[row[OPERANDS] + k, 0])
            count = list_cells(found.tensor, tensor, tiles.touch, int(row[ROW]) + k, cells, 0)
            every += dict.fromkeys((self._found(tile, piece), k) for piece in cells[:count].tolist())
        return every

    def _found(self, tile: int, piece: int) -> int:
        """The holding in which a tile finds a piece."""
        for lit, copy in self.model.found_in[tile, piece]:
            if copy is not None and self.value(lit):
                return self.number[id(copy)]
        return self.home[piece]

    def _piece(self, piece: int, memory: int, start: int, end: int, writer: int) -> int:
        number = int(self.model.tensor_of[piece])
        row = self.base.found.tensor[number]
        axes = self.base.found.touch.shape[1] // 2
        rest = piece - row[FIRST]
        low = [int(rest // row[SHAPE + axes + axis] % row[SHAPE + axis]) for axis in range(axes)]
        return self._hold(number, memory, [*low, *(at + 1 for at in low)], [piece], start, end, writer)

    def _hold(
        self, tensor: int, memory: int, box: list[int], pieces: Sequence[int], start: int, end: int, writer: int
    ) -> int:
        held = len(self.holding)
        for before in dict.fromkeys(self.last[piece, memory] for piece in pieces if (piece, memory) in self.last):
            self.wait.append((writer, before))
        self.last.update(dict.fromkeys(((piece, memory) for piece in pieces), held))
        row = [0] * 16
        row[MEMORY], row[TENSOR], row[WRITER] = memory, tensor, writer
        row[BITS] = int(self.base.found.piece_bits[list(pieces)].sum())
        row[START], row[VALID], row[LAST] = start, end, end
        self.holding.append(row)
        self.box.append(box)
        return held
