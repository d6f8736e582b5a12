"""What tells each rule on columns, and `check_columns` that asks them all."""

from __future__ import annotations

from collections.abc import Callable

from weft.model.chip import Chip
from weft.model.columns import Columns
from weft.model.rules import RULES, CheckResult, data, form, movement, room, tiles
from weft.model.rules.columns import data as packed_data
from weft.model.rules.columns import form as packed_form
from weft.model.rules.columns import movement as packed_movement
from weft.model.rules.columns import room as packed_room
from weft.model.rules.columns import tiles as packed_tiles
from weft.model.rules.columns.case import Found, PackedCase
from weft.model.rules.columns.movement import Ask, ask_by_kind
from weft.model.schedule import Violation
from weft.model.workload import Workload

PACKED: dict[Ask, Callable[[PackedCase], Found]] = {
    form.ids_are_unique: packed_form.ids_are_unique,
    form.names_exist: packed_form.names_exist,
    form.boxes_are_sound: packed_form.boxes_are_sound,
    form.times_are_in_order: packed_form.times_are_in_order,
    form.amounts_are_sound: packed_form.amounts_are_sound,
    tiles.tiles_fill_their_op: packed_tiles.tiles_fill_their_op,
    tiles.tiles_are_disjoint: packed_tiles.tiles_are_disjoint,
    tiles.tiles_keep_whole_dims: packed_tiles.tiles_keep_whole_dims,
    tiles.cores_do_one_task_at_a_time: packed_tiles.cores_do_one_task_at_a_time,
    data.tiles_read_what_they_need: packed_data.tiles_read_what_they_need,
    data.tiles_write_what_they_make: packed_data.tiles_write_what_they_make,
    data.boxes_of_a_use_are_disjoint: packed_data.boxes_of_a_use_are_disjoint,
    data.residencies_hold_what_is_read: packed_data.residencies_hold_what_is_read,
    data.data_is_there_when_read: packed_data.data_is_there_when_read,
    data.data_stays_while_read: packed_data.data_stays_while_read,
    data.residencies_have_one_maker: packed_data.residencies_have_one_maker,
    data.tasks_make_their_residencies: packed_data.tasks_make_their_residencies,
    data.transfers_make_their_residencies: packed_data.transfers_make_their_residencies,
    data.residencies_take_their_bits: packed_data.residencies_take_their_bits,
    data.first_data_is_given: packed_data.first_data_is_given,
    data.residencies_end_with_their_last_reader: packed_data.residencies_end_with_their_last_reader,
    data.outputs_come_home: packed_data.outputs_come_home,
    movement.transfers_move_their_bits: packed_movement.transfers_move_their_bits,
    movement.transfers_take_their_time: packed_movement.transfers_take_their_time,
    room.boxes_fit_in_their_memory: packed_room.boxes_fit_in_their_memory,
    room.boxes_are_held_once: packed_room.boxes_are_held_once,
    room.links_carry_their_rate: packed_room.links_carry_their_rate,
    room.ports_carry_their_rate: packed_room.ports_carry_their_rate,
    room.exclusive_links_serve_one_at_a_time: packed_room.exclusive_links_serve_one_at_a_time,
    room.exclusive_ports_serve_one_at_a_time: packed_room.exclusive_ports_serve_one_at_a_time,
    room.transfers_have_an_engine: packed_room.transfers_have_an_engine,
}

OF_A_KIND_OF_TASKS: tuple[Ask, ...] = (
    tiles.cores_take_the_kind,
    data.operands_are_used_once,
    data.slots_have_their_place,
    data.workspaces_lie_in_the_core,
    movement.streams_have_a_way,
    movement.tasks_hold_their_ports,
)
OF_A_KIND_OF_TRANSFERS: tuple[Ask, ...] = (
    movement.routes_are_real,
    movement.routes_are_a_tree,
    movement.transfers_book_their_lanes,
    movement.transfers_book_their_ports,
    movement.transfers_wait_for_their_links,
)


def check_columns(workload: Workload, chip: Chip, columns: Columns) -> CheckResult:
    """`rules.check` of a schedule in columns: the same sentences, facts and violations."""
    case = PackedCase(workload, chip, columns)
    by_kind: dict[Ask, Found] = {}
    checked = 0
    violations: list[Violation] = []
    for rule in RULES:
        if rule.facts not in PACKED and not by_kind:
            by_kind |= ask_by_kind(case, OF_A_KIND_OF_TASKS, case.kinds_of_tasks, tasks=True)
            by_kind |= ask_by_kind(case, OF_A_KIND_OF_TRANSFERS, case.kinds_of_transfers, tasks=False)
        found = PACKED[rule.facts](case) if rule.facts in PACKED else by_kind[rule.facts]
        checked += found.checked
        violations += [Violation(rule.sentence, *fault) for fault in (*found.faults, *case.tell(rule, found))]
        if rule.ground and violations:
            break
    return CheckResult(checked, tuple(violations))
