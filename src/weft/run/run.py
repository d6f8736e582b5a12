"""The main jobs, end to end: read, schedule, prove, price. `weft.run(...)` and the CLI call the same functions."""

from __future__ import annotations

import time
from collections.abc import Iterable
from collections.abc import Mapping as Map
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from weft.cost.units import passes
from weft.errors import ModelError, OptionError, did_you_mean, suggestion
from weft.mapper import Objective
from weft.mapper.kept import results
from weft.mapper.solve import value
from weft.model.chip import Chip, Core
from weft.model.mapping import Problem
from weft.model.schedule import Infeasible
from weft.model.workload import Note, Op, Workload
from weft.read import load, model_name
from weft.read.chip import read_chip
from weft.read.fold import fold
from weft.read.fusion import read_fusion
from weft.read.precision import assume_precision
from weft.read.widths import read_widths, set_widths
from weft.run.proof import executed, prove
from weft.run.result import InfeasibleResult, MappedOp, MapResult, Proof, RunResult
from weft.schedule import GOALS, Goal, Solution, solve
from weft.schedule.settings import setting_for
from weft.schedule.shared import Mapper
from weft.schedule.solve import BUDGET, Progress

Spatial = Literal["fixed", "free"]
FUSE = ("auto", "off")
"""What `fuse` may be beside a file."""
PRECISIONS = ("chip", "model")
"""What `precision` may be beside a file."""


def run(
    model: str | Any,
    chip: str | Chip,
    objective: str = "edp",
    *,
    fuse: str = "auto",
    frames: int = 1,
    spatial: str = "fixed",
    dims: Map[str, int] | None = None,
    precision: str = "chip",
    seed: int = 0,
    budget: int = BUDGET,
    progress: Progress | None = None,
    cache: bool = True,
    numerics: str = "auto",
) -> RunResult | InfeasibleResult:
    """A network scheduled on a chip, with proof.

    Args:    model: zoo name, `.onnx` or `.pt2` file, or a `torch.export.ExportedProgram`.
             chip: library name, YAML file, or a `Chip`.
             objective: latency, energy, edp or memory.
             fuse: "auto" (ops run together, step by step, where that is better), "off", or a file of groups and
                   placements (docs/fuse_format.md); what it leaves open is searched.
             frames: inputs in a row: one schedule of that many copies of the network, which share its weights.
             spatial: "fixed" (the arrays' declared dataflow) or "free".   dims: sizes of symbolic dimensions.
             precision: "chip" (its default where the model is float), "model", or a file of widths (docs/precision.md).
             seed, budget: of the search.   cache: take mappings that earlier runs found; the result is the same.
             numerics: execute the schedule against ONNX Runtime: "on", "off", "auto" (in at most some 20 s).
    Returns: a result whose proof was run, or why there is none.
    Errors:  UserError for what the user can put right.
    """
    goal = _objective(objective)
    flow = checked(fuse, spatial, budget, frames, numerics)
    clock = time.process_time()
    silicon = chip if isinstance(chip, Chip) else read_chip(chip)
    name = model_name(model)
    workload, assumed = prepared(model, silicon, dims, precision)
    fusion = None if fuse in FUSE else read_fusion(Path(fuse), workload, silicon)
    spent = {"read": time.process_time() - clock}
    clock = time.process_time()
    store = results() if cache else None
    solution = solve(workload, silicon, goal, flow, budget, seed, progress, store, fuse != "off", fusion, frames)
    spent["schedule"] = time.process_time() - clock
    if isinstance(solution, Infeasible):
        return InfeasibleResult(name, silicon.name, objective, solution, spent)
    if solution.stream is not None:
        workload = solution.stream.whole
    spent["map"] = solution.map_seconds
    spent["schedule"] -= solution.map_seconds
    clock = time.process_time()
    if progress:
        progress("proving", 0, 1)
    proof = replace(
        prove(workload, silicon, solution),
        numerics=executed(model, dims, workload, silicon, solution, numerics, seed, progress),
    )
    spent["proof"] = time.process_time() - clock
    return proved(name, objective, spatial, seed, budget, workload, silicon, solution, proof, assumed, spent)


