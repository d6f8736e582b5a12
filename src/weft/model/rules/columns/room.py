"""Rules on room and rates, on columns: one sweep over time for all memories, one for all lanes, one for all ports."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from weft.model.columns import Large, Small, lanes_of, ports_of
from weft.model.rules.case import Fault
from weft.model.rules.columns.case import Found, PackedCase
from weft.model.rules.columns.kernels import alike, at_one_time, in_order, overlapping, peaks


def boxes_fit_in_their_memory(case: PackedCase) -> Found:
    """Residencies and workspaces in a memory sum to at most its size, at every instant."""
    columns, memories = case.columns, case.chip.memories
    held, tasks, table = columns.residencies, columns.tasks, columns.bookings
    count = len(held.id)
    start, end = np.concatenate((held.start, tasks.start)), np.concatenate((held.end, tasks.end))
    first = np.concatenate((np.arange(count), count + table.work_first))
    booking = np.concatenate((np.arange(count), count + tasks.booking.astype(np.int64)))
    checked, found = peaks(
        in_order(start, np.arange(len(start))),
        in_order(end, np.arange(len(end))),
        start,
        end,
        booking,
        first,
        np.concatenate((held.memory, table.work_memory)),
        np.concatenate((held.bits, table.work_bits)),
        np.array([memory.size_bits for memory in memories], np.int64),
    )
    faults = [
        Fault(f"memory {memories[number].name}", cycle, f"{bits} bits", f"{memories[number].size_bits} bits")
        for number, cycle, bits in found.tolist()
    ]
    return Found(checked, faults=faults)


def boxes_are_held_once(case: PackedCase) -> Found:
    """Boxes of one tensor that share time in one memory share no element.

    Equal boxes are looked at in the order of time; where different ones of a tensor overlap in a memory, time is one
    more axis.
    """
    held, num_tensors = case.columns.residencies, len(case.workload.tensors)
    lasting = np.flatnonzero(held.start < held.end)
    group = held.memory[lasting].astype(np.int64) * num_tensors + held.tensor[lasting]
    box = held.box[lasting]
    start, end = held.start[lasting], held.end[lasting]
    equal = alike(np.column_stack((group.astype(np.int32), box.reshape(len(box), -1))))
    in_time = in_order(start, np.arange(len(lasting)))
    again = at_one_time(in_time, equal, start, end) >= 0
    doubled = set(group[again].tolist())
    different = np.flatnonzero(equal == np.arange(len(equal)))
    crossing = np.unique(group[_overlapping(box, group, different)])
    if len(crossing):
        unclear = np.flatnonzero(np.isin(group, crossing))
        # moments numbered in their order: intervals meet as they do in cycles, which may be too many for a box
        moments = np.unique(np.stack((start[unclear], end[unclear]), axis=1), return_inverse=True)[1]
        timed = np.concatenate((box[unclear], moments.reshape(-1, 1, 2).astype(np.int32)), axis=1)
        crowded = _overlapping(timed, group[unclear], np.arange(len(unclear)))
        doubled |= set(group[unclear[crowded]].tolist())
    wrong = lasting[np.isin(group, sorted(doubled))] if doubled else ()
    return Found(len(lasting), residencies=wrong)


def _overlapping(box: Small, group: Large, rows: Large) -> Large:
    """Rows, some of each group that has any, whose box shares an element with another of its group."""
    order = in_order(group, rows)
    first = np.flatnonzero(np.diff(group[order], prepend=-1))
    return np.flatnonzero(overlapping(box, order, np.append(first, len(order))))


def links_carry_their_rate(case: PackedCase) -> Found:
    """Rates on each lane sum to at most its link's bandwidth, at every instant."""
    chip, table = case.chip, case.columns.bookings
    lanes = lanes_of(chip)
    most = [chip.lane_rate(chip.link(link)) for link, _ in lanes]
    names = [f"lane {lane}" for _, lane in lanes]
    return _rates(case, names, most, table.lanes_first, table.lane, table.lane_rate)


def ports_carry_their_rate(case: PackedCase) -> Found:
    """Rates on each port sum to at most its bandwidth, at every instant."""
    chip, table = case.chip, case.columns.bookings
    most = [chip.port_rate(memory, port) for memory in chip.memories for port in memory.ports]
    names = [f"port {memory}.{port}" for memory, port in ports_of(chip)]
    return _rates(case, names, most, table.ports_first, table.port, table.port_rate)


def _rates(
    case: PackedCase, names: list[str], most: list[Fraction], first: Large, resource: Small, rate: Large
) -> Found:
    scale = case.columns.scale
    checked, found = _peaks(case, first, resource, rate, [int(limit * scale) for limit in most])
    faults = [
        Fault(names[number], cycle, f"{Fraction(total, scale)} bit/cycle", f"{most[number]} bit/cycle")
        for number, cycle, total in found.tolist()
    ]
    return Found(checked, faults=faults)


def _peaks(case: PackedCase, first: Large, resource: Small, amount: Large, most: list[int]) -> tuple[int, Large]:
    return peaks(
        case.starting,
        case.ending,
        case.start,
        case.end,
        case.booking,
        first,
        resource,
        amount,
        np.array(most, np.int64),
    )


def exclusive_links_serve_one_at_a_time(case: PackedCase) -> Found:
    """At most one event uses a lane of an exclusive link; a full-duplex link has one lane per direction."""
    chip, table = case.chip, case.columns.bookings
    lanes = lanes_of(chip)
    alone = [chip.link(link).exclusive for link, _ in lanes]
    return _one_at_a_time(case, alone, [f"lane {lane}" for _, lane in lanes], table.lanes_first, table.lane)


def exclusive_ports_serve_one_at_a_time(case: PackedCase) -> Found:
    """At most one event uses an exclusive port."""
    table, ports = case.columns.bookings, [port for memory in case.chip.memories for port in memory.ports]
    names = [f"port {memory}.{port}" for memory, port in ports_of(case.chip)]
    return _one_at_a_time(case, [port.exclusive for port in ports], names, table.ports_first, table.port)


def _one_at_a_time(case: PackedCase, exclusive: list[bool], names: list[str], first: Large, resource: Small) -> Found:
    alone = np.array(exclusive, np.bool_)
    users: list[int] = []
    users_first = [0]
    for number in range(len(first) - 1):
        mine = resource[first[number] : first[number + 1]]
        users += np.unique(mine[alone[mine]]).tolist()
        users_first.append(len(users))
    checked, found = _peaks(
        case,
        np.array(users_first, np.int64),
        np.array(users, np.int32),
        np.ones(len(users), np.int64),
        [1] * len(names),
    )
    faults = [
        Fault(names[number], cycle, f"to serve {count} at a time", "room for 1: it is exclusive")
        for number, cycle, count in found.tolist()
    ]
    return Found(checked, faults=faults)


def transfers_have_an_engine(case: PackedCase) -> Found:
    """At every instant there are at most as many transfers as the chip has engines, where it says how many."""
    engines, moves = case.chip.transfer_engines, case.columns.transfers
    if engines is None:
        return Found(0)
    every = np.arange(len(moves.id))
    checked, found = peaks(
        in_order(moves.start, every),
        in_order(moves.end, every),
        moves.start,
        moves.end,
        np.zeros(len(every), np.int64),
        np.array([0, 1], np.int64),
        np.zeros(1, np.int32),
        np.ones(1, np.int64),
        np.array([engines], np.int64),
    )
    faults = [Fault("transfers", cycle, f"{count} engines", str(engines)) for _, cycle, count in found.tolist()]
    return Found(checked, faults=faults)
