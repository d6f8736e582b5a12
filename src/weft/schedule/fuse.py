"""Depth-first cuts: each op of a group makes, step by step, what the steps after it need and nothing has made yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from weft.model.workload import Op, Operand, Range, Workload
from weft.schedule.touches import Counts, Roots, touched

ROWS = ("OY", "M", "OX", "K", "N", "G", "B")
"""Dims along which steps are taken, the first that an op has: rows of an image, tokens, samples; then channels."""


@dataclass(frozen=True, slots=True)
class Steps:
    """One op's part in its group's steps.

    Args:
        dim:    along which it is cut, None where all of it is done at once.
        ranges: for each step what is done along `dim`; None where nothing is.
    """

    dim: str | None
    ranges: tuple[Range | None, ...]


def whole_at(step: int, of: int) -> Steps:
    """All of an op in one step."""
    return Steps(None, tuple((0, 0) if number == step else None for number in range(of)))


def even(size: int, steps: int) -> tuple[Range, ...]:
    """`size` in near-equal parts."""
    edges = [size * number // steps for number in range(steps + 1)]
    return tuple((edges[number], edges[number + 1]) for number in range(steps))


def steps_of(workload: Workload, ops: Sequence[Op], axis: str | None, steps: int) -> tuple[Steps, ...]:
    """How each op of a group goes along with its steps.

    The last op is cut evenly along `axis`. Each op before it makes, in every step, what its readers in the group need
    in that step and has not been made yet; so rows that two steps share are made once, and kept. What nothing in the
    group needs is done in the last step. An op of which a step needs everything is done whole in the first.

    Args:    ops: in the workload's order.   axis: a dim of the last op; None for one step.
    """
    found: dict[str, Steps] = {}
    roots = Roots(workload)
    for op in reversed(ops):
        found[op.name] = _follow(roots, op, [other for other in ops if other.name in found], found, axis, steps)
    return tuple(found[op.name] for op in ops)


def _follow(roots: Roots, op: Op, later: Sequence[Op], known: dict[str, Steps], axis: str | None, steps: int) -> Steps:
    root = roots.root[op.output.tensor]
    needs = [
        need
        for reader in later
        for operand in reader.inputs
        if roots.root[operand.tensor] == root
        for need in [_needed(roots, reader, operand, known[reader.name])]
    ]
    if not needs:
        if axis is None or steps < 2:
            return whole_at(0, steps)
        dim = axis if axis in op.cuttable else next((name for name in ROWS if name in op.cuttable), None)
        if dim is None or op.size[dim] < steps:
            return whole_at(0, steps)
        return Steps(dim, even(op.size[dim], steps))
    runs = np.array([rows is not None for need in needs for rows in need.rows]).reshape(len(needs), steps)
    first = int(np.argmax(runs.any(axis=0)))
    moving = {place for need in needs for place in _moving(need)}
    dims = {_dim_of(op, place) for place in moving}
    if op.output.tensor != root or len(moving) != 1 or None in dims:
        return whole_at(first, steps)
    (place,), (dim,) = moving, dims
    assert dim is not None
    reach = np.zeros(steps, np.int64)
    for need, mine in zip(needs, runs, strict=True):
        reach[mine] = np.maximum(reach[mine], need.boxes[:, place, 1] - op.output.axes[place].offset)
    done = np.minimum(op.size[dim], np.maximum.accumulate(reach))
    done[-1] = op.size[dim]
    edges = [0, *done.tolist()]
    return Steps(dim, tuple(side if side[0] < side[1] else None for side in pairwise(edges)))


@dataclass(frozen=True, slots=True, eq=False)
class _Need:
    """What a reader needs of a root tensor.

    Args:
        rows:  its steps, None where it does nothing.     boxes: [steps in which it does something, axes, 2].
    """

    rows: tuple[Range | None, ...]
    boxes: Counts


def _needed(roots: Roots, reader: Op, operand: Operand, steps: Steps) -> _Need:
    rows = [side for side in steps.ranges if side is not None]
    tiles = np.repeat(np.array([[(0, size) for _, size in reader.dims]], np.int64), len(rows), axis=0)
    if steps.dim is not None:
        tiles[:, [name for name, _ in reader.dims].index(steps.dim)] = rows
    return _Need(steps.ranges, roots.boxes(operand.tensor, touched(reader, operand, tiles)))


def _moving(need: _Need) -> set[int]:
    """Axes along which the boxes differ, none for a single one."""
    differs = (need.boxes != need.boxes[:1]).any(axis=(0, 2))
    return set(np.flatnonzero(differs).tolist())


def _dim_of(op: Op, place: int) -> str | None:
    """The dim that alone indexes an axis of the op's output, one by one, if the op may be cut along it."""
    terms = op.output.axes[place].terms
    if len(terms) != 1 or terms[0].coefficient != 1 or op.output.axes[place].scattered:
        return None
    return terms[0].dim if terms[0].dim in op.cuttable else None
