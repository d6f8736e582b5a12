"""What `weft run` and `weft map` give back, and their JSON (a contract: scripts depend on it)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from weft.cost.result import Price
from weft.cost.units import passes
from weft.execute.addresses import Fragmentation, fragmentation
from weft.execute.outcome import Numerics, not_run
from weft.mapper import Mapped
from weft.model.chip import Chip
from weft.model.mapping import Problem
from weft.model.schedule import Infeasible, Schedule, Task, Violation
from weft.model.workload import Note, Op, Workload
from weft.schedule import Solution

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Proof:
    """What was checked of a schedule.

    Args:
        checked, violations: facts that the rules looked at, and those that do not hold.
        replay_ok, replay_differences: whether the replay reached the same times.
        numerics: what executing the tiles came to.
    """

    checked: int
    violations: tuple[Violation, ...]
    replay_ok: bool
    replay_differences: tuple[str, ...]
    numerics: Numerics = field(default_factory=lambda: not_run("nothing was executed"))

    @property
    def ok(self) -> bool:
        return not self.violations and self.replay_ok and self.numerics.status != "failed"


@dataclass(frozen=True, slots=True)
class RunResult:
    """A proved schedule of a network on a chip."""

    model: str
    objective: str
    spatial: str
    seed: int
    budget: int
    workload: Workload
    chip: Chip
    solution: Solution
    proof: Proof
    assumed_precision: str | None
    cpu_seconds: dict[str, float]
    notes: tuple[Note, ...] = ()

    @property
    def schedule(self) -> Schedule:
        return self.solution.schedule

    @property
    def latency_cycles(self) -> int:
        return self.schedule.latency_cycles

    @property
    def latency_s(self) -> float:
        return self.latency_cycles / self.chip.base_clock_hz

    @property
    def energy_pj(self) -> float:
        return self.solution.energy_pj

    @property
    def gap_latency(self) -> float:
        """Latency over its bound, minus 1."""
        return self.latency_cycles / max(1, self.solution.bounds.latency_cycles) - 1

    @property
    def gap_energy(self) -> float:
        return self.energy_pj / self.solution.bounds.energy_pj - 1 if self.solution.bounds.energy_pj else 0.0

    @property
    def peak_macs_per_cycle(self) -> float:
        """MACs per base cycle of all cores that take convolutions or matrix products."""
        return sum(
            core.units * core.clock_hz / self.chip.base_clock_hz
            for core in self.chip.cores
            if core.ops & {"conv", "gemm", "matmul"}
        )

    @property
    def utilisation(self) -> float:
        """MACs done over MACs that all such cores could have done until the end."""
        return self.workload.macs / (self.peak_macs_per_cycle * max(1, self.latency_cycles))

    @property
    def tops(self) -> float:
        """Tera-operations per second; a MAC is two."""
        return 2 * self.workload.macs / self.latency_s / 1e12 if self.latency_cycles else 0.0

    @property
    def tops_per_watt(self) -> float:
        return 2 * self.workload.macs / self.energy_pj if self.energy_pj else 0.0

    def fragmentation(self) -> tuple[Fragmentation, ...]:
        """What an allocator that moves nothing would need, for each memory that holds something."""
        return fragmentation(self.schedule, self.chip)

    def op_rows(self) -> list[Json]:
        """One row per op: where and when it ran, and what it cost."""
        rows: list[Json] = []
        placements = self.solution.design.placements
        by_op: dict[str, list[Task]] = {}
        for task in self.schedule.tasks:
            by_op.setdefault(task.op, []).append(task)
        for number, op in enumerate(self.workload.ops):
            recipes = self.solution.plan.recipes_of(number)
            tasks = by_op[op.name]
            start, end = min(task.start for task in tasks), max(task.end for task in tasks)
            cores = sorted({task.core for task in tasks})
            busy = sum(task.end - task.start for task in tasks)
            units = sum(
                self.chip.core(task.core).units
                * (task.end - task.start)
                * self.chip.core(task.core).clock_hz
                / self.chip.base_clock_hz
                for task in tasks
            )
            rows.append(
                {
                    "name": op.name,
                    "kind": op.kind,
                    "onnx": op.onnx,
                    "dims": op.size,
                    "bits": dict(recipes[0].problem.widths),
                    "macs": op.macs,
                    "option": str(placements[number % len(placements)]),
                    "cores": cores,
                    "tiles": len(tasks),
                    "start_cycle": start,
                    "end_cycle": end,
                    "busy_cycles": busy,
                    "energy_pj": sum(task.energy_pj for task in tasks),
                    "utilisation": op.iterations * passes(recipes[0].problem) / units if units else 0.0,
                    "folded": list(op.folded),
                    "streamed": sorted({name for recipe in recipes for name, _, away in recipe.homes if away}),
                    "mapping": str(recipes[0].mapped.mapping),
                    "optimal": all(recipe.mapped.optimal for recipe in recipes),
                }
            )
        return rows

    def core_rows(self) -> list[Json]:
        rows: list[Json] = []
        for core in self.chip.cores:
            tasks = [task for task in self.schedule.tasks if task.core == core.name]
            busy = sum(task.end - task.start for task in tasks)
            rows.append(
                {
                    "name": core.name,
                    "tasks": len(tasks),
                    "busy_cycles": busy,
                    "busy_share": busy / max(1, self.latency_cycles),
                    "energy_pj": sum(task.energy_pj for task in tasks),
                }
            )
        return rows

    def link_rows(self) -> list[Json]:
        rows: list[Json] = []
        for link in self.chip.links:
            moves = [move for move in self.schedule.transfers if any(link.name in route.links for route in move.routes)]
            streams = [task for task in self.schedule.tasks if any(lane.link == link.name for lane in task.lanes)]
            rows.append(
                {
                    "name": link.name,
                    "transfers": len(moves),
                    "bits": sum(move.bits for move in moves),
                    "busy_cycles": _covered((move.start, move.end) for move in moves),
                    "streaming_cycles": _covered((task.start, task.end) for task in streams),
                }
            )
        return rows

    def _stream(self) -> Json:
        """What there is of several frames."""
        stream = self.solution.stream
        if stream is None:
            return {}
        return {
            "initiation_interval_cycles": stream.interval_cycles,
            "frames": {
                "count": stream.frames,
                "order": str(stream.order),
                "half_latency_cycles": stream.half[2].latency_cycles,
                "latency_cycles": list(stream.latencies),
                "interval_bound_cycles": stream.bound.cycles,
                "interval_bound_cause": stream.bound.cause,
                "interval_gap": stream.gap,
                "steady": stream.steady,
            },
        }

    def to_json(self) -> Json:
        bounds = self.solution.bounds
        return {
            "status": "done",
            "model": self.model,
            "chip": self.chip.name,
            "objective": self.objective,
            "assumed_precision": self.assumed_precision,
            "latency_cycles": self.latency_cycles,
            "latency_s": self.latency_s,
            "energy_pj": self.energy_pj,
            "edp_pj_cycles": self.energy_pj * self.latency_cycles,
            **self._stream(),
            "macs": self.workload.macs,
            "utilisation": self.utilisation,
            "tops": self.tops,
            "tops_per_watt": self.tops_per_watt,
            "peak_memory_bits": dict(self.solution.peaks),
            "first_fit_bits": {found.memory: found.reach_bits for found in self.fragmentation()},
            "bounds": {
                "latency_cycles": bounds.latency_cycles,
                "energy_pj": bounds.energy_pj,
                "compute_cycles": bounds.compute_cycles,
                "offchip_cycles": bounds.offchip_cycles,
                "link_cycles": bounds.link_cycles,
                "critical_path_cycles": bounds.critical_path_cycles,
            },
            "gap": {"latency": self.gap_latency, "energy": self.gap_energy},
            "tiles": len(self.schedule.tasks),
            "transfers": len(self.schedule.transfers),
            "fusion_groups": [list(group) for group in self.solution.plan.groups],
            "cores": self.core_rows(),
            "links": self.link_rows(),
            "ops": self.op_rows(),
            "proof": {
                "rules": {
                    "checked": self.proof.checked,
                    "violations": len(self.proof.violations),
                    "violation_list": [str(item) for item in self.proof.violations[:100]],
                },
                "replay": {"ok": self.proof.replay_ok, "differences": list(self.proof.replay_differences)},
                "numerics": {
                    "status": self.proof.numerics.status,
                    "max_abs_error": self.proof.numerics.max_abs_error,
                    "reason": self.proof.numerics.reason,
                },
            },
            "search": {
                "schedules": self.solution.tried,
                "mappings": self.solution.searched,
                "options_without_mapping": [str(reason) for reason in self.solution.not_mapped],
                "seed": self.seed,
            },
            "notes": [{"subject": note.subject, "text": note.text} for note in self.notes],
            "cpu_seconds": self.cpu_seconds,
        }


def _covered(intervals: Iterable[tuple[int, int]]) -> int:
    """Cycles that lie in any of the intervals."""
    total = reached = 0
    for start, end in sorted(intervals):
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total


@dataclass(frozen=True, slots=True)
class InfeasibleResult:
    """No schedule or mapping: the reason as data."""

    model: str
    chip: str
    objective: str
    reason: Infeasible
    cpu_seconds: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> Json:
        return {
            "status": "infeasible",
            "model": self.model,
            "chip": self.chip,
            "objective": self.objective,
            "reason": {
                "subject": self.reason.subject,
                "text": self.reason.reason,
                "memory": self.reason.memory,
                "needs_bits": self.reason.needs_bits,
                "has_bits": self.reason.has_bits,
                "remedy": self.reason.remedy,
            },
            "cpu_seconds": self.cpu_seconds,
        }


@dataclass(frozen=True, slots=True)
class MappedOp:
    """One op of `weft map` or `weft evaluate`: its mapping and what it costs alone, all operands streamed."""

    op: Op
    problem: Problem
    mapped: Mapped

    @property
    def price(self) -> Price:
        return self.mapped.price

    def to_json(self) -> Json:
        price, core, op = self.price, self.problem.core, self.op
        utilised = op.iterations * passes(self.problem) / core.units
        steady = price.compute_cycles + price.exposed_cycles + price.skew_cycles
        stalls = {
            "launch": price.launch_cycles,
            "fill": price.fill_cycles,
            "exposed": price.exposed_cycles,
            "skew": price.skew_cycles,
            "drain": price.drain_cycles,
        }
        if price.steady_cycles > steady:
            busiest = max(price.busy, key=lambda item: (item[1], item[0]))[0]
            stalls[f"port {busiest}"] = price.steady_cycles - steady
        parts: list[Json] = [{"component": core.name, "operand": None, "pj": price.op_pj}]
        if price.active_pj:
            parts.append({"component": "active and static power", "operand": None, "pj": price.active_pj})
        by: dict[tuple[str, str], float] = {}
        for flow in price.flows:
            by[flow.memory, flow.operand] = by.get((flow.memory, flow.operand), 0.0) + flow.pj
        parts += [{"component": memory, "operand": operand, "pj": pj} for (memory, operand), pj in by.items()]
        return {
            "name": op.name,
            "kind": op.kind,
            "core": core.name,
            "dims": op.size,
            "bits": dict(self.problem.widths),
            "macs": op.macs,
            "energy_pj": price.energy_pj,
            "latency_cycles": price.latency_cycles,
            "mapping": str(self.mapped.mapping),
            "optimal": self.mapped.optimal,
            "bound": self.mapped.bound,
            "space": self.mapped.space_size,
            "space_text": self.mapped.space,
            "evaluated": self.mapped.evaluated,
            "utilisation_spatial": utilised / price.compute_cycles,
            "utilisation": utilised / price.latency_cycles,
            "stall_cycles": {cause: cycles for cause, cycles in stalls.items() if cycles},
            "energy_by": parts,
            "port_busy_cycles": dict(price.busy),
        }


@dataclass(frozen=True, slots=True)
class MapResult:
    """Every op of a network on its best single core, one after another."""

    model: str
    chip: str
    objective: str
    assumed_precision: str | None
    ops: tuple[MappedOp, ...]
    unique_ops: int
    cpu_seconds: float
    not_evaluated: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def energy_pj(self) -> float:
        return sum(item.price.energy_pj for item in self.ops)

    @property
    def latency_cycles(self) -> int:
        """One op after another, in the chip's base cycles."""
        return sum(
            math.ceil(item.price.latency_cycles * item.problem.chip.base_clock_hz / item.problem.core.clock_hz)
            for item in self.ops
        )

    def to_json(self) -> Json:
        return {
            "status": "done",
            "model": self.model,
            "chip": self.chip,
            "objective": self.objective,
            "assumed_precision": self.assumed_precision,
            "cpu_seconds": self.cpu_seconds,
            "unique_ops": self.unique_ops,
            "totals": {"energy_pj": self.energy_pj, "latency_cycles": self.latency_cycles},
            "not_evaluated": list(self.not_evaluated),
            "notes": [{"subject": note.subject, "text": note.text} for note in self.notes],
            "ops": [item.to_json() for item in self.ops],
        }
