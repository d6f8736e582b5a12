"""Rules on data, on columns: what an event reads is there, what it makes is what the residencies say."""

from __future__ import annotations

import numpy as np

from weft.model.columns import Large, Small
from weft.model.rules.case import Fault, kept_as
from weft.model.rules.columns.case import Found, PackedCase, owners
from weft.model.rules.columns.kernels import in_order, not_held, not_made, overlapping, short_of, summed, volumes
from weft.model.rules.columns.needs import needed_boxes


def tiles_read_what_they_need(case: PackedCase) -> Found:
    """The boxes of a use hold every element that the tile touches, halo included."""
    return _needs(case, writing=False)


def tiles_write_what_they_make(case: PackedCase) -> Found:
    """The boxes written are the tile's output, no more and no less."""
    return _needs(case, writing=True)


def _needs(case: PackedCase, writing: bool) -> Found:
    """Looks at the uses that stand for an operand of their op; others are the business of `operands_are_used_once`."""
    tasks, uses, ops = case.columns.tasks, case.columns.uses, case.workload.ops
    mine = np.flatnonzero((case.is_write == writing) & (uses.operand >= 0))
    most = max(len(op.operands) for op in ops)
    kind = tasks.op[case.task_of[mine]].astype(np.int64) * most + uses.operand[mine]
    order = in_order(kind, np.arange(len(mine)))
    first = np.searchsorted(kind[order], np.arange(len(ops) * most + 1))
    tensors = {tensor.name: number for number, tensor in enumerate(case.workload.tensors)}
    checked, wrong = 0, [np.zeros(0, np.int64)]
    for number, op in enumerate(ops):
        for position, operand in enumerate(op.operands):
            at = number * most + position
            group = mine[order[first[at] : first[at + 1]]]
            if (position == len(op.operands) - 1) != writing or not len(group):
                continue
            group = group[uses.tensor[group] == case.roots[tensors[operand.tensor]]]
            rows = case.task_of[group]
            needed = needed_boxes(case.workload, op, operand, tasks.tile[rows], case.shapes.shape[1])
            missing, held = short_of(needed, group, uses.boxes_first, uses.box)
            bad = (missing > 0) | (held != volumes(needed)) if writing else missing > 0
            wrong.append(rows[bad])
            checked += len(group)
    return Found(checked, np.concatenate(wrong))


def boxes_of_a_use_are_disjoint(case: PackedCase) -> Found:
    """No element is counted twice in one use."""
    uses = case.columns.uses
    several = np.flatnonzero(np.diff(uses.boxes_first) > 1)
    wrong: Large = np.zeros(0, np.int64)
    if len(several):
        use = owners(uses.boxes_first)
        rows = np.flatnonzero((np.diff(uses.boxes_first) > 1)[use])
        first = np.append(0, np.cumsum(np.diff(uses.boxes_first)[several]))
        wrong = case.task_of[use[overlapping(uses.box, rows, first)]]
    return Found(len(uses.operand), wrong)


def residencies_hold_what_is_read(case: PackedCase) -> Found:
    """The residencies that an event names are of its tensor, in its memory, and hold its boxes."""
    uses, moves, held = case.columns.uses, case.columns.transfers, case.columns.residencies
    its = (held.tensor, held.memory, held.box)
    wrong = (
        not_held(uses.tensor, uses.memory, uses.boxes_first, uses.box, uses.held_first, case.held, *its)
        & ~case.is_write
    )
    each = np.arange(len(moves.id) + 1)
    lost = not_held(moves.tensor, _sources(case), each, moves.box, moves.sources_first, case.source, *its)
    checked = len(uses.operand) - case.num_tasks + len(moves.id)
    return Found(checked, case.task_of[np.flatnonzero(wrong)], np.flatnonzero(lost))


def _sources(case: PackedCase) -> Small:
    """The memory that each transfer leaves."""
    ways = case.columns.ways
    return ways.memory[ways.memories_first[ways.routes_first[:-1]]][case.columns.transfers.way]


def data_is_there_when_read(case: PackedCase) -> Found:
    """A residency is valid when its reader starts."""
    tasks, moves = case.columns.tasks, case.columns.transfers
    rows, readers = case.reads
    valid_from = case.columns.residencies.valid_from
    return Found(
        len(rows) + len(case.source),
        readers[valid_from[rows] > tasks.start[readers]],
        case.movings[valid_from[case.source] > moves.start[case.movings]],
    )


def data_stays_while_read(case: PackedCase) -> Found:
    """A residency lasts until its reader has ended."""
    tasks, moves = case.columns.tasks, case.columns.transfers
    rows, readers = case.reads
    end = case.columns.residencies.end
    return Found(
        len(rows) + len(case.source),
        readers[end[rows] < tasks.end[readers]],
        case.movings[end[case.source] < moves.end[case.movings]],
    )


