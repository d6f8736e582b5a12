"""Rules on tasks, on columns: the tiles of an op are the op, and a core does one at a time."""

from __future__ import annotations

import numpy as np

from weft.model.rules.case import Fault, named
from weft.model.rules.columns.case import Found, PackedCase
from weft.model.rules.columns.kernels import at_one_time, in_order, overlapping, summed, volumes


def tiles_fill_their_op(case: PackedCase) -> Found:
    """The iterations of an op's tasks sum to those of the op."""
    tasks, ops = case.columns.tasks, case.workload.ops
    done = summed(tasks.op, volumes(tasks.tile), len(ops)).tolist()
    faults = [
        Fault(f"op {op.name}", 0, f"{op.iterations} iterations in its tasks", str(mine))
        for op, mine in zip(ops, done, strict=True)
        if op.iterations != mine
    ]
    return Found(len(ops), faults=faults)


def tiles_are_disjoint(case: PackedCase) -> Found:
    """No two tasks of an op share an iteration."""
    tasks = case.columns.tasks
    order = in_order(tasks.op.astype(np.int64), np.arange(case.num_tasks))
    first = np.searchsorted(tasks.op[order], np.arange(len(case.workload.ops) + 1))
    doubled = np.unique(tasks.op[overlapping(tasks.tile, order, first)])
    return Found(case.num_tasks, np.flatnonzero(np.isin(tasks.op, doubled)) if len(doubled) else ())


def tiles_keep_whole_dims(case: PackedCase) -> Found:
    """A dim that partial sums run over, or that is a barrier, is not cut."""
    tasks = case.columns.tasks
    uncut = np.zeros(case.sizes.shape, np.bool_)
    for number, op in enumerate(case.workload.ops):
        uncut[number, : len(op.dims)] = [name in op.reduction | op.barrier for name, _ in op.dims]
    cut = (tasks.tile[:, :, 0] != 0) | (tasks.tile[:, :, 1] != case.sizes[tasks.op])
    wrong = (cut & uncut[tasks.op]).any(axis=1)
    return Found(int(uncut.sum(axis=1)[tasks.op].sum()), np.flatnonzero(wrong))


def cores_do_one_task_at_a_time(case: PackedCase) -> Found:
    """The tasks of a core do not share a cycle."""
    tasks = case.columns.tasks
    by_id = in_order(tasks.id.astype(np.int64), np.arange(case.num_tasks))
    before = at_one_time(in_order(tasks.start, by_id), tasks.core.astype(np.int64), tasks.start, tasks.end)
    faults = []
    for row in np.flatnonzero(before >= 0).tolist():
        task, other = case.nouns.task(row), case.nouns.task(int(before[row]))
        faults.append(Fault(named(task), task.start, f"{task.core} for itself", f"{named(other)} until {other.end}"))
    return Found(case.num_tasks, faults=faults)
