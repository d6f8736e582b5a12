"""What the width of operands does to an operation, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.oracles.world import build, matmul, memory, pool
from weft.cost import price
from weft.cost.units import op_pj, passes
from weft.model.mapping import Mapping, Problem, Rest, Unroll


def problem(widths: tuple[int, int, int], units: tuple[int, int]) -> Problem:
    """A product of 2 x 2 x 2 on one unit with all operands in one memory."""
    return build(matmul(2, 2, 2), {"D1": 1}, [], memory("m", "rw"), widths=widths, units=units)


@pytest.mark.parametrize(
    ("widths", "units", "count"),
    [
        ((8, 8, 8), (8, 8), 1),
        ((4, 2, 8), (8, 8), 1),  # narrow operands are no faster on one unit
        ((16, 8, 8), (8, 8), 2),
        ((16, 16, 8), (8, 8), 4),
        ((9, 8, 8), (8, 8), 2),  # a ninth bit needs a second part
        ((16, 16, 8), (16, 4), 4),
        ((32, 32, 32), (8, 8), 16),
    ],
)
def test_each_part_of_one_factor_meets_each_part_of_the_other(
    widths: tuple[int, int, int], units: tuple[int, int], count: int
) -> None:
    assert passes(problem(widths, units)) == count


def test_a_pass_takes_a_cycle_of_every_step() -> None:
    one, four = problem((8, 8, 8), (8, 8)), problem((16, 16, 8), (8, 8))
    nest = Mapping((Unroll("D1", ()),), (), tuple(Rest(name, "m", 0) for name in ("A", "B", "O")))
    assert price(one, nest).compute_cycles == 2 * 2 * 2
    assert price(four, nest).compute_cycles == 4 * 2 * 2 * 2


def test_energy_follows_the_pairs_of_bits_that_meet() -> None:
    narrow, wide = problem((4, 2, 8), (8, 8)), problem((16, 8, 8), (8, 8))
    assert op_pj(narrow) == pytest.approx(0.5 * (4 * 2) / (8 * 8))  # the core's operation costs 0.5 pJ
    assert op_pj(wide) == pytest.approx(0.5 * (16 * 8) / (8 * 8))


def test_the_output_s_width_does_not_count() -> None:
    assert passes(problem((8, 8, 32), (8, 8))) == 1


def test_what_is_no_product_works_on_its_widest_input() -> None:
    maximum = build(pool(2, 3, 2, 1), {"D1": 1}, [], memory("m", "rw"), widths=(12, 8, 8), units=(8, 2))
    assert passes(maximum) == 2
    assert op_pj(maximum) == pytest.approx(0.5 * 12 / 8)


def test_an_op_without_inputs_costs_one_operation() -> None:
    maximum = build(pool(2, 3, 2, 1), {"D1": 1}, [], memory("m", "rw"))
    nothing = replace(maximum, op=replace(maximum.op, operands=maximum.op.operands[-1:]))
    assert passes(nothing) == 1
    assert op_pj(nothing) == 0.5
