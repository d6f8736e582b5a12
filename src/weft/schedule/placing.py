"""Places a plan by the engine in Python (until the one on arrays is here)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from weft.model.chip import Chip
from weft.model.schedule import Infeasible, Schedule
from weft.model.workload import Workload
from weft.schedule.engine import Engine, Stuck
from weft.schedule.fabric import Fabric
from weft.schedule.options import Option, Part
from weft.schedule.plan import Plan
from weft.schedule.timing import retime, settle


class _Ordered(Engine):
    def __init__(self, workload: Workload, fabric: Fabric, options: list[Option], order: list[tuple[int, int]]) -> None:
        super().__init__(workload, fabric, options)
        self.order = order

    def run(self) -> None:
        self.next_use = {}
        for position, (op, tile) in enumerate(self.order):
            for touch in self.touches[op][tile]:
                if touch.slot != "O":
                    self.next_use.setdefault((touch.tensor, touch.memory), []).append(position)
        parts = [self.options[op].parts[tile] for op, tile in self.order]
        self.options = [self.options[op] for op, _ in self.order]
        for position, (op, tile) in enumerate(self.order):
            self._place(position, parts[position], self.touches[op][tile])


@dataclass(frozen=True)
class Placed:
    """A schedule with its figures."""

    made: Schedule
    chip: Chip

    @property
    def latency_cycles(self) -> int:
        return self.made.latency_cycles

    @cached_property
    def energy_pj(self) -> float:
        return total_energy_pj(self.made, self.chip)

    @cached_property
    def peaks(self) -> tuple[tuple[str, int], ...]:
        return peak_bits(self.made)

    @property
    def transfers(self) -> int:
        return len(self.made.transfers)

    @property
    def offchip_bits(self) -> int:
        return sum(move.bits for move in self.made.transfers if self.chip.outermost in (move.source, *move.targets))

    def retimed(self) -> Placed:
        return replace(self, made=retime(self.made, self.chip))

    def settled(self) -> Placed:
        return replace(self, made=settle(self.made, self.chip))

    def schedule(self) -> Schedule:
        return self.made


def place(workload: Workload, fabric: Fabric, plan: Plan) -> Placed | Infeasible:
    """The schedule that a plan leads to, or why a tile cannot be placed."""
    options = []
    for cut in plan.cuts:
        parts = []
        for tile, number in enumerate(cut.recipes.tolist()):
            it = plan.recipes[number]
            parts.append(Part(it.core, cut.ranges(tile), it.problem, it.mapped, it.homes, it.routes, it.duration))
        options.append(Option(cut.op.name, "", tuple(parts)))
    engine = _Ordered(workload, fabric, options, [plan.at(number) for number in plan.order.tolist()])
    try:
        engine.run()
    except Stuck as stuck:
        return stuck.reason
    return Placed(engine.schedule(), fabric.chip)


def total_energy_pj(schedule: Schedule, chip: Chip) -> float:
    """Energy of all tasks and transfers, and static power until the end [pJ]."""
    events = sum(task.energy_pj for task in schedule.tasks) + sum(move.energy_pj for move in schedule.transfers)
    return events + chip.static_pj_per_cycle * schedule.latency_cycles


def peak_bits(schedule: Schedule) -> tuple[tuple[str, int], ...]:
    """Most bits reserved in each memory at one instant, workspaces included."""
    changes: dict[str, list[tuple[int, int]]] = {}
    for held in schedule.residencies:
        changes.setdefault(held.memory, []).extend([(held.start, held.bits), (held.end, -held.bits)])
    for task in schedule.tasks:
        for memory, bits in task.workspace:
            changes.setdefault(memory, []).extend([(task.start, bits), (task.end, -bits)])
    peaks: list[tuple[str, int]] = []
    for memory, events in sorted(changes.items()):
        used = peak = 0
        for _, bits in sorted(events):
            used += bits
            peak = max(peak, used)
        peaks.append((memory, peak))
    return tuple(peaks)
