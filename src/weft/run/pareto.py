"""The front of a network's schedules: latency against energy against memory (`weft run --objective pareto`)."""

from __future__ import annotations

import time
from collections.abc import Mapping as Map
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from weft.execute.outcome import not_run
from weft.mapper.kept import results
from weft.model.chip import Chip
from weft.model.schedule import Infeasible
from weft.read import model_name
from weft.read.chip import read_chip
from weft.read.fusion import read_fusion
from weft.run.proof import executed, prove
from weft.run.result import InfeasibleResult, Json, RunResult
from weft.run.run import FUSE, checked, prepared, proved
from weft.schedule import front
from weft.schedule.search import trade
from weft.schedule.solve import BUDGET, Progress


@dataclass(frozen=True, slots=True)
class ParetoResult:
    """Proved schedules, fastest first; of those found, none is beaten in latency, energy and memory on chip.

    Args:    cpu_seconds: of all points together.
    """

    points: tuple[RunResult, ...]
    cpu_seconds: dict[str, float]

    @property
    def ok(self) -> bool:
        """Whether every point is proved."""
        return all(point.proof.ok for point in self.points)

    def to_json(self) -> Json:
        first = self.points[0]
        bounds = first.solution.bounds
        return {
            "status": "done",
            "model": first.model,
            "chip": first.chip.name,
            "objective": "pareto",
            "assumed_precision": first.assumed_precision,
            "bounds": {"latency_cycles": bounds.latency_cycles, "energy_pj": bounds.energy_pj},
            "front": [self._point(point) for point in self.points],
            "seed": first.seed,
            "notes": [{"subject": note.subject, "text": note.text} for note in first.workload.notes],
            "cpu_seconds": self.cpu_seconds,
        }

    def _point(self, point: RunResult) -> Json:
        whole = point.to_json()
        return {
            "latency_cycles": point.latency_cycles,
            "energy_pj": point.energy_pj,
            "edp_pj_cycles": whole["edp_pj_cycles"],
            "peak_bits": on_chip_bits(point),
            "peak_memory_bits": whole["peak_memory_bits"],
            "fusion_groups": whole["fusion_groups"],
            "found_for": point.objective,
            "tiles": whole["tiles"],
            "transfers": whole["transfers"],
            "gap": whole["gap"],
            "proof": whole["proof"],
        }


def on_chip_bits(point: RunResult) -> int:
    """The peaks of all memories on chip together."""
    return trade(point.solution, point.chip)[2]


def run_front(
    model: str | Any,
    chip: str | Chip,
    *,
    fuse: str = "auto",
    spatial: str = "fixed",
    dims: Map[str, int] | None = None,
    precision: str = "chip",
    seed: int = 0,
    budget: int = BUDGET,
    progress: Progress | None = None,
    cache: bool = True,
    numerics: str = "auto",
) -> ParetoResult | InfeasibleResult:
    """Schedules of a network on a chip that trade latency, energy and memory, each with proof.

    Args:    budget: whole schedules tried for each objective.
             numerics: "on" executes every point; "auto" and "off" none.   The rest as in `run`.
    """
    flow = checked(fuse, spatial, budget, 1, numerics)
    clock = time.process_time()
    silicon = chip if isinstance(chip, Chip) else read_chip(chip)
    name = model_name(model)
    workload, assumed = prepared(model, silicon, dims, precision)
    fusion = None if fuse in FUSE else read_fusion(Path(fuse), workload, silicon)
    spent = {"read": time.process_time() - clock}
    clock = time.process_time()
    store = results() if cache else None
    found = front(workload, silicon, flow, budget, seed, progress, store, fuse != "off", fusion)
    spent["schedule"] = time.process_time() - clock
    if isinstance(found, Infeasible):
        return InfeasibleResult(name, silicon.name, "pareto", found, spent)
    clock = time.process_time()
    points = []
    for number, (goal, solution) in enumerate(found):
        if progress:
            progress("proving", number, len(found))
        proof = prove(workload, silicon, solution)
        if numerics == "on":
            done = executed(model, dims, workload, silicon, solution, numerics, seed, progress)
        else:
            done = not_run("points of a front are executed with --numerics on")
        proof = replace(proof, numerics=done)
        points.append(proved(name, goal, spatial, seed, budget, workload, silicon, solution, proof, assumed, {}))
    spent["proof"] = time.process_time() - clock
    return ParetoResult(tuple(points), spent)
