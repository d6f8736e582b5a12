"""What the user settles of designs: any design is made one that keeps to it, and a design is told in the same words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from weft.model.fusion import Fusion, Spot, Together
from weft.model.workload import Workload
from weft.schedule.design import Design, Group, Placement
from weft.schedule.fuse import ROWS

AxisOf = Callable[[range], str | None]
InSteps = Callable[[Group, Sequence[Placement], int], Group]


class Given:
    """A fusion by numbers of ops."""

    def __init__(self, workload: Workload, fusion: Fusion) -> None:
        self.workload = workload
        number = {op.name: number for number, op in enumerate(workload.ops)}
        self.groups = {tuple(number[name] for name in group.ops): group for group in fusion.groups}
        self.spots = {number[it.op]: Placement(it.cores, it.split, it.stream) for it in fusion.placements}

    def keep(self, design: Design, axis_of: AxisOf, in_steps: InSteps) -> Design:
        """The design with what is settled put in its place.

        A settled group takes its ops out of others, which fall apart there. Its axis and steps, where they are open,
        are the design's if it has that very group, or else the search's first guess.
        """
        spots = tuple(self.spots.get(op, spot) for op, spot in enumerate(design.placements))
        settled = {op: ops for ops in self.groups for op in ops}
        there = {group.ops: group for group in design.groups}
        groups: list[Group] = []
        for group in design.groups:
            for run in _runs(group.ops, settled):
                if run[0] not in settled:
                    groups.append(group if run == group.ops else self._part(group, run, axis_of))
                elif run[0] == settled[run[0]][0]:
                    ops = settled[run[0]]
                    groups.append(self._settled(ops, there.get(ops), spots, axis_of, in_steps))
        return Design(tuple(groups), spots)

    def _part(self, group: Group, ops: tuple[int, ...], axis_of: AxisOf) -> Group:
        """What is left of a group."""
        axis = axis_of(range(ops[0], ops[-1] + 1)) if group.axis else None
        most = self.workload.ops[ops[-1]].size[axis] if axis else 1
        return Group(ops, axis, min(group.steps, most))

    def _settled(
        self, ops: tuple[int, ...], there: Group | None, spots: Sequence[Placement], axis_of: AxisOf, in_steps: InSteps
    ) -> Group:
        told = self.groups[ops]
        last = self.workload.ops[ops[-1]]
        if told.steps == 1:
            return Group(ops)
        if there is not None and told.axis in (None, there.axis) and told.steps in (None, there.steps):
            return there
        axis = told.axis or axis_of(range(ops[0], ops[-1] + 1))
        if told.steps is not None:
            fit = (dim for dim in ROWS + last.cuttable if dim in last.cuttable and last.size[dim] >= (told.steps or 1))
            if axis is None or last.size[axis] < told.steps:
                axis = next(fit)
            return Group(ops, axis, told.steps)
        if axis is None:
            return Group(ops)
        return in_steps(Group(ops, axis, 2), spots, 1)


def _runs(ops: Sequence[int], settled: dict[int, tuple[int, ...]]) -> Iterator[tuple[int, ...]]:
    """Ops in runs that belong to one settled group, or to none."""
    run: list[int] = []
    for op in ops:
        if run and settled.get(op) != settled.get(run[-1]):
            yield tuple(run)
            run = []
        run.append(op)
    yield tuple(run)


def told(workload: Workload, design: Design) -> Fusion:
    """A design as a fusion that settles all of it."""
    names = [op.name for op in workload.ops]
    groups = tuple(
        Together(tuple(names[op] for op in group.ops), group.axis if group.steps > 1 else None, group.steps)
        for group in design.groups
    )
    spots = tuple(
        Spot(name, spot.cores, spot.split, spot.stream) for name, spot in zip(names, design.placements, strict=True)
    )
    return Fusion(groups, spots)
