"""Settled groups and placements: every design that is tried keeps to them, and what is left open is searched."""

from __future__ import annotations

from tests.schedule.small import array_core, bus_chip, memory
from tests.schedule.test_solve import deep, quad, residual
from weft.model.fusion import Fusion, Spot, Together
from weft.model.schedule import Infeasible
from weft.run.proof import prove
from weft.schedule import solve
from weft.schedule.given import told


def solved(workload, chip, fusion, budget=12, goal="edp"):
    found = solve(workload, chip, goal, budget=budget, fusion=fusion)
    assert not isinstance(found, Infeasible), found
    assert prove(workload, chip, found).ok
    return found


def test_a_settled_group_and_place_stand_in_the_result() -> None:
    net, chip = deep(), quad()
    fusion = Fusion(
        (Together(("c1", "c2"), "OX", 4),), (Spot("c0", ("b", "d"), (("K", 2),)), Spot("c3", ("c",), (), True))
    )
    found = solved(net, chip, fusion)
    said = told(net, found.design)
    assert Together(("c1", "c2"), "OX", 4) in said.groups
    assert said.placements[0] == Spot("c0", ("b", "d"), (("K", 2),))
    assert said.placements[3] == Spot("c3", ("c",), (), True)
    assert {task.core for task in found.schedule.tasks if task.op == "c0"} == {"b", "d"}
    assert len([task for task in found.schedule.tasks if task.op == "c2"]) >= 4


def test_ops_beside_a_settled_group_are_fused_among_themselves_only() -> None:
    net = deep()
    found = solved(net, quad(), Fusion((Together(("c1",)),)), budget=30)
    assert {group for group in found.plan.groups if "c1" in group} == {("c1",)}
    assert {group for group in found.plan.groups if "c0" in group} == {("c0",)}


def test_steps_that_are_open_are_chosen_so_that_boxes_rest_on_chip() -> None:
    # c0 to c3 have 512-element results of 8 bits each and 576-element weights: 8 * (4 * 576 + 2 * 4 * 512 / 8) bits.
    net = deep()
    whole, eighth = 8 * (4 * 576 + 2 * 4 * 512), 8 * (4 * 576 + 2 * 4 * 512 // 8)
    chip = bus_chip((array_core("a", "ma"),), (memory("ma", (whole + eighth) // 2, 1024),))
    found = solved(net, chip, Fusion((Together(("c0", "c1", "c2", "c3")),)), budget=1)
    (group,) = told(net, found.design).groups
    assert group.axis == "OY"
    assert group.steps in (2, 4, 8)


def test_one_step_and_steps_without_an_axis() -> None:
    net = deep()
    once = solved(net, quad(), Fusion((Together(("c0", "c1"), "OY", 1),)))
    assert told(net, once.design).groups[0] == Together(("c0", "c1"), None, 1)
    some = solved(net, quad(), Fusion((Together(("c0", "c1"), None, 5),)))
    assert told(net, some.design).groups[0] == Together(("c0", "c1"), "OY", 5)


def test_a_result_told_as_a_file_gives_the_same_groups_and_cores() -> None:
    """The order of few tiles is looked for again; all else is settled."""
    for net in (deep(), residual()):
        for goal in ("latency", "energy"):
            first = solved(net, quad(BIG_ENOUGH), None, 30, goal)
            again = solved(net, quad(BIG_ENOUGH), told(net, first.design), 30, goal)
            assert again.design == first.design


def test_what_cannot_be_held_where_it_is_settled_is_infeasible() -> None:
    # The weights alone, 576 elements of 8 bits, are more than the memory has: streamed, nothing rests but tiles.
    net = deep()
    tiny = bus_chip((array_core("a", "ma"), array_core("b", "mb")), (memory("ma", 10**6, 1024), memory("mb", 60, 1024)))
    found = solve(net, tiny, budget=5, fusion=Fusion((), (Spot("c0", ("b",)),)))
    assert isinstance(found, Infeasible)
    assert "c0" in found.subject


BIG_ENOUGH = 16000
