"""Ground, on columns: ids, names, boxes, times, amounts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from weft.model.columns import Large
from weft.model.rules.case import Fault
from weft.model.rules.columns.case import Found, PackedCase, owners
from weft.model.rules.columns.kernels import unsound


def ids_are_unique(case: PackedCase) -> Found:
    """Tasks and transfers share one numbering; residencies have their own."""
    checked, faults = 0, []
    for kind, ids in (("event", case.event_ids), ("residency", case.columns.residencies.id)):
        numbers, times = np.unique(ids, return_counts=True)
        checked += len(numbers)
        for number, count in zip(numbers[times > 1].tolist(), times[times > 1].tolist(), strict=True):
            faults.append(Fault(f"{kind} {number}", 0, "an id of its own", f"{count} of that id"))
        for number in numbers[(times == 1) & (numbers < 0)].tolist():
            faults.append(Fault(f"{kind} {number}", 0, "an id from 0 on", str(number)))
    return Found(checked, faults=faults)


def names_exist(case: PackedCase) -> Found:
    """No number stands for nothing; a root tensor is one."""
    columns = case.columns
    tasks, uses, moves, held = columns.tasks, columns.uses, columns.transfers, columns.residencies
    table, ways = columns.bookings, columns.ways
    booked = _per_row(table.ports_first, table.port < 0) + _per_row(table.lanes_first, table.lane < 0)
    worked = _per_row(table.work_first, table.work_memory < 0)
    per_route = _per_row(ways.memories_first, ways.memory < 0) + _per_row(ways.links_first, ways.link < 0)
    routed = _per_row(ways.routes_first, per_route)
    unrooted = _unrooted(case, uses.tensor) + (uses.memory < 0) + _per_row(uses.held_first, case.held < 0)
    wrong_tasks = (tasks.op < 0) | (tasks.core < 0) | ((booked + worked)[tasks.booking] > 0)
    wrong_tasks |= _per_row(tasks.uses_first, unrooted) > 0
    wrong_moves = _unrooted(case, moves.tensor) | (routed[moves.way] > 0) | (booked[moves.booking] > 0)
    wrong_moves |= _per_row(moves.sources_first, case.source < 0) > 0
    wrong_moves |= _per_row(moves.made_first, case.made < 0) > 0
    written = held.writer != -1
    wrong_held = _unrooted(case, held.tensor) | (held.memory < 0) | (written & (case.writer < 0))
    faults = []
    for kind, name, known in (
        ("workload", columns.workload, case.workload.name),
        ("chip", columns.chip, case.chip.name),
    ):
        if name != known:
            faults.append(Fault("schedule", 0, f"a {kind} that exists", name))
    loads = np.diff(table.ports_first) + np.diff(table.lanes_first)
    hops = _per_row(ways.routes_first, np.diff(ways.memories_first) + np.diff(ways.links_first))
    checked = 2 + 2 * len(tasks.id) + 2 * len(uses.operand) + len(uses.held) + len(moves.id)
    checked += int((loads + np.diff(table.work_first))[tasks.booking].sum() + loads[moves.booking].sum())
    checked += int(hops[moves.way].sum()) + len(moves.source) + len(moves.made) + 2 * len(held.id) + int(written.sum())
    wrong = np.flatnonzero(wrong_tasks), np.flatnonzero(wrong_moves), np.flatnonzero(wrong_held)
    return Found(checked, *wrong, faults=faults)


def _per_row(first: Large, amounts: NDArray[np.generic]) -> Large:
    """Sums over each row's entries."""
    sums = np.concatenate((np.zeros(1, np.int64), np.cumsum(amounts, dtype=np.int64)))
    return sums[first[1:]] - sums[first[:-1]]


def _unrooted(case: PackedCase, tensor: NDArray[np.int32]) -> NDArray[np.bool_]:
    views: NDArray[np.bool_] = case.roots[tensor] != tensor
    return views | (tensor < 0)


def boxes_are_sound(case: PackedCase) -> Found:
    """No box is empty or reaches beyond its op or tensor."""
    columns = case.columns
    tasks, uses, moves, held = columns.tasks, columns.uses, columns.transfers, columns.residencies
    box_of = owners(uses.boxes_first)
    used = unsound(uses.box, uses.tensor[box_of], case.shapes)
    wrong = np.concatenate(
        (np.flatnonzero(unsound(tasks.tile, tasks.op, case.sizes)), case.task_of[box_of[np.flatnonzero(used)]])
    )
    return Found(
        len(tasks.id) + len(used) + len(moves.id) + len(held.id),
        wrong,
        np.flatnonzero(unsound(moves.box, moves.tensor, case.shapes)),
        np.flatnonzero(unsound(held.box, held.tensor, case.shapes)),
    )


def times_are_in_order(case: PackedCase) -> Found:
    """An event takes time; a residency becomes valid between its start and its end."""
    held = case.columns.residencies
    wrong = np.flatnonzero((case.start < 0) | (case.start >= case.end))
    tasks = wrong[wrong < case.num_tasks]
    ordered = (held.start >= 0) & (held.start <= held.valid_from) & (held.valid_from <= held.end)
    return Found(len(case.start) + len(ordered), tasks, wrong[len(tasks) :] - case.num_tasks, np.flatnonzero(~ordered))


def amounts_are_sound(case: PackedCase) -> Found:
    """No energy or workspace is negative, no rate is 0, a route has one link between two memories, a transfer has a
    residency per route."""
    columns = case.columns
    tasks, moves, table, ways = columns.tasks, columns.transfers, columns.bookings, columns.ways
    free = _per_row(table.ports_first, table.port_rate <= 0) + _per_row(table.lanes_first, table.lane_rate <= 0)
    free += _per_row(table.work_first, table.work_bits < 0)
    links, memories = np.diff(ways.links_first), np.diff(ways.memories_first)
    broken = _per_row(ways.routes_first, (links != memories - 1) | (links < 1))
    routes, made = np.diff(ways.routes_first)[moves.way], np.diff(moves.made_first)
    wrong_tasks = _worthless(tasks.energy_pj) | (free[tasks.booking] > 0)
    wrong_moves = _worthless(moves.energy_pj) | (free[moves.booking] > 0) | (moves.rate <= 0)
    wrong_moves |= (broken[moves.way] > 0) | (routes != made) | (routes < 1)
    loads = np.diff(table.ports_first) + np.diff(table.lanes_first)
    checked = len(tasks.id) + 3 * len(moves.id) + int(routes.sum()) + int(loads[moves.booking].sum())
    checked += int((loads + np.diff(table.work_first))[tasks.booking].sum())
    return Found(checked, np.flatnonzero(wrong_tasks), np.flatnonzero(wrong_moves))


def _worthless(energy_pj: NDArray[np.float64]) -> NDArray[np.bool_]:
    worthless: NDArray[np.bool_] = ~((energy_pj >= 0) & (energy_pj < np.inf))  # true of a NaN, too
    return worthless
