"""Rules on tasks: the tiles of an op are the op, and a core does one at a time."""

from __future__ import annotations

from collections import defaultdict

from weft.model.rules.boxes import overlaps
from weft.model.rules.case import Case, Facts, Fault, named
from weft.model.schedule import Task
from weft.model.workload import Box, volume


def tiles_fill_their_op(case: Case) -> Facts:
    """The iterations of an op's tasks sum to those of the op. Disjoint and within the op, they are the op."""
    tasks: defaultdict[str, list[Task]] = defaultdict(list)
    for task in case.schedule.tasks:
        tasks[task.op].append(task)
    for op in case.workload.ops:
        done = sum(volume(_tile(task)) for task in tasks[op.name])
        iterations = f"{op.iterations} iterations in its tasks"
        yield None if done == op.iterations else Fault(f"op {op.name}", 0, iterations, str(done))


def tiles_are_disjoint(case: Case) -> Facts:
    """No two tasks of an op share an iteration."""
    tasks: defaultdict[str, list[Task]] = defaultdict(list)
    for task in case.schedule.tasks:
        tasks[task.op].append(task)
    for mine in tasks.values():
        tiles = [_tile(task) for task in mine]
        doubled = {b: a for a, b in overlaps(tiles)}
        for position, task in enumerate(mine):
            if position in doubled:
                other = mine[doubled[position]]
                yield Fault(named(task), task.start, "iterations of its own", f"some that {named(other)} does as well")
            else:
                yield None


def _tile(task: Task) -> Box:
    """The task's ranges in one order for all tasks of its op."""
    return tuple(extent for _, extent in sorted(task.ranges))


def tiles_keep_whole_dims(case: Case) -> Facts:
    """A dim that partial sums run over, or that is a barrier, is not cut."""
    for task in case.schedule.tasks:
        op = case.ops[task.op]
        size = op.size
        uncut = op.reduction | op.barrier
        for dim, extent in task.ranges:
            if dim in uncut:
                start, stop = extent
                whole = (0, size[dim])
                has = f"[{start},{stop})"
                yield None if extent == whole else Fault(named(task), task.start, f"{dim} whole, [0,{size[dim]})", has)


def cores_take_the_kind(case: Case) -> Facts:
    """The op's kind is among those of the task's core."""
    for task in case.schedule.tasks:
        kind = case.ops[task.op].kind
        takes = case.cores[task.core].ops
        if kind in takes:
            yield None
        else:
            yield Fault(named(task), task.start, f"a core that takes {kind}", f"one for {', '.join(sorted(takes))}")


def cores_do_one_task_at_a_time(case: Case) -> Facts:
    """The tasks of a core do not share a cycle."""
    tasks: defaultdict[str, list[Task]] = defaultdict(list)
    for task in case.schedule.tasks:
        tasks[task.core].append(task)
    for core, mine in tasks.items():
        mine.sort(key=lambda task: (task.start, task.id))
        before: Task | None = None
        for task in mine:
            if before is not None and before.end > task.start:
                yield Fault(named(task), task.start, f"{core} for itself", f"{named(before)} until {before.end}")
            else:
                yield None
            if before is None or task.end > before.end:
                before = task
