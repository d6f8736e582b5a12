"""Prices mappings that the user gives, by weft's conventions or by ZigZag's."""

from __future__ import annotations

import time
from collections.abc import Mapping as Map
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from weft.cost.legal import broken
from weft.cost.price import price
from weft.cost.zigzag import ZigzagPrice, weft_of, zigzag_of, zigzag_price
from weft.cost.zigzag.convert import Inexpressible
from weft.errors import MappingError, OptionError, suggestion
from weft.mapper import Mapped
from weft.model.chip import Chip, Core
from weft.model.mapping import Mapping, Problem
from weft.model.workload import Note, Op, Workload
from weft.model.zigzag import NamedMapping, ZigzagMapping
from weft.read import model_name
from weft.read.chip import read_chip
from weft.read.mappings import read_mappings
from weft.run.result import Json, MappedOp
from weft.run.run import prepared, streaming_problem
from weft.schedule.shared import Mapper

Conventions = Literal["weft", "zigzag"]
CONVENTIONS: tuple[Conventions, ...] = ("weft", "zigzag")
_SEARCHED = ("optimal", "bound", "space", "space_text", "evaluated")
"""What only a search can say of a mapping."""


@dataclass(frozen=True, slots=True)
class PricedOp:
    """One op with a given mapping, priced.

    Args:
        row: it in the JSON of `weft map`; what the conventions do not have, or only a search could say, is None.
    """

    op: Op
    core: str
    energy_pj: float
    latency_cycles: float
    row: Json


@dataclass(frozen=True, slots=True)
class EvaluateResult:
    """Given mappings, priced op by op; totals are one op after another."""

    model: str
    chip: str
    conventions: Conventions
    assumed_precision: str | None
    ops: tuple[PricedOp, ...]
    not_evaluated: tuple[str, ...]
    notes: tuple[Note, ...]
    cpu_seconds: float

    @property
    def energy_pj(self) -> float:
        return sum(item.energy_pj for item in self.ops)

    @property
    def latency_cycles(self) -> float:
        return sum(item.latency_cycles for item in self.ops)

    def to_json(self) -> Json:
        return {
            "status": "done",
            "model": self.model,
            "chip": self.chip,
            "objective": None,
            "conventions": self.conventions,
            "assumed_precision": self.assumed_precision,
            "cpu_seconds": self.cpu_seconds,
            "unique_ops": None,
            "totals": {"energy_pj": self.energy_pj, "latency_cycles": self.latency_cycles},
            "not_evaluated": list(self.not_evaluated),
            "notes": [{"subject": note.subject, "text": note.text} for note in self.notes],
            "ops": [item.row for item in self.ops],
        }


def evaluate(
    model: str | Any,
    chip: str | Chip,
    mapping_file: str | Path,
    conventions: str = "weft",
    *,
    dims: Map[str, int] | None = None,
    precision: str = "chip",
) -> EvaluateResult:
    """The price of every mapping in a file, its op alone with all operands streamed from the outermost memory.

    Args:    mapping_file: as `weft.read.mappings` reads it; ops are matched by exact name.
             conventions: "weft" (docs/cost.md) or "zigzag".   The rest as in `run`.
    Returns: priced ops in the network's order; ops without a mapping are named in `not_evaluated`.
    Errors:  MappingError for a mapping of no op, or one that its op or core does not allow.
    """
    if conventions not in CONVENTIONS:
        raise OptionError(f"--conventions must be one of {', '.join(CONVENTIONS)}, not '{conventions}'")
    way: Conventions = conventions
    started = time.process_time()
    silicon = chip if isinstance(chip, Chip) else read_chip(chip)
    given = read_mappings(mapping_file)
    name = model_name(model)
    workload, assumed = prepared(model, silicon, dims, precision)
    by_name = {named.op: named for named in given}
    for named in given:
        _check_name(named, workload, name)
    problems = Mapper(workload, silicon, "edp", "fixed")
    rows = tuple(_priced(op, by_name[op.name], problems, silicon, way) for op in workload.ops if op.name in by_name)
    return EvaluateResult(
        name,
        silicon.name,
        way,
        assumed,
        rows,
        tuple(op.name for op in workload.ops if op.name not in by_name),
        workload.notes,
        time.process_time() - started,
    )


