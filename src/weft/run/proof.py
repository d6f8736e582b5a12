"""The proof that every run carries: rules over schedule and mappings, prices told again, and the replay."""

from __future__ import annotations

import math
from collections.abc import Mapping as Map
from collections.abc import Sequence
from typing import Any

from weft.cost import price
from weft.cost.legal import RULES as MAPPING_RULES
from weft.cost.legal import broken
from weft.execute.estimate import MOST_SECONDS, seconds
from weft.execute.numerics import Numerics, Progress, check_numerics, not_run
from weft.execute.replay import check_replay
from weft.model.chip import Chip
from weft.model.rules import check
from weft.model.schedule import Task, Violation
from weft.model.workload import Workload
from weft.read import with_values
from weft.read.onnx import read_graph
from weft.run.result import Proof
from weft.schedule import Solution
from weft.schedule.options import Part


def prove(workload: Workload, chip: Chip, solution: Solution) -> Proof:
    """Rules over the schedule and over every mapping in it, every task priced again, and the replay."""
    facts = check(workload, chip, solution.schedule)
    wrong = list(facts.violations)
    parts = [part for option in solution.options for part in option.parts]
    for part in parts:
        for found in broken(part.problem, part.mapped.mapping):
            wrong.append(Violation(found.rule, f"{part.problem.op.name}: {found.subject}", 0, found.needs, found.has))
    wrong += mispriced(chip, parts, solution.schedule.tasks)
    replayed = check_replay(solution.schedule, chip)
    differences = tuple(str(item) for item in replayed.differences)
    return Proof(facts.checked + len(parts) * (len(MAPPING_RULES) + 2), tuple(wrong), replayed.ok, differences)


def executed(
    model: str | Any,
    dims: Map[str, int] | None,
    workload: Workload,
    chip: Chip,
    solution: Solution,
    how: str,
    seed: int,
    progress: Progress | None,
) -> Numerics:
    """The schedule executed tile by tile against ONNX Runtime.

    Args:    how: "on", "off", or "auto": where it takes no more than some twenty seconds.   seed: of the inputs.
    """
    if how == "off":
        return not_run("left out by --numerics off")
    needed = seconds(workload)
    if how == "auto" and needed > MOST_SECONDS:
        return not_run(f"it would take some {needed:.0f} s; --numerics on runs it")
    source = with_values(model)
    if source is None:
        return not_run("this form of the network is read without its weights; an .onnx file has them")
    graph = read_graph(source, dims)
    return check_numerics(workload, solution.schedule, chip.outermost, graph, source, seed, progress)


def mispriced(chip: Chip, parts: Sequence[Part], tasks: Sequence[Task]) -> list[Violation]:
    """Tasks whose duration or energy is not what the formula gives for their mapping on their core.

    Mappings are shared between like cores and carried over by name; this prices each as it stands.
    """
    wrong: list[Violation] = []
    by_tile = {(task.op, task.ranges): task for task in tasks}
    for part in parts:
        task = by_tile[part.problem.op.name, part.ranges]
        core, told = chip.core(part.core), price(part.problem, part.mapped.mapping)
        cycles = math.ceil(told.latency_cycles * chip.base_clock_hz / core.clock_hz)
        static = chip.static_pj_per_cycle * chip.base_clock_hz / core.clock_hz * told.latency_cycles
        if task.end - task.start != cycles:
            rule, has = "a task lasts as long as its mapping", f"{task.end - task.start} cycles"
            wrong.append(Violation(rule, f"task {task.id}", task.start, f"{cycles} cycles", has))
        if not math.isclose(task.energy_pj, told.energy_pj - static, rel_tol=1e-9, abs_tol=1e-6):
            rule, has = "a task costs what its mapping does", f"{task.energy_pj} pJ"
            wrong.append(Violation(rule, f"task {task.id}", task.start, f"{told.energy_pj - static} pJ", has))
    return wrong
