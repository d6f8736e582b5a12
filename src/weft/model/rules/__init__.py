"""What must hold of every schedule: one table of (sentence, facts), and `check` that asks it."""

from __future__ import annotations

from weft.model.chip import Chip
from weft.model.rules import data, form, movement, room, tiles
from weft.model.rules.case import Case, CheckResult, Fault, Rule
from weft.model.schedule import Schedule, Violation
from weft.model.workload import Workload

__all__ = ["RULES", "Case", "CheckResult", "Fault", "Rule", "check"]

RULES: tuple[Rule, ...] = (
    # ground: what all other rules rely on
    Rule("events and residencies have ids of their own", form.ids_are_unique, ground=True),
    Rule("everything that is named exists", form.names_exist, ground=True),
    Rule("boxes lie within what they are boxes of", form.boxes_are_sound, ground=True),
    Rule("what starts ends later", form.times_are_in_order, ground=True),
    Rule("energies and bits are not negative, rates are positive", form.amounts_are_sound, ground=True),
    # tasks
    Rule("the tiles of an op do all of it", tiles.tiles_fill_their_op),
    Rule("the tiles of an op do nothing twice", tiles.tiles_are_disjoint),
    Rule("a tile spans reductions and barriers whole", tiles.tiles_keep_whole_dims),
    Rule("a core takes the kind of its tasks", tiles.cores_take_the_kind),
    Rule("a core does one task at a time", tiles.cores_do_one_task_at_a_time),
    # data
    Rule("a task uses each operand of its op once", data.operands_are_used_once),
    Rule("a task reads all that its tile needs", data.tiles_read_what_they_need),
    Rule("a task writes exactly what its tile makes", data.tiles_write_what_they_make),
    Rule("the boxes of a use are disjoint", data.boxes_of_a_use_are_disjoint),
    Rule("residencies hold what is read from them", data.residencies_hold_what_is_read),
    Rule("data is there before it is read", data.data_is_there_when_read),
    Rule("data stays while it is read", data.data_stays_while_read),
    Rule("a residency is made once, by its writer", data.residencies_have_one_maker),
    Rule("a task makes what it writes, valid at its end", data.tasks_make_their_residencies),
    Rule("a transfer makes what it moves, valid at its end", data.transfers_make_their_residencies),
    Rule("a residency takes the bits of its box", data.residencies_take_their_bits),
    Rule("only inputs and weights are there from the start", data.first_data_is_given),
    Rule("a residency ends with its last reader", data.residencies_end_with_their_last_reader),
    Rule("outputs are in the outermost memory in the end", data.outputs_come_home),
    Rule("operands lie in memories of the core that hold their slot", data.slots_have_their_place),
    Rule("workspaces lie in memories of the core", data.workspaces_lie_in_the_core),
    # movement
    Rule("links join the memories of a route", movement.routes_are_real),
    Rule("the routes of a transfer are a tree", movement.routes_are_a_tree),
    Rule("a transfer books the lanes of its routes", movement.transfers_book_their_lanes),
    Rule("a transfer books ports of the memories on its routes", movement.transfers_book_their_ports),
    Rule("a transfer moves the bits of its box", movement.transfers_move_their_bits),
    Rule("a transfer waits for its set-up and the latency of its links", movement.transfers_wait_for_their_links),
    Rule("a transfer takes the time of its bits at its rate", movement.transfers_take_their_time),
    Rule("a streaming task books a way to its data", movement.streams_have_a_way),
    # room and rates
    Rule("what is in a memory fits in it", room.boxes_fit_in_their_memory),
    Rule("boxes of a tensor in one memory are held once", room.boxes_are_held_once),
    Rule("rates on a link sum to at most its bandwidth", room.links_carry_their_rate),
    Rule("rates on a port sum to at most its bandwidth", room.ports_carry_their_rate),
    Rule("an exclusive link serves one at a time", room.exclusive_links_serve_one_at_a_time),
    Rule("an exclusive port serves one at a time", room.exclusive_ports_serve_one_at_a_time),
    Rule("a task holds the exclusive ports of the memories it works from", movement.tasks_hold_their_ports),
    Rule("a transfer has an engine of the chip for itself", room.transfers_have_an_engine),
)


def check(workload: Workload, chip: Chip, schedule: Schedule) -> CheckResult:
    """Ask every rule about a schedule, in time that is near-linear in its events and residencies.

    Where a ground rule is broken the rules after the ground are not asked: they rely on it.

    Returns: how many elementary facts were looked at, and a violation for each that does not hold.
    """
    case = Case.of(workload, chip, schedule)
    checked = 0
    violations: list[Violation] = []
    for rule in RULES:
        for fact in rule.facts(case):
            checked += 1
            if fact is not None:
                violations.append(Violation(rule.sentence, *fact))
        if rule.ground and violations:
            break
    return CheckResult(checked, tuple(violations))
