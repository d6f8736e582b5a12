"""Places ops one after another: moves what each part needs, makes room, books cores, links and ports, runs it.

The engine decides orders; `timing.py` then lets everything start as early as these orders allow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from weft.model.schedule import Infeasible, LaneLoad, PortLoad, Residency, Schedule, Task, Transfer, Use
from weft.model.workload import Box, Slot, Workload, volume
from weft.schedule.fabric import Fabric, Way
from weft.schedule.lines import RateLine, SpaceLine
from weft.schedule.loads import loads_of
from weft.schedule.options import Option, Part
from weft.schedule.pieces import Cell, Grid, make_grid

SHARES = (Fraction(1), Fraction(3, 4), Fraction(1, 2), Fraction(1, 4))
"""Parts of a path's rate that a transfer may take: less than all, where that ends sooner beside what else runs."""


@dataclass(slots=True)
class Held:
    """A box in a memory while the engine works on it; `readers` keep it until they end."""

    id: int
    memory: str
    tensor: str
    box: Box
    cells: list[Cell]
    bits: int
    start: int
    valid_from: int
    writer: int
    last_read: int
    open: bool = True


class Stuck(Exception):
    """A part cannot be placed: its boxes do not fit beside what must stay."""

    def __init__(self, reason: Infeasible) -> None:
        self.reason = reason
        super().__init__(str(reason))


@dataclass(frozen=True, slots=True)
class _Touch:
    """A part's box of one operand, in pieces of the root tensor."""

    operand: str
    slot: Slot
    tensor: str
    box: Box
    cells: tuple[Cell, ...]
    memory: str
    streamed: bool


