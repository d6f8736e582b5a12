"""The energy-latency front of one op: `weft map --objective pareto`."""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import dataclass
from typing import Any

from weft.errors import OptionError
from weft.mapper.front import MOST_POINTS, front
from weft.model.chip import Chip
from weft.model.schedule import Infeasible
from weft.read import model_name
from weft.read.chip import read_chip
from weft.run.result import InfeasibleResult, Json, MappedOp
from weft.run.run import best_core, chosen_ops, flow_of, no_core, prepared
from weft.schedule.shared import Mapper


@dataclass(frozen=True, slots=True)
class FrontResult:
    """Mappings of one op on one core, fastest first; none is beaten in both energy and latency.

    Args: whole: there are no others.
    """

    model: str
    chip: str
    assumed_precision: str | None
    points: tuple[MappedOp, ...]
    whole: bool

    def to_json(self) -> Json:
        first = self.points[0]
        return {
            "status": "done",
            "model": self.model,
            "chip": self.chip,
            "objective": "pareto",
            "assumed_precision": self.assumed_precision,
            "op": first.op.name,
            "core": first.problem.core.name,
            "whole": self.whole,
            "points": [point.to_json() for point in self.points],
        }


def front_of(
    model: str | Any,
    chip: str | Chip,
    op: str | None,
    *,
    core: str | None = None,
    spatial: str = "fixed",
    dims: Map[str, int] | None = None,
    precision: str = "chip",
    most: int = MOST_POINTS,
) -> FrontResult | InfeasibleResult:
    """The front of one op, alone with all operands streamed, on `core` or on the core of its best EDP.

    Args:    op: its exact name.   most: points at the most.   The rest as in `run`.
    Errors:  OptionError where no op is named; else as `map_model`.
    """
    flow = flow_of(spatial)
    silicon = chip if isinstance(chip, Chip) else read_chip(chip)
    name = model_name(model)
    workload, assumed = prepared(model, silicon, dims, precision)
    if op is None:
        raise OptionError("--objective pareto must be asked of one op", remedy="name it with --op")
    (item,) = chosen_ops(workload, silicon, name, op, core)
    best = best_core(Mapper(workload, silicon, "edp", flow), item, silicon, core, "edp")
    if best is None:
        return InfeasibleResult(name, silicon.name, "pareto", no_core(item, silicon, core))
    if isinstance(best, Infeasible):
        return InfeasibleResult(name, silicon.name, "pareto", best)
    found = front(best.problem, flow, most)
    assert not isinstance(found, Infeasible), "what was mapped for EDP can be mapped for energy"
    points = tuple(MappedOp(item, best.problem, mapped) for mapped in found.points)
    return FrontResult(name, silicon.name, assumed, points, found.whole)
