"""Choices: each is the whole op, and each can be placed when nothing else is on the chip."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.schedule.worlds import make_chip, make_workload
from weft.cost.price import price
from weft.mapper import Mapped
from weft.model.schedule import Infeasible
from weft.model.workload import Op, Workload
from weft.read.chip import read_chip
from weft.run import prepared
from weft.schedule.choices import choices_of
from weft.schedule.design import Composer, Design, Group
from weft.schedule.engine import Placed, place
from weft.schedule.fabric import Fabric
from weft.schedule.recipes import Recipes
from weft.schedule.settings import setting_for
from weft.schedule.shared import Mapper

SEEDS = (0, 1, 5, 8, 13, 24, 39, 41)


def alone(workload: Workload, op: Op) -> Workload:
    """A network of one op: what it reads is given, what it writes goes out."""
    reads = {workload.root(operand.tensor) for operand in op.inputs}
    writes = workload.root(op.output.tensor)
    tensors = tuple(
        replace(
            tensor,
            role="input" if tensor.name in reads else "output" if tensor.name == writes else "intermediate",
        )
        for tensor in workload.tensors
    )
    return replace(workload, tensors=tensors, ops=(op,))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_choice_is_the_whole_op_cut_into_disjoint_tiles_and_can_be_placed_on_an_empty_chip(seed: int) -> None:
    """Room is promised for what is really held: a tile of a reshaped tensor may hold more of it than it touches."""
    workload, chip = make_workload(seed), make_chip(seed)
    for op in workload.ops:
        single = alone(workload, op)
        composer = Composer(single, chip, Recipes(Mapper(single, chip, "edp", "fixed", quick=True)))
        found = choices_of(composer.recipes.mapper, op)
        assert len(set(map(str, found))) == len(set(found)) == len(found)
        for choice in found:
            plan = composer.plan(Design((Group((0,), choice.axis, choice.steps),), (choice.placement,)))
            if isinstance(plan, Infeasible):
                continue
            (cut,) = plan.cuts
            sizes = [math.prod((tile[:, 1] - tile[:, 0]).tolist()) for tile in cut.tiles]
            assert sum(sizes) == op.iterations
            assert len({cut.ranges(tile) for tile in range(len(sizes))}) == len(sizes)
            recipes = [plan.recipes[number] for number in cut.recipes.tolist()]
            assert all(op.kind in chip.core(recipe.core).ops for recipe in recipes)
            assert [recipe.problem.op.iterations for recipe in recipes] == sizes
            if len(choice.placement.split) > 1:
                continue  # tiles that share rows and columns may lie in boxes that are only let go as a whole
            placed = place(single, Fabric(chip, set(range(1, len(chip.cores) + 1))), plan)
            assert isinstance(placed, Placed)
            assert len(placed.schedule().tasks) == len(sizes)


def test_a_shared_mapping_takes_the_names_of_every_core_links_included() -> None:
    """On simba each outer core has a link of its own to the memory off chip: what passes there is no other core's."""
    chip = read_chip("simba")
    workload = prepared("resnet8", chip, None, "chip")[0]
    op = next(op for op in workload.ops if op.kind == "conv")
    mapper = Mapper(workload, chip, "edp", "fixed", quick=True)
    for core in chip.cores[:8]:
        every = frozenset(operand.name for operand in op.operands)
        problem = mapper.problem(op, setting_for(op, core, chip, every, {}))
        found = mapper.map(problem)
        assert isinstance(found, Mapped)
        assert found.price == price(problem, found.mapping)
    assert mapper.searched < 8