def residencies_have_one_maker(case: PackedCase) -> Found:
    """The event that a residency names as its writer makes it, and no other does."""
    held = case.columns.residencies
    rows, tasks = case.writings
    made = np.concatenate((rows, case.made))
    events = np.concatenate((tasks, case.num_tasks + case.makings))
    times = np.bincount(made, minlength=len(held.id))
    maker = np.full(len(held.id), -1, np.int64)
    maker[made] = events
    wrong = np.flatnonzero((times > 1) | (maker != np.where(held.writer < 0, -1, case.writer)))
    faults = []
    for row in wrong.tolist():
        residency = case.nouns.residency(row)
        found = case.event_ids[events[made == row]].tolist()
        needs = "to be made by no event" if residency.writer == -1 else f"to be made by event {residency.writer} alone"
        faults.append(Fault(kept_as(residency), residency.start, needs, " ".join(map(str, found)) or "none"))
    return Found(len(held.id), faults=faults)


def tasks_make_their_residencies(case: PackedCase) -> Found:
    """What a task writes is held from its start, valid at its end, in residencies that are its boxes."""
    tasks, uses, held = case.columns.tasks, case.columns.uses, case.columns.residencies
    rows, makers = case.writings
    use = case.writes[makers]
    fits = (held.tensor[rows] == uses.tensor[use]) & (held.memory[rows] == uses.memory[use])
    fits &= (held.start[rows] == tasks.start[makers]) & (held.valid_from[rows] == tasks.end[makers])
    of_uses = (uses.tensor, uses.boxes_first, uses.box, uses.held_first, case.held)
    partly = not_made(case.writes, *of_uses, held.tensor, held.box)
    return Found(len(rows) + case.num_tasks, np.concatenate((makers[~fits], np.flatnonzero(partly))))


def transfers_make_their_residencies(case: PackedCase) -> Found:
    """Each receiver holds the box moved, and no other, from the transfer's start, valid at its end."""
    moves, ways, held = case.columns.transfers, case.columns.ways, case.columns.residencies
    rows, makers = case.made, case.makings
    route = ways.routes_first[moves.way[makers]] + np.arange(len(rows)) - moves.made_first[makers]
    target = ways.memory[ways.memories_first[route + 1] - 1]
    fits = (held.tensor[rows] == moves.tensor[makers]) & (held.memory[rows] == target)
    fits &= (held.start[rows] == moves.start[makers]) & (held.valid_from[rows] == moves.end[makers])
    fits &= (held.box[rows] == moves.box[makers]).all(axis=(1, 2))
    return Found(2 * len(rows), transfers=makers[~fits])


def residencies_take_their_bits(case: PackedCase) -> Found:
    """Bits are elements times the tensor's width."""
    held = case.columns.residencies
    wrong = held.bits != volumes(held.box) * case.bits[held.tensor]
    return Found(len(wrong), residencies=np.flatnonzero(wrong))


def first_data_is_given(case: PackedCase) -> Found:
    """What no event makes is an input or a weight, in the outermost memory from cycle 0 on."""
    held = case.columns.residencies
    given = np.array([tensor.role in ("input", "weight") for tensor in case.workload.tensors], np.bool_)
    first = np.flatnonzero(held.writer == -1)
    fine = (held.memory[first] == case.outermost) & given[held.tensor[first]]
    fine &= (held.start[first] == 0) & (held.valid_from[first] == 0)
    return Found(len(first), residencies=first[~fine])


def residencies_end_with_their_last_reader(case: PackedCase) -> Found:
    """The end of a residency follows from its readers, as `Residency` says."""
    held, latency = case.columns.residencies, case.columns.latency_cycles
    kept = np.array([tensor.name in case.bare.kept for tensor in case.workload.tensors], np.bool_)
    stays = (held.memory == case.outermost) & kept[held.tensor]
    read = case.last_read >= 0
    wanted = np.where(stays, latency, np.where(read, case.last_read, held.valid_from))
    faults = []
    for row in np.flatnonzero(held.end != wanted).tolist():
        why = "when the schedule ends" if stays[row] else "with its last reader"
        if not stays[row] and not read[row]:
            why = "as soon as it is valid, for nothing reads it"
        residency = case.nouns.residency(row)
        needs = f"to end {why}, at {wanted[row]}"
        faults.append(Fault(kept_as(residency), residency.end, needs, str(residency.end)))
    return Found(len(wanted), faults=faults)


def outputs_come_home(case: PackedCase) -> Found:
    """When the schedule ends, residencies in the outermost memory hold each output whole."""
    held, latency, tensors = case.columns.residencies, case.columns.latency_cycles, case.workload.tensors
    home = np.flatnonzero((held.memory == case.outermost) & (held.end == latency))
    there = summed(held.tensor[home], volumes(held.box[home]), len(tensors)).tolist()
    checked, faults = 0, []
    for number, tensor in enumerate(tensors):
        if tensor.role != "output":
            continue
        checked += 1
        root = int(case.roots[number])
        elements = tensors[root].elements
        if there[root] < elements:
            needs = f"all {elements} elements in {case.chip.outermost} when the schedule ends"
            faults.append(Fault(f"output {tensor.name}", latency, needs, str(there[root])))
    return Found(checked, faults=faults)