class Engine:
    """One pass over a workload with one option per op. `run` gives the schedule or says what did not fit."""

    def __init__(self, workload: Workload, fabric: Fabric, options: Sequence[Option]) -> None:
        self.workload = workload
        self.fabric = fabric
        self.chip = chip = fabric.chip
        self.options = options
        self.scale = fabric.scale
        self.bits = {tensor.name: tensor.bits for tensor in workload.tensors}
        self.ops = {op.name: op for op in workload.ops}
        self.keep = {workload.root(t.name) for t in workload.tensors if t.role == "output"}
        self.core_free = {core.name: 0 for core in chip.cores}
        self.space = {memory.name: SpaceLine(memory.size_bits) for memory in chip.memories}
        self.lanes: dict[str, RateLine] = {}
        self.ports: dict[tuple[str, str], RateLine] = {}
        self.engines = RateLine(chip.transfer_engines or 0)
        self.tasks: list[Task] = []
        self.transfers: list[Transfer] = []
        self.held: list[Held] = []
        self.where: dict[str, dict[Cell, dict[str, Held]]] = {}
        self.grids: dict[str, Grid] = {}
        self.touches: list[list[list[_Touch]]] = []
        self.next_use: dict[tuple[str, str], list[int]] = {}
        self.uses_left: dict[tuple[str, Cell], int] = {}
        self.uses_here: dict[tuple[str, Cell, str], int] = {}
        self.gone: dict[tuple[str, str, Cell], int] = {}
        self.event = 0
        self._prepare()

    # -- what each part touches ------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        raw: list[list[list[tuple[str, Slot, str, Box, str, bool]]]] = []
        boxes: dict[str, list[Box]] = {}
        for option in self.options:
            op = self.ops[option.op]
            per_part = []
            for part in option.parts:
                ranges = dict(part.ranges)
                touched = []
                for operand, (_, memory, streamed) in zip(op.operands, part.homes, strict=True):
                    root = self.workload.root(operand.tensor)
                    box = self.workload.root_box(operand.tensor, operand.box(ranges))
                    boxes.setdefault(root, []).append(box)
                    touched.append((operand.name, operand.slot, root, box, memory, streamed))
                per_part.append(touched)
            raw.append(per_part)
        for tensor in self.workload.tensors:
            if tensor.name in self.keep and tensor.role in ("input", "weight"):
                boxes.setdefault(tensor.name, []).append(tensor.whole())  # an output as it is, read by no op
            if tensor.name in boxes:
                self.grids[tensor.name] = make_grid(tensor.shape, boxes[tensor.name])
        for index, per_part in enumerate(raw):
            made = []
            for touched in per_part:
                row = []
                for name, slot, root, box, memory, streamed in touched:
                    cells = tuple(self.grids[root].cells(box))
                    row.append(_Touch(name, slot, root, box, cells, memory, streamed))
                    if slot != "O":
                        for cell in cells:
                            self.uses_left[root, cell] = self.uses_left.get((root, cell), 0) + 1
                            here = (root, cell, memory)
                            self.uses_here[here] = self.uses_here.get(here, 0) + 1
                        self.next_use.setdefault((root, memory), []).append(index)
                made.append(row)
            self.touches.append(made)
        for tensor in self.workload.tensors:
            if tensor.name in self.grids and tensor.role in ("input", "weight"):
                grid = self.grids[tensor.name]
                self._hold(self.chip.outermost, tensor.name, tensor.whole(), grid.cells(tensor.whole()), 0, 0, -1)

    # -- the pass --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Place every op in order. Raises Stuck where a part cannot be placed."""
        for index, option in enumerate(self.options):
            for part, touches in zip(option.parts, self.touches[index], strict=True):
                self._place(index, part, touches)

    def _place(self, index: int, part: Part, touches: list[_Touch]) -> None:
        inputs, output = touches[:-1], touches[-1]
        needed = {(t.memory, t.tensor, cell) for t in touches for cell in t.cells}
        self._make_room(index, part, touches, needed)
        ready = 0
        for touch in inputs:
            ready = max(ready, self._bring(touch))
        self._run_task(part, inputs, output, ready)
        for touch in inputs:
            self._used(touch)
        self._after_write(output)

    def _make_room(self, index: int, part: Part, touches: list[_Touch], needed: set[tuple[str, str, Cell]]) -> None:
        """Evict, farthest next use first, until all that this part brings and makes fits."""
        demand = self._demand(part, touches)
        for memory, bits in demand.items():
            line = self.space[memory]
            if line.finally_used + bits <= line.capacity:
                continue
            for held in self._victims(memory, index, needed):
                self._evict(held)
                if line.finally_used + bits <= line.capacity:
                    break
            else:
                raise Stuck(
                    Infeasible(
                        f"{self.options[index].op} on {part.core}",
                        "its boxes do not fit beside what must stay",
                        line.finally_used + bits,
                        line.capacity,
                        memory,
                        "make the memory larger",
                    )
                )

    def _demand(self, part: Part, touches: list[_Touch]) -> dict[str, int]:
        demand = dict(loads_of(self.fabric, part).workspace)
        seen: set[tuple[str, str, Cell]] = set()
        for touch in touches:
            for cell in touch.cells:
                key = (touch.memory, touch.tensor, cell)
                if key in seen or touch.memory in self.where.get(touch.tensor, {}).get(cell, {}):
                    continue
                seen.add(key)
                size = volume(self.grids[touch.tensor].box([cell])) * self.bits[touch.tensor]
                demand[touch.memory] = demand.get(touch.memory, 0) + size
        return demand

    def _victims(self, memory: str, index: int, needed: set[tuple[str, str, Cell]]) -> list[Held]:
        def next_use(held: Held) -> int:
            later = [i for i in self.next_use.get((held.tensor, memory), []) if i >= index]
            anywhere = [i for (t, _), uses in self.next_use.items() if t == held.tensor for i in uses if i >= index]
            return min(later or anywhere or [len(self.options) + 1])

        found = [
            held
            for held in self.held
            if held.open
            and held.memory == memory
            and memory != self.chip.outermost
            and not any((memory, held.tensor, cell) in needed for cell in held.cells)
        ]
        return sorted(found, key=lambda held: (-next_use(held), -held.bits, held.id))

    def _evict(self, held: Held) -> None:
        """Write back what exists nowhere else and is still wanted, then let go."""
        wanted = [
            cell
            for cell in held.cells
            if len(self.where[held.tensor][cell]) == 1
            and (self.uses_left.get((held.tensor, cell), 0) > 0 or held.tensor in self.keep)
        ]
        for box, cells in self.grids[held.tensor].boxes(wanted):
            self._move(held.tensor, box, cells, held.memory, self.chip.outermost, "O")
        self._close(held)

    # -- moving ----------------------------------------------------------------------------------------------------

    def _bring(self, touch: _Touch) -> int:
        """Have all pieces of a touch in its memory; returns when they are valid."""
        places = self.where[touch.tensor]
        missing: dict[str, list[Cell]] = {}
        for cell in touch.cells:
            if touch.memory not in places[cell]:
                source = self._source(touch, cell)
                missing.setdefault(source, []).append(cell)
        for source, cells in sorted(missing.items()):
            for box, group in self.grids[touch.tensor].boxes(cells):
                self._move(touch.tensor, box, group, source, touch.memory, touch.slot)
        for source, cells in sorted(missing.items()):
            for held in {id(h): h for cell in cells if (h := places[cell].get(source))}.values():
                self._drop_if_useless(held)
        return max((places[cell][touch.memory].valid_from for cell in touch.cells), default=0)

    def _source(self, touch: _Touch, cell: Cell) -> str:
        """The holder with the fastest way, on-chip ones first on ties."""
        size = 1 << 16

        def cost(memory: str) -> tuple[float, bool, str]:
            rate = max((way.rate for way in self.fabric.ways(memory, touch.memory, touch.slot)), default=0)
            return (size / rate if rate else math.inf, memory == self.chip.outermost, memory)

        return min(self.where[touch.tensor][cell], key=cost)

    def _move(self, tensor: str, box: Box, cells: list[Cell], source: str, target: str, slot: Slot) -> None:
        """One transfer of one box, on the route that ends first."""
        bits = volume(box) * self.bits[tensor]
        holders = {id(h): h for h in (self.where[tensor][cell][source] for cell in cells)}
        ready = max(held.valid_from for held in holders.values())
        # What is fetched again waits until the copy that was let go has really left.
        ready = max([ready, *(self.gone.get((target, tensor, cell), 0) for cell in cells)])
        space = self.space[target].earliest(ready, bits)
        if space is None:
            line = self.space[target]
            raise Stuck(Infeasible(tensor, "no room", bits + line.finally_used, line.capacity, target))
        best: tuple[int, int, int, Way] | None = None
        for way in self.fabric.ways(source, target, slot):
            for share in SHARES:
                rate = max(1, way.rate * share.numerator // share.denominator)
                duration = -(-bits * self.scale // rate) + way.setup_cycles
                if best is not None and space + duration >= best[1]:
                    continue
                lines = [(self._lane(*at), rate * way.lanes.count(at)) for at in dict.fromkeys(way.lanes)]
                lines += [(self._port(*at), rate * way.ports.count(at)) for at in dict.fromkeys(way.ports)]
                if self.chip.transfer_engines:
                    lines.append((self.engines, 1))
                start = self._window(space, duration, lines)
                if best is None or start + duration < best[1]:
                    best = (start, start + duration, rate, way)
        if best is None:
            raise Stuck(Infeasible(tensor, f"no links lead from '{source}' to '{target}'"))
        start, end, rate, way = best
        event = self._next_event()
        self.engines.book(start, end, 1)
        for link, lane in way.lanes:
            self._lane(link, lane).book(start, end, rate)
        for memory, port in way.ports:
            self._port(memory, port).book(start, end, rate)
        held = self._hold(target, tensor, box, cells, start, end, event)
        for holder in holders.values():
            holder.last_read = max(holder.last_read, end)
        exact = Fraction(rate, self.scale)
        self.transfers.append(
            Transfer(
                event,
                tensor,
                box,
                (way.route,),
                start,
                end,
                bits,
                exact,
                way.setup_cycles,
                tuple(holder.id for holder in holders.values()),
                (held.id,),
                tuple(PortLoad(memory, port, exact) for memory, port in way.ports),
                tuple(LaneLoad(link, lane, exact) for link, lane in way.lanes),
                self.fabric.transfer_pj(way, slot, bits),
            )
        )

    # -- running ---------------------------------------------------------------------------------------------------

    def _run_task(self, part: Part, inputs: list[_Touch], output: _Touch, ready: int) -> None:
        duration = part.duration
        loads = loads_of(self.fabric, part)
        work = dict(loads.workspace)
        missing = [
            cell for cell in output.cells if output.memory not in self.where.get(output.tensor, {}).get(cell, {})
        ]
        made = self.grids[output.tensor].boxes(missing)
        out_bits = sum(volume(box) * self.bits[output.tensor] for box, _ in made)
        allocate = dict(work)
        allocate[output.memory] = allocate.get(output.memory, 0) + out_bits
        start = max(ready, self.core_free[part.core])
        for memory, bits in allocate.items():
            fits = self.space[memory].earliest(start, bits)
            if fits is None:
                line = self.space[memory]
                raise Stuck(
                    Infeasible(part.core, "no room for a task", line.finally_used + bits, line.capacity, memory)
                )
            start = max(start, fits)
        lines = [(self._lane(link, lane), rate) for link, lane, rate in loads.lanes]
        lines += [(self._port(memory, port), rate) for memory, port, rate in loads.ports]
        start = self._window(start, duration, lines)
        end = start + duration
        event = self._next_event()
        for booked, rate in lines:
            booked.book(start, end, rate)
        for memory, bits in work.items():
            self.space[memory].change(start, bits)
            self.space[memory].change(end, -bits)
        written = [self._hold(output.memory, output.tensor, box, cells, start, end, event) for box, cells in made]
        self.core_free[part.core] = end
        reads = []
        for touch in inputs:
            holders = {id(h): h for h in (self.where[touch.tensor][cell][touch.memory] for cell in touch.cells)}
            for holder in holders.values():
                holder.last_read = max(holder.last_read, end)
            boxes = (touch.box,) if volume(touch.box) else ()
            ids = tuple(holder.id for holder in holders.values())
            reads.append(Use(touch.operand, touch.tensor, touch.memory, boxes, ids, touch.streamed))
        self.tasks.append(
            Task(
                event,
                part.problem.op.name,
                part.ranges,
                part.core,
                start,
                end,
                tuple(reads),
                Use(
                    output.operand,
                    output.tensor,
                    output.memory,
                    (output.box,),
                    tuple(h.id for h in written),
                    output.streamed,
                ),
                tuple(sorted(work.items())),
                tuple(PortLoad(memory, port, Fraction(rate, self.scale)) for memory, port, rate in loads.ports),
                tuple(LaneLoad(link, lane, Fraction(rate, self.scale)) for link, lane, rate in loads.lanes),
                loads.energy_pj,
                loads.mapping,
            )
        )

    # -- what is held ----------------------------------------------------------------------------------------------

    def _hold(
        self, memory: str, tensor: str, box: Box, cells: list[Cell], start: int, valid_from: int, writer: int
    ) -> Held:
        bits = volume(box) * self.bits[tensor]
        held = Held(len(self.held), memory, tensor, box, cells, bits, start, valid_from, writer, valid_from)
        self.held.append(held)
        self.space[memory].change(start, bits)
        places = self.where.setdefault(tensor, {})
        for cell in cells:
            places.setdefault(cell, {})[memory] = held
        return held

    def _close(self, held: Held) -> None:
        held.open = False
        self.space[held.memory].change(held.last_read, -held.bits)
        for cell in held.cells:
            if self.where[held.tensor][cell].get(held.memory) is held:
                del self.where[held.tensor][cell][held.memory]
                self.gone[held.memory, held.tensor, cell] = held.last_read

    def _used(self, touch: _Touch) -> None:
        for cell in touch.cells:
            self.uses_left[touch.tensor, cell] -= 1
            self.uses_here[touch.tensor, cell, touch.memory] -= 1
        for held in {id(h): h for cell in touch.cells for h in self.where[touch.tensor][cell].values()}.values():
            self._drop_if_useless(held)

    def _drop_if_useless(self, held: Held) -> None:
        """Let go of a copy that nothing will read here, if it is not the last one of something still wanted."""
        if not held.open or (held.memory == self.chip.outermost and (held.writer < 0 or held.tensor in self.keep)):
            return
        for cell in held.cells:
            if self.uses_here.get((held.tensor, cell, held.memory), 0) > 0:
                return
            alone = len(self.where[held.tensor][cell]) == 1
            wanted = self.uses_left.get((held.tensor, cell), 0) > 0 or held.tensor in self.keep
            if alone and wanted:
                return
        self._close(held)

    def _after_write(self, output: _Touch) -> None:
        """The network's outputs go out at once; what nothing reads is let go."""
        places = self.where[output.tensor]
        if output.tensor in self.keep and output.memory != self.chip.outermost:
            for box, cells in self.grids[output.tensor].boxes(list(output.cells)):
                self._move(output.tensor, box, cells, output.memory, self.chip.outermost, "O")
        for held in {id(h): h for cell in output.cells for h in list(places[cell].values())}.values():
            self._drop_if_useless(held)

    # -- books -----------------------------------------------------------------------------------------------------

    def _next_event(self) -> int:
        self.event += 1
        return self.event - 1

    def _lane(self, link: str, lane: str) -> RateLine:
        if lane not in self.lanes:
            self.lanes[lane] = RateLine(self.fabric.lane_rate[link], self.fabric.link[link].exclusive)
        return self.lanes[lane]

    def _port(self, memory: str, port: str) -> RateLine:
        key = (memory, port)
        if key not in self.ports:
            self.ports[key] = RateLine(self.fabric.port_rate[key])
        return self.ports[key]

    def _window(self, start: int, duration: int, lines: list[tuple[RateLine, int]]) -> int:
        """The first time from which every line has its rate free for the whole duration."""
        while True:
            latest = start
            for line, amount in lines:
                latest = max(latest, line.earliest(latest, duration, amount))
            if latest == start:
                return start
            start = latest

    def schedule(self) -> Schedule:
        """What was placed, at the engine's own times."""
        end = max([t.end for t in self.tasks] + [t.end for t in self.transfers], default=0)
        residencies = []
        for held in self.held:
            stays = held.memory == self.chip.outermost and (held.writer < 0 or held.tensor in self.keep)
            residencies.append(
                Residency(
                    held.id,
                    held.memory,
                    held.tensor,
                    held.box,
                    held.bits,
                    held.start,
                    held.valid_from,
                    end if stays else held.last_read,
                    held.writer,
                )
            )
        return Schedule(
            self.workload.name, self.chip.name, tuple(self.tasks), tuple(self.transfers), tuple(residencies)
        )
