"""Random plans of random worlds, placed."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from functools import cache

from tests.schedule.worlds import make_chip, make_workload
from weft.model.schedule import Infeasible
from weft.model.workload import Workload
from weft.schedule.choices import choices_of
from weft.schedule.design import Composer, Design, Group
from weft.schedule.engine import Placed, place
from weft.schedule.fabric import Fabric
from weft.schedule.plan import Plan
from weft.schedule.recipes import Recipes
from weft.schedule.shared import Mapper


@cache
def planned(seed: int, fused: bool = False) -> tuple[Workload, Fabric, Plan] | None:
    """A random choice per op: one op after another, or some run together step by step; None where a tile has no
    mapping."""
    workload, chip = make_workload(seed), make_chip(seed)
    composer = Composer(workload, chip, Recipes(Mapper(workload, chip, "edp", "fixed", quick=True)))
    choices = [choices_of(composer.recipes.mapper, op) for op in workload.ops]
    if not all(choices):
        return None
    rng = random.Random(f"{seed} {fused}")
    for _ in range(4):
        picked = [rng.choice(found) for found in choices]
        groups = [Group((op,), choice.axis, choice.steps) for op, choice in enumerate(picked)]
        if fused:
            groups = _fused(workload, rng)
        plan = composer.plan(Design(tuple(groups), tuple(choice.placement for choice in picked)))
        if not isinstance(plan, Infeasible):
            return workload, Fabric(chip, set(range(1, len(chip.cores) + 1))), plan
    return None


def _fused(workload: Workload, rng: random.Random) -> list[Group]:
    groups: list[Group] = []
    op = 0
    while op < len(workload.ops):
        size = min(rng.randint(1, 4), len(workload.ops) - op)
        ops = tuple(range(op, op + size))
        axes = workload.ops[ops[-1]].cuttable
        groups.append(Group(ops, rng.choice(axes), rng.randint(2, 6)) if axes else Group(ops))
        op += size
    return groups


def placed_worlds(seeds: Iterable[int], fused: bool = False) -> Iterator[tuple[int, Workload, Placed]]:
    """(seed, workload, what was placed) of the worlds in which all fits."""
    for seed in seeds:
        found = planned(seed, fused)
        if found is None:
            continue
        placed = place(*found)
        if not isinstance(placed, Infeasible):
            yield seed, found[0], placed