def checked(fuse: str, spatial: str, budget: int, frames: int, numerics: str) -> Spatial:
    """The options of `run` that can be told wrong before anything is read; returns the choice of dataflow."""
    if fuse not in FUSE and not Path(fuse).is_file():
        remedy = did_you_mean(fuse, FUSE) or "docs/fuse_format.md has the form of the file"
        raise OptionError(f"--fuse must be auto, off or an existing YAML file, not '{fuse}'", remedy=remedy)
    _choice("numerics", numerics, ("auto", "on", "off"))
    flow = flow_of(spatial)
    if budget < 1:
        raise OptionError(f"--budget must be at least 1, not {budget}", remedy="it counts whole schedules tried")
    if frames < 1:
        raise OptionError(f"--frames must be at least 1, not {frames}", remedy="it counts inputs in a row")
    return flow


def proved(
    model: str,
    objective: str,
    spatial: str,
    seed: int,
    budget: int,
    workload: Workload,
    chip: Chip,
    solution: Solution,
    proof: Proof,
    assumed: str | None,
    spent: dict[str, float],
) -> RunResult:
    """A result with all its notes."""
    notes = pass_notes(solution.plan.recipes[number].problem for number in solution.plan.used)
    return RunResult(
        model,
        objective,
        spatial,
        seed,
        budget,
        workload,
        chip,
        solution,
        proof,
        assumed,
        spent,
        (*workload.notes, *solution.notes, *notes),
    )


def map_model(
    model: str | Any,
    chip: str | Chip,
    objective: str = "edp",
    *,
    core: str | None = None,
    op: str | None = None,
    spatial: str = "fixed",
    dims: Map[str, int] | None = None,
    precision: str = "chip",
    progress: Progress | None = None,
    cache: bool = True,
) -> MapResult | InfeasibleResult:
    """The best mapping of every op on the core that serves it best, each op alone with all operands streamed.

    Args:    core, op: only that core or op (by exact name).   The rest as in `run`.
    """
    _choice("objective", objective, ("latency", "energy", "edp"))
    goal: Objective = objective  # type: ignore[assignment]
    flow = flow_of(spatial)
    started = time.process_time()
    silicon = chip if isinstance(chip, Chip) else read_chip(chip)
    name = model_name(model)
    workload, assumed = prepared(model, silicon, dims, precision)
    chosen = chosen_ops(workload, silicon, name, op, core)
    mapper = Mapper(workload, silicon, goal, flow, store=results() if cache else None)
    mapped: list[MappedOp] = []
    skipped: list[str] = []
    for number, item in enumerate(chosen):
        if progress:
            progress("mapping", number, len(chosen))
        best = best_core(mapper, item, silicon, core, goal)
        if best is None:
            if core is not None and op is None:
                skipped.append(item.name)
                continue
            return InfeasibleResult(name, silicon.name, objective, no_core(item, silicon, core))
        if isinstance(best, Infeasible):
            return InfeasibleResult(name, silicon.name, objective, best)
        mapped.append(best)
    return MapResult(
        name,
        silicon.name,
        objective,
        assumed,
        tuple(mapped),
        mapper.searched,
        time.process_time() - started,
        tuple(skipped),
        (*workload.notes, *pass_notes(item.problem for item in mapped)),
    )


def chosen_ops(workload: Workload, chip: Chip, model: str, op: str | None, core: str | None) -> list[Op]:
    """The ops that `--op` names, all of them without it.

    Errors: OptionError where there is no such op, or no core that `--core` names.
    """
    chosen = [item for item in workload.ops if op is None or item.name == op]
    if not chosen:
        names = [item.name for item in workload.ops]
        raise OptionError(f"--op must name an op of '{model}', not '{op}'", remedy=suggestion(str(op), names))
    cores = [item.name for item in chip.cores]
    if core is not None and core not in cores:
        raise OptionError(f"--core must name a core of '{chip.name}', not '{core}'", remedy=suggestion(core, cores))
    return chosen


def no_core(op: Op, chip: Chip, core: str | None) -> Infeasible:
    """That no core takes an op, or not the one that was asked for."""
    where = f"core '{core}' does not take" if core else f"no core of '{chip.name}' takes"
    return Infeasible(op.name, f"{where} {op.kind} ops")


