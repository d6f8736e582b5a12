"""Schedules by hand for any network: one memory, one tile after another, each op cut where its output axes let it."""

from __future__ import annotations

import itertools

from weft.model.schedule import Residency, Schedule, Task, Use
from weft.model.workload import Op, Workload, volume

MOST_TILES = 8
"""Of one op."""


def is_box(op: Op, ranges) -> bool:
    """Whether a tile's output is a box without holes."""
    points = 1
    for dim in op.output.dims:
        points *= ranges[dim][1] - ranges[dim][0]
    return points == volume(op.output.box(ranges))


def tiles(op: Op):
    """The op in two parts along each axis that it may be cut along, as far as `MOST_TILES` go, larger one first."""
    cuts = {name: [(0, size)] for name, size in op.dims}
    for name in op.cuttable:
        size = op.size[name]
        middle = (size + 1) // 2
        halves = [(0, middle), (middle, size)]
        tried = [{**op.whole(), name: half} for half in halves]
        count = 2
        for ranges in cuts.values():
            count *= len(ranges)
        if count <= MOST_TILES and all(is_box(op, ranges) for ranges in tried):
            cuts[name] = halves
    every = [dict(zip(cuts, choice, strict=True)) for choice in itertools.product(*cuts.values())]
    return every if all(is_box(op, ranges) for ranges in every) else [op.whole()]


def schedule_by_hand(workload: Workload) -> Schedule:
    """Every tile reads from and writes to the memory "m", where the inputs lie from the start; nothing is dropped."""
    cut = [(op, ranges) for op in workload.ops for ranges in tiles(op)]
    end = len(cut)
    tensors = {tensor.name: tensor for tensor in workload.tensors}
    made = {workload.root(op.output.tensor) for op in workload.ops}
    residencies: list[Residency] = []
    held: dict[str, list[Residency]] = {}

    def hold(tensor: str, box, start: int, valid_from: int, writer: int) -> int:
        bits = volume(box) * tensors[tensor].bits
        residencies.append(Residency(len(residencies), "m", tensor, box, bits, start, valid_from, end, writer))
        held.setdefault(tensor, []).append(residencies[-1])
        return residencies[-1].id

    roots = dict.fromkeys(workload.root(tensor.name) for tensor in workload.tensors)
    for name in roots:
        if name not in made:
            hold(name, tensors[name].whole(), 0, 0, -1)
    tasks: list[Task] = []
    for number, (op, ranges) in enumerate(cut):
        reads = []
        for operand in op.inputs:
            root = workload.root(operand.tensor)
            box = workload.root_box(operand.tensor, operand.box(ranges))
            found = [item for item in held.get(root, []) if volume_in(item.box, box)]
            pieces = tuple(overlap(item.box, box) for item in found)
            reads.append(Use(operand.name, root, "m", pieces, tuple(item.id for item in found)))
        box = op.output.box(ranges)
        writes = Use(
            op.output.name, op.output.tensor, "m", (box,), (hold(op.output.tensor, box, number, number + 1, number),)
        )
        tasks.append(
            Task(
                number,
                op.name,
                tuple(ranges.items()),
                "core",
                number,
                number + 1,
                tuple(reads),
                writes,
                (),
                (),
                (),
                0.0,
                "",
            )
        )
    return Schedule(workload.name, "by hand", tuple(tasks), (), tuple(residencies))


def overlap(a, b):
    return tuple((max(p, r), min(q, s)) for (p, q), (r, s) in zip(a, b, strict=True))


def volume_in(a, b) -> bool:
    return volume(overlap(a, b)) > 0
