"""The last look at a plan: other orders and cores of its tiles, and where they are few, CP-SAT."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from weft.model.schedule import Infeasible
from weft.model.workload import Note, Workload
from weft.schedule.design import Composer, Design, Placement
from weft.schedule.engine import Placed
from weft.schedule.exact import MOST_PIECES, MOST_TILES, Exact, installed
from weft.schedule.fabric import Fabric
from weft.schedule.orders import Orders, Score
from weft.schedule.plan import Plan

LEAST_BUDGET = 16
"""Whole schedules that must be allowed for a last look to be taken."""

LOOK = 4
"""Of these, how many it takes: as many as there are priorities."""

TILES = 1024
"""A schedule of fewer tiles counts as so much less of one."""

MOST_LISTED = 1 << 16
"""Tiles beyond which no other orders are listed: that would take longer than placing them."""

FEW = 64
"""Tiles that may each change their core: each shape of tile is mapped on every core."""

SOLVER = 0.8
"""CP-SAT's deterministic time each time that it is asked; a second or two, where it needs all of it."""


ASKED = 6
"""How often it is asked for something better still."""

MOST_LINKS = 4
"""Links of a chip beyond which CP-SAT is not asked: with the thirteen of a ring of cores one answer takes minutes."""


@dataclass(frozen=True)
class Finished:
    """The best plan after a last look.

    Args: notes: that CP-SAT is not there.
    """

    plan: Plan
    placed: Placed
    notes: tuple[Note, ...] = ()


def finish(
    workload: Workload,
    fabric: Fabric,
    plan: Plan,
    placed: Placed,
    score: Score,
    goal: str,
    seed: int,
    others: Composer | None,
) -> Finished:
    """What is found from a plan, no worse than it.

    Args: others: makes recipes of tiles on other cores; None where tiles stay on theirs.
    """
    tiles = len(plan.order)
    if tiles > MOST_LISTED:
        return Finished(plan, placed)
    options: Sequence[Sequence[int]] = [(number,) for cut in plan.cuts for number in cut.recipes.tolist()]
    if others is not None and tiles <= FEW:
        plan, options = elsewhere(plan, others)
        placed = replace(placed, plan=plan)
    search = Orders(workload, fabric, plan, placed, options, score)
    search.run(max(LOOK, LOOK * TILES // tiles), random.Random(seed))
    plan, placed = search.plan, search.placed
    pieces = len(placed.found.piece_bits)
    if goal == "memory" or tiles > MOST_TILES or pieces > MOST_PIECES or len(fabric.chip.links) > MOST_LINKS:
        return Finished(plan, placed)
    if not installed():
        text = "its tiles are few, but CP-SAT did not look for a better schedule: OR-Tools is not installed"
        return Finished(plan, placed, (Note(workload.name, text),))
    if goal == "energy":
        found = Exact(placed, options, "energy", 4 * placed.latency_cycles).solve(SOLVER, seed)
        better = found is not None and score(found.settled()) < score(placed.settled())
        return Finished(found.plan, found.settled()) if found is not None and better else Finished(plan, placed)
    best = placed.settled()
    # Asked for something better until it finds nothing: what release 9.15 calls an optimum is not always one, so
    # nothing is said of it either.
    for _ in range(ASKED):
        found = Exact(best, options, "latency", best.latency_cycles - 1).solve(SOLVER, seed)
        if found is None:
            break
        best = found.settled()
    return Finished(best.plan, best) if score(best) < score(placed.settled()) else Finished(plan, placed)


def elsewhere(plan: Plan, composer: Composer) -> tuple[Plan, list[tuple[int, ...]]]:
    """The plan with recipes for its tiles on other cores too, and which of them may run each tile, its own first."""
    found: list[list[int]] = []
    known = len(plan.recipes)
    for cut in plan.cuts:
        mine = [[number] for number in cut.recipes.tolist()]
        for core in composer.chip.cores_for(cut.op.kind):
            made = composer.recipes.of(cut.op, cut.tiles, core, False, 1)
            if isinstance(made, Infeasible):
                continue
            for tile, number in enumerate(made.tolist()):
                if plan.recipes[mine[tile][0]].core != core.name:
                    mine[tile].append(known + number)
        found += mine
    return replace(plan, recipes=(*plan.recipes, *composer.recipes.all)), [tuple(mine) for mine in found]


def as_run(design: Design, plan: Plan) -> Design:
    """The design with the cores on which tiles are run after all."""
    placements = list(design.placements)
    for op, cut in enumerate(plan.cuts):
        cores = tuple(dict.fromkeys(plan.recipes[number].core for number in cut.recipes.tolist()))
        if set(cores) != set(placements[op].cores):
            placements[op] = Placement(cores)
    return replace(design, placements=tuple(placements))