def _check_name(named: NamedMapping, workload: Workload, model: str) -> None:
    """The mapping is for an op of the network, of the sizes it states."""
    for op in workload.ops:
        if named.op == op.name:
            wrong = [
                f"{dim}{op.size[dim]}, not {dim}{size}"
                for dim, size in named.dims
                if named.form == "weft" and op.size.get(dim, size) != size
            ]
            if wrong:
                raise MappingError(f"a mapping of '{op.name}' must be for {wrong[0]}", where=named.where)
            return
        if named.op in op.folded:
            raise MappingError(
                f"a mapping must be for an op that runs on its own, and '{named.op}' is folded into '{op.name}'",
                where=named.where,
                remedy="remove it",
            )
    raise MappingError(
        f"a mapping must be for an op of '{model}', not '{named.op}'",
        where=named.where,
        remedy=suggestion(named.op, [op.name for op in workload.ops]),
    )


def _priced(op: Op, named: NamedMapping, problems: Mapper, chip: Chip, conventions: Conventions) -> PricedOp:
    """The op on the core that the file names, or else on the first one that the mapping fits."""
    able = chip.cores_for(op.kind)
    cores = [core for core in able if named.core in (None, core.name)]
    if not cores:
        what = f"core '{named.core}'" if named.core else "any core"
        raise MappingError(
            f"a mapping of '{op.name}' must be for a core of '{chip.name}' that takes a {op.kind}, not {what}",
            where=named.where,
            remedy="such cores: " + (", ".join(core.name for core in able) or "none"),
        )
    first: MappingError | None = None
    for core in cores:
        problem = streaming_problem(problems, op, core, chip)
        try:
            if conventions == "zigzag":
                return _by_zigzag(problem, named.mapping)
            return _by_weft(problem, named.mapping)
        except MappingError as error:
            first = first or MappingError(error.message, where=named.where, remedy=error.remedy)
    assert first is not None
    raise first


def _by_weft(problem: Problem, given: Mapping | ZigzagMapping) -> PricedOp:
    op, core = problem.op, problem.core
    mapping = weft_of(given, problem) if isinstance(given, ZigzagMapping) else given
    if isinstance(mapping, Inexpressible):
        raise MappingError(
            f"a mapping of '{op.name}' must have a counterpart in weft's form: {mapping}",
            remedy="price it with --conventions zigzag",
        )
    wrong = broken(problem, mapping)
    if wrong:
        raise MappingError(f"a mapping of '{op.name}' on '{core.name}' must keep the rules: {wrong[0]}")
    priced = price(problem, mapping)
    row = MappedOp(op, problem, Mapped(mapping, priced, "edp", False, 0.0, "", 0, 0)).to_json()
    row |= dict.fromkeys(_SEARCHED)
    return PricedOp(op, core.name, priced.energy_pj, priced.latency_cycles, row)


def _by_zigzag(problem: Problem, given: Mapping | ZigzagMapping) -> PricedOp:
    op, core = problem.op, problem.core
    mapping = zigzag_of(given, problem) if isinstance(given, Mapping) else given
    if isinstance(mapping, Inexpressible):
        raise MappingError(
            f"a mapping of '{op.name}' must have a counterpart in ZigZag's form: {mapping}",
            remedy="price it with --conventions weft",
        )
    priced = zigzag_price(op, problem.widths, core, problem.chip, mapping)
    return PricedOp(op, core.name, priced.energy_pj, priced.latency_cycles, _zigzag_row(op, core, mapping, priced))


def _zigzag_row(op: Op, core: Core, mapping: ZigzagMapping, priced: ZigzagPrice) -> Json:
    stalls = {
        "stall": priced.stall_cycles,
        "onload": priced.onload_cycles,
        "offload": priced.offload_cycles,
    }
    used = op.iterations / core.units
    return {
        "name": op.name,
        "kind": op.kind,
        "core": core.name,
        "dims": op.size,
        "macs": op.macs,
        "energy_pj": priced.energy_pj,
        "latency_cycles": priced.latency_cycles,
        "mapping": str(mapping),
        **dict.fromkeys(_SEARCHED),
        "utilisation_spatial": used / priced.ideal_temporal_cycles,
        "utilisation": used / priced.latency_cycles,
        "stall_cycles": {cause: count for cause, count in stalls.items() if count},
        "energy_by": [{"component": core.name, "operand": None, "pj": priced.mac_pj}]
        + [{"component": share.memory, "operand": share.slot, "pj": share.pj} for share in priced.shares],
        "port_busy_cycles": dict(priced.busy),
        "below_roofline": list(priced.below_roofline),
    }
