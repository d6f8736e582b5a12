"""Depth-first cuts: each op of a group makes, step by step, what the steps after it need and nothing has made yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from weft.model.workload import Op, Operand, Range, Workload

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
    for op in reversed(ops):
        found[op.name] = _follow(workload, op, [other for other in ops if other.name in found], found, axis, steps)
    return tuple(found[op.name] for op in ops)


def _follow(
    workload: Workload, op: Op, later: Sequence[Op], known: dict[str, Steps], axis: str | None, steps: int
) -> Steps:
    root = workload.root(op.output.tensor)
    needs = [
        need
        for reader in later
        for operand in reader.inputs
        if workload.root(operand.tensor) == root
        for need in [_needed(workload, reader, operand, known[reader.name])]
    ]
    if not needs:
        if axis is None or steps < 2:
            return whole_at(0, steps)
        dim = axis if axis in op.cuttable else next((name for name in ROWS if name in op.cuttable), None)
        if dim is None or op.size[dim] < steps:
            return whole_at(0, steps)
        return Steps(dim, even(op.size[dim], steps))
    first = min((number for need in needs for number, box in enumerate(need) if box is not None), default=0)
    moving = {place for need in needs for place in _moving(need)}
    dims = {_dim_of(op, place) for place in moving}
    if op.output.tensor != root or len(moving) != 1 or None in dims:
        return whole_at(first, steps)
    (place,), (dim,) = moving, dims
    assert dim is not None
    offset, size = op.output.axes[place].offset, op.size[dim]
    done, ranges = 0, list[Range | None]()
    for step in range(steps):
        reach = max((need[step][place][1] - offset for need in needs if need[step] is not None), default=done)  # type: ignore[index]
        until = size if step == steps - 1 else min(size, max(done, reach))
        ranges.append((done, until) if until > done else None)
        done = until
    return Steps(dim, tuple(ranges))


def _needed(workload: Workload, reader: Op, operand: Operand, steps: Steps) -> list[tuple[Range, ...] | None]:
    """For each step the box of the root tensor that a reader needs."""
    boxes: list[tuple[Range, ...] | None] = []
    for rows in steps.ranges:
        if rows is None:
            boxes.append(None)
            continue
        ranges = reader.whole() if steps.dim is None else {**reader.whole(), steps.dim: rows}
        boxes.append(workload.root_box(operand.tensor, operand.box(ranges)))
    return boxes


def _moving(boxes: Sequence[tuple[Range, ...] | None]) -> set[int]:
    """Axes along which the boxes differ, none for a single one."""
    there = [box for box in boxes if box is not None]
    return {place for place in range(len(there[0])) if len({box[place] for box in there}) > 1} if there else set()


def _dim_of(op: Op, place: int) -> str | None:
    """The dim that alone indexes an axis of the op's output, one by one, if the op may be cut along it."""
    terms = op.output.axes[place].terms
    if len(terms) != 1 or terms[0].coefficient != 1 or op.output.axes[place].scattered:
        return None
    return terms[0].dim if terms[0].dim in op.cuttable else None
