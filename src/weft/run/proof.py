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
from weft.schedule.plan import Plan, Recipe


def prove(workload: Workload, chip: Chip, solution: Solution) -> Proof:
    """Rules over the schedule and over every mapping in it, every task priced again, and the replay."""
    facts = check(workload, chip, solution.schedule)
    wrong = list(facts.violations)
    used = solution.plan.used
    for number in used:
        recipe = solution.plan.recipes[number]
        for found in broken(recipe.problem, recipe.mapped.mapping):
            subject = f"{recipe.problem.op.name}: {found.subject}"
            wrong.append(Violation(found.rule, subject, 0, found.needs, found.has))
    wrong += mispriced(chip, solution.plan, solution.schedule.tasks)
    replayed = check_replay(solution.schedule, chip)
    differences = tuple(str(item) for item in replayed.differences)
    return Proof(
        facts.checked + len(used) * len(MAPPING_RULES) + 2 * len(solution.schedule.tasks),
        tuple(wrong),
        replayed.ok,
        differences,
    )


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


def mispriced(chip: Chip, plan: Plan, tasks: Sequence[Task]) -> list[Violation]:
    """Tasks whose duration or energy is not what the formula gives for their tile on their core.

    Mappings are shared between like cores and like tiles and carried over by name; this prices each recipe as it
    stands, and holds each task's tile against the one that its recipe was made for.
    """
    wrong: list[Violation] = []
    by_tile = {(task.op, task.ranges): task for task in tasks}
    told: dict[int, tuple[int, float]] = {}
    for cut in plan.cuts:
        for tile, number in enumerate(cut.recipes.tolist()):
            recipe, ranges = plan.recipes[number], cut.ranges(tile)
            task = by_tile[cut.op.name, ranges]
            if number not in told:
                told[number] = _told(chip, recipe)
            cycles, energy = told[number]
            if recipe.problem.op != cut.op.alone(dict(ranges)).counted() or recipe.core != task.core:
                rule, has = "a task is the tile that its mapping is for", f"{recipe.problem.op} on {recipe.core}"
                wrong.append(Violation(rule, f"task {task.id}", task.start, f"{task.op} {ranges} on {task.core}", has))
            if task.end - task.start != cycles:
                rule, has = "a task lasts as long as its mapping", f"{task.end - task.start} cycles"
                wrong.append(Violation(rule, f"task {task.id}", task.start, f"{cycles} cycles", has))
            if not math.isclose(task.energy_pj, energy, rel_tol=1e-9, abs_tol=1e-6):
                rule, has = "a task costs what its mapping does", f"{task.energy_pj} pJ"
                wrong.append(Violation(rule, f"task {task.id}", task.start, f"{energy} pJ", has))
    return wrong


def _told(chip: Chip, recipe: Recipe) -> tuple[int, float]:
    """Base cycles and energy of a recipe without static power, by the readable formula."""
    core, priced = chip.core(recipe.core), price(recipe.problem, recipe.mapped.mapping)
    static = chip.static_pj_per_cycle * chip.base_clock_hz / core.clock_hz * priced.latency_cycles
    return math.ceil(priced.latency_cycles * chip.base_clock_hz / core.clock_hz), priced.energy_pj - static
