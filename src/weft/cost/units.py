"""What the width of operands does to one operation of a compute unit: passes and energy."""

from __future__ import annotations

from weft.model.mapping import Problem


def passes(problem: Problem) -> int:
    """Cycles that a unit needs for one operation.

    Operands wider than the unit are worked on in parts, each part of one with each part of the other:
        passes = ceil(input bits / unit's input bits) x ceil(weight bits / unit's weight bits)
    An operation that is no product has one width, its widest input's.
    So a product of 16 x 16 bits takes a multiplier of 8 x 8 bits 4 passes.
    """
    count = 1
    for width, unit in zip(problem.op_widths, problem.core.op_widths, strict=True):
        count *= max(1, -(-width // unit))
    return count


def op_pj(problem: Problem) -> float:
    """Energy of one operation [pJ]: the core's, scaled by the widths of its operands over those it is given for.

    A multiplier has a cell for each pair of bits, an adder one for each bit; both do work in proportion.
    """
    energy = problem.core.op_pj
    for width, unit in zip(problem.op_widths, problem.core.op_widths, strict=True):
        energy *= width / unit if width else 1.0
    return energy