def streaming_problem(mapper: Mapper, op: Op, core: Core, chip: Chip) -> Problem:
    """One op on one core, every operand coming from and going to the outermost memory with the path to itself."""
    every = frozenset(operand.name for operand in op.operands)
    return mapper.problem(op, setting_for(op, core, chip, every, {}))


def prepared(
    model: str | Any, chip: Chip | None, dims: Map[str, int] | None, precision: str
) -> tuple[Workload, str | None]:
    """The network as this chip runs it: folded, and priced at the chip's precision where the model is float.

    Args:    chip: None where none is chosen yet: quantisers alone are folded, and nothing is assumed.
             precision: "chip", "model" (at its own), or a file that sets widths (of the rest, the chip's count).
    Returns: the network, and what was assumed of its precision and set by the file, in words.
    """
    entries = () if precision in PRECISIONS else read_widths(Path(precision))
    workload = load(model, dims)
    if not workload.ops:
        raise ModelError("a network must have at least one op to run", where=model_name(model))
    names = {op.name for op in workload.ops} | {tensor.name for tensor in workload.tensors}
    workload = fold(workload, chip.folds if chip else frozenset())
    assumed = None
    if chip is not None and precision != "model":
        workload, assumed = assume_precision(workload, chip.precision)
    if not entries:
        return workload, assumed
    workload, given = set_widths(workload, entries, names)
    return workload, f"{assumed + '; ' if assumed else ''}{given}, as '{precision}' says"


def pass_notes(problems: Iterable[Problem]) -> tuple[Note, ...]:
    """A note for each op and kind of core whose units are narrower than the operands."""
    notes: list[Note] = []
    for problem in problems:
        count = passes(problem)
        if count > 1:
            pairs = [pair for pair in zip(problem.op_widths, problem.core.op_widths, strict=True) if pair[0]]
            wide, unit = ("x".join(map(str, bits)) for bits in zip(*pairs, strict=True))
            notes.append(Note(problem.op.name, f"{wide}-bit operands on units of {unit} bit: {count} passes each"))
    return tuple(dict.fromkeys(notes))


def in_base_cycles(problem: Problem, goal: Objective, objective: float) -> float:
    """A mapping's value, in the core's cycles, in those of the chip: cores of different clocks compare in it."""
    return objective if goal == "energy" else objective * problem.chip.base_clock_hz / problem.core.clock_hz


def best_core(mapper: Mapper, op: Op, chip: Chip, only: str | None, goal: Objective) -> MappedOp | Infeasible | None:
    """An op on the core that serves it best (or `only` one); why none can hold it, or None where none takes it."""
    best: MappedOp | None = None
    reached: tuple[float, float] | None = None
    why: Infeasible | None = None
    problems = [
        streaming_problem(mapper, op, core, chip)
        for core in chip.cores_for(op.kind)
        if only is None or core.name == only
    ]
    floors = {problem.setting.core: in_base_cycles(problem, goal, mapper.least(problem)) for problem in problems}
    for problem in sorted(problems, key=lambda problem: floors[problem.setting.core]):
        if reached is not None and floors[problem.setting.core] > reached[0]:
            continue  # its array alone takes longer, or more energy
        found = mapper.map(problem)
        if isinstance(found, Infeasible):
            why = found
            continue
        objective, beside = value(found.price, goal)
        here = in_base_cycles(problem, goal, objective), beside
        if reached is None or here < reached:
            best, reached = MappedOp(op, problem, found), here
    return best or why


def _objective(given: str) -> Goal:
    _choice("objective", given, (*GOALS, "pareto"))
    if given == "pareto":
        raise OptionError("a run has one objective, not 'pareto'", remedy="weft.run.run_front gives the front")
    return given  # type: ignore[return-value]


def flow_of(given: str) -> Spatial:
    """The choice of dataflow that `--spatial` makes."""
    _choice("spatial", given, ("fixed", "free"))
    return given  # type: ignore[return-value]


def _choice(option: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise OptionError(
            f"--{option} must be one of {', '.join(known)}, not '{given}'", remedy=did_you_mean(given, known)
        )
