"""Each rule of schedules is broken by hand in the little schedule; exactly the rules that it breaks are named."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from tests.oracles.edits import (
    ALONE,
    AMOUNTS,
    BITS_HELD,
    BITS_MOVED,
    BOXES,
    DISJOINT,
    DURATION,
    ENGINE,
    EXCLUSIVE,
    FILL,
    FITS,
    GIVEN,
    HELD_ONCE,
    HOLD,
    HOLDS,
    HOME,
    IDS,
    KIND,
    LANES,
    LAST_READER,
    LATENCY,
    LINK_RATE,
    MAKES,
    NAMES,
    NEEDS,
    ONE_MAKER,
    ONE_TASK,
    OPERANDS,
    PORT_RATE,
    PORTS,
    ROUTE,
    SLOT,
    STAYS,
    STREAM,
    TASK_MAKES,
    THERE,
    TIMES,
    TRANSFER_MAKES,
    TREE,
    TWICE,
    WHOLE,
    WORKSPACE,
    Edit,
    World,
    added,
    broken_in,
    chip,
    core,
    link,
    memory,
    moved,
    no_residency,
    no_task,
    no_transfer,
    reads,
    residency,
    role,
    schedule,
    task,
    transfer,
    writes,
)
from tests.oracles.little import CHAN, CHIP, SCHEDULE, WORKLOAD, X0, X1, X_HALO, Y0, W
from weft.model.chip import Port as PortSpec
from weft.model.chip import Route, check_chip
from weft.model.rules import RULES, check
from weft.model.schedule import LaneLoad, PortLoad, Residency, Use

C0_TILE = (("K", (0, 4)), ("C", (0, 2)), ("OX", (0, 4)), ("FX", (0, 3)))
UP, DOWN = LaneLoad("up", "up>", Fraction(4)), LaneLoad("down", "down>", Fraction(4))
OUT_OF_M0, INTO_M1 = PortLoad("m0", "r", Fraction(4)), PortLoad("m1", "w", Fraction(4))
HUB = PortLoad("hub", "rw", Fraction(4))


def alone(name: str, port: str) -> tuple[PortSpec, ...]:
    """A memory's ports, one of them exclusive."""
    return tuple(replace(it, exclusive=it.name == port) for it in CHIP.memory(name).ports)


BROKEN: dict[str, tuple[set[str], tuple[Edit, ...]]] = {
    # ids
    "two events have one id": ({IDS}, (transfer(2, id=1),)),
    "a task and a transfer have one id": ({IDS}, (task(3, id=5),)),
    "two residencies have one id": ({IDS}, (residency(4, id=3),)),
    "an event has the id of what is there from the start": ({IDS}, (transfer(0, id=-1),)),
    # names
    "a task of an unknown op": ({NAMES}, (task(3, op="pool"),)),
    "a task on an unknown core": ({NAMES}, (task(3, core="c9"),)),
    "a task reads an unknown residency": ({NAMES}, (reads(3, 0, residencies=(99,)),)),
    "a use names a view instead of its root": ({NAMES}, (reads(7, 0, tensor="y_seen"),)),
    "a use lies in an unknown memory": ({NAMES}, (writes(3, memory="m7"),)),
    "a transfer over an unknown link": ({NAMES}, (transfer(0, routes=(Route(("dram", "m0"), ("bus",)),)),)),
    "a transfer through an unknown memory": (
        {NAMES},
        (transfer(5, routes=(Route(("m0", "m7", "m1"), ("up", "down")),)),),
    ),
    "a lane that its half-duplex link does not have": (
        {NAMES},
        (transfer(0, lanes=(LaneLoad("chan", "chan>", CHAN),)),),
    ),
    "a port that its memory does not have": ({NAMES}, (task(3, ports=(PortLoad("m0", "rw", Fraction(1)),)),)),
    "a residency without its event": ({NAMES}, (no_transfer(9),)),
    "a residency that is missing": ({NAMES}, (no_residency(5),)),
    "a workspace in an unknown memory": ({NAMES}, (task(3, workspace=(("m7", 1),)),)),
    "a schedule of another workload": ({NAMES}, (schedule(workload="large"),)),
    "a schedule for another chip": ({NAMES}, (schedule(chip="trio"),)),
    # boxes
    "a tile without one of its dims": ({BOXES}, (task(3, ranges=C0_TILE[:3]),)),
    "a tile that names a dim twice": ({BOXES}, (task(3, ranges=(*C0_TILE, ("K", (0, 4)))),)),
    "a tile beyond its op": ({BOXES}, (task(4, ranges=(*C0_TILE[:2], ("OX", (4, 9)), ("FX", (0, 3)))),)),
    "a tile of nothing": ({BOXES}, (task(4, ranges=(*C0_TILE[:2], ("OX", (4, 4)), ("FX", (0, 3)))),)),
    "a box beyond its tensor": ({BOXES}, (transfer(2, box=((0, 2), (6, 11))),)),
    "a box with an axis too few": ({BOXES}, (residency(3, box=((0, 2),)),)),
    "an empty box in a use": ({BOXES}, (reads(3, 0, boxes=(X0, ((0, 0), (0, 6)))),)),
    # times
    "a task that takes no time": ({TIMES}, (task(3, end=18),)),
    "a transfer that ends before it starts": ({TIMES}, (transfer(9, end=66),)),
    "a start before the first cycle": ({TIMES}, moved(0, -1)),
    "a residency valid before it is there": ({TIMES}, (residency(5, start=29),)),
    "a residency that ends before it is valid": ({TIMES}, (residency(5, end=27),)),
    # amounts
    "a negative energy of a task": ({AMOUNTS}, (task(3, energy_pj=-1.0),)),
    "an energy that is no number": ({AMOUNTS}, (transfer(0, energy_pj=math.nan),)),
    "an energy without end": ({AMOUNTS}, (transfer(0, energy_pj=math.inf),)),
    "a booked rate of zero": ({AMOUNTS}, (task(3, ports=(PortLoad("m0", "r", Fraction(0)),)),)),
    "a negative workspace": ({AMOUNTS}, (task(3, workspace=(("m0", -1),)),)),
    "a transfer at no rate": ({AMOUNTS}, (transfer(0, rate=Fraction(0)),)),
    "a route with a link too few": ({AMOUNTS}, (transfer(5, routes=(Route(("m0", "hub", "m1"), ("up",)),)),)),
    # coverage of the op
    "a tile is missing": (
        {FILL, HOME},
        (
            *(no_task(8), no_transfer(6), no_residency(8), no_residency(10)),
            *(residency(6, end=38), residency(0, end=75), residency(1, end=75), residency(11, end=75)),
        ),
    ),
    "a tile one column short": (
        {FILL, MAKES},
        (task(4, ranges=(*C0_TILE[:2], ("OX", (4, 7)), ("FX", (0, 3)))),),
    ),
    "two tiles of an op share a column": (
        {FILL, TWICE, NEEDS, MAKES},
        (task(4, ranges=(*C0_TILE[:2], ("OX", (3, 8)), ("FX", (0, 3)))),),
    ),
    "one tile done twice, the other never": (
        {TWICE, NEEDS, MAKES},
        (task(4, ranges=C0_TILE),),
    ),
    "a reduction that is cut": (
        {FILL, WHOLE},
        (task(3, ranges=(("K", (0, 4)), ("C", (0, 1)), ("OX", (0, 4)), ("FX", (0, 3)))),),
    ),
    "a kernel that is cut": (
        {FILL, WHOLE},
        (task(3, ranges=(("K", (0, 4)), ("C", (0, 2)), ("OX", (0, 4)), ("FX", (1, 3)))),),
    ),
    "a barrier that is cut": (
        {FILL, WHOLE, MAKES},
        (task(7, ranges=(("R", (0, 4)), ("L", (0, 3)))),),
    ),
    # cores
    "a task on a core that does not take it": (
        {KIND},
        (core("c1", ops=frozenset({"pool"})),),
    ),
    "a task on the core of another": (
        {KIND, SLOT},
        (task(7, core="c0"),),
    ),
    "a task that starts one cycle before the last one has ended": ({ONE_TASK, FITS, LAST_READER}, moved(4, -1)),
    "a task inside another's time": ({ONE_TASK, FITS, THERE, LAST_READER}, moved(4, -8)),
    # operands
    "an input that is not read": (
        {OPERANDS, LAST_READER},
        (
            task(4, reads=(Use("I", "x", "m0", (X_HALO, X1), (3, 4)),)),
            task(3, reads=(Use("I", "x", "m0", (X0,), (3,)),)),
        ),
    ),
    "an input that is read twice": (
        {OPERANDS},
        (task(7, reads=(Use("I", "y", "m1", (Y0,), (7,)), Use("I", "y", "m1", (Y0,), (7,)))),),
    ),
    "an input under another's letter": ({OPERANDS}, (reads(3, 1, operand="I"),)),
    "an output under another's letter": ({OPERANDS}, (writes(3, operand="I"),)),
    # needs
    "a halo column that is not read": ({NEEDS}, (reads(4, 0, boxes=(((0, 2), (5, 6)), X1)),)),
    "a halo that is not read at all": ({NEEDS, LAST_READER}, (reads(4, 0, boxes=(X1,), residencies=(4,)),)),
    "a row of a transposed operand that is not read": ({NEEDS}, (reads(7, 0, boxes=(((0, 3), (0, 4)),)),)),
    "boxes of a use that overlap": (
        {DISJOINT},
        (reads(4, 0, boxes=(X_HALO, X1, ((0, 1), (5, 7)))),),
    ),
    "a box listed twice in a use": ({DISJOINT, MAKES, TASK_MAKES}, (writes(3, boxes=(Y0, Y0)),)),
    "more written than the tile makes": ({MAKES, TASK_MAKES}, (writes(3, boxes=(((0, 4), (0, 5)),)),)),
    "less written than the tile makes": ({MAKES, TASK_MAKES}, (writes(3, boxes=(((0, 4), (0, 3)),)),)),
    # residencies that are read
    "a task reads from a residency of another tensor": ({HOLD, LAST_READER, THERE}, (reads(7, 0, residencies=(9,)),)),
    "a task names a residency in another memory": ({HOLD}, (reads(3, 0, residencies=(0,)),)),
    "a task reads a column that its residency does not hold": (
        {HOLD},
        (reads(3, 0, boxes=(((0, 2), (0, 7)),)),),
    ),
    "a transfer moves more than its source holds": (
        {HOLD, TRANSFER_MAKES, BITS_MOVED},
        (transfer(5, box=((0, 4), (0, 5))),),
    ),
    "a transfer without a source": ({HOLD, LAST_READER}, (transfer(5, sources=()),)),
    "a source named twice": ({HOLD}, (transfer(5, sources=(5, 5)),)),
    # when
    "a task one cycle before its data": ({THERE, LAST_READER}, moved(7, -1)),
    "a transfer one cycle before its data": ({THERE, LAST_READER}, moved(5, -1)),
    "a residency dropped one cycle before its reader ends": ({STAYS, LAST_READER}, (residency(5, end=61),)),
    "dirty data dropped before it is written home": ({STAYS, LAST_READER}, (residency(9, end=67),)),
    "a residency that is kept for no reader": ({LAST_READER}, (residency(4, end=39),)),
    "an input dropped from the outermost memory": ({LAST_READER}, (residency(0, end=22),)),
    # who makes what
    "a residency claims another writer": ({ONE_MAKER}, (residency(5, writer=4),)),
    "two events make one residency": ({ONE_MAKER, TASK_MAKES}, (writes(4, residencies=(6, 5)),)),
    "a residency that its writer does not make": (
        {ONE_MAKER, HELD_ONCE},
        (added(Residency(12, "m0", "y", Y0, 128, 18, 28, 28, 3)),),
    ),
    "what a task writes is held one cycle late": ({TASK_MAKES}, (residency(5, start=19),)),
    "what a task writes is valid one cycle early": ({TASK_MAKES}, (residency(6, valid_from=37),)),
    "what a task writes lies elsewhere": (
        {TASK_MAKES, HOLD},
        (residency(9, memory="m0"),),
    ),
    "what a task writes is of another tensor, and of another rank": (
        {TASK_MAKES, ONE_MAKER},
        (writes(3, residencies=(2,)),),
    ),
    "what a task writes is held in part": (
        {TASK_MAKES, HOLD},
        (residency(5, box=((0, 4), (0, 3)), bits=96),),
    ),
    "what a transfer moves is held one cycle late": ({TRANSFER_MAKES}, (residency(3, start=13),)),
    "what a transfer moves is valid one cycle early": ({TRANSFER_MAKES}, (residency(7, valid_from=61),)),
    "a transfer makes another box": (
        {TRANSFER_MAKES, HOLD},
        (residency(4, box=((0, 2), (7, 10)), bits=48),),
    ),
    "an event for what is there from the start": ({ONE_MAKER, GIVEN}, (residency(3, writer=-1),)),
    "an intermediate that is there from the start": (
        {GIVEN, LAST_READER},
        (role("x", "intermediate"),),
    ),
    "an input that is there from cycle 1": ({GIVEN, THERE}, (residency(1, start=1, valid_from=1),)),
    "weights that lie in a core from the start": ({GIVEN}, (added(Residency(12, "m0", "w", W, 192, 0, 0, 0, -1)),)),
    # bits
    "a residency one bit too small": ({BITS_HELD}, (residency(5, bits=127),)),
    "a residency one bit too large": ({BITS_HELD}, (residency(11, bits=129),)),
    "a transfer one bit too small": ({BITS_MOVED}, (transfer(5, bits=127),)),
    # outputs
    "an output that is not written home": (
        {HOME},
        (no_transfer(9), no_residency(11), residency(9, end=67)),
    ),
    "an output that is dropped after it came home": ({LAST_READER, HOME}, (residency(11, end=82),)),
    # places
    "an operand in a memory that does not hold its slot": (
        {SLOT, STREAM},
        (core("c1", levels=(replace(CHIP.core("c1").levels[0], slots=frozenset({"I", "W"})),)),),
    ),
    "an operand read from the outermost memory without streaming": ({SLOT}, (writes(8, streamed=False),)),
    "a workspace in another core's memory": ({WORKSPACE}, (task(3, workspace=(("m1", 16),)),)),
    "a workspace in the outermost memory": ({WORKSPACE}, (task(8, workspace=(("dram", 32),)),)),
    # routes
    "a link that does not join the memories": (
        {ROUTE, LANES, LATENCY},
        (transfer(0, routes=(Route(("dram", "m0"), ("up",)),)),),
    ),
    "a second link that does not join the memories": (
        {ROUTE, LANES, LATENCY},
        (transfer(5, routes=(Route(("m0", "hub", "m1"), ("up", "up")),)),),
    ),
    "two routes to one memory": (
        {TREE, ONE_MAKER},
        (transfer(0, routes=(Route(("dram", "m0"), ("chan",)),) * 2, residencies=(2, 2)),),
    ),
    "a transfer without a route": ({AMOUNTS}, (transfer(0, routes=(), residencies=()),)),
    "a route without a residency": ({AMOUNTS}, (transfer(0, residencies=()),)),
    "a route that passes a memory twice": (
        {TREE, LANES, PORTS, LATENCY},
        (transfer(5, routes=(Route(("m0", "hub", "m0", "hub", "m1"), ("up", "up", "up", "down")),)),),
    ),
    "a lane in the wrong direction": ({LANES}, (transfer(5, lanes=(LaneLoad("up", "up<", Fraction(4)), DOWN)),)),
    "a lane that is not booked": ({LANES}, (transfer(5, lanes=(UP,)),)),
    "a lane booked at another rate": ({LANES}, (transfer(5, lanes=(UP, replace(DOWN, rate=Fraction(3)))),)),
    "a lane booked twice": ({LANES, LINK_RATE}, (transfer(5, lanes=(UP, DOWN, DOWN)),)),
    "a source that is not read": ({PORTS}, (transfer(5, ports=(HUB, HUB, INTO_M1)),)),
    "a destination that is not written": ({PORTS}, (transfer(5, ports=(OUT_OF_M0, HUB, HUB)),)),
    "a passed memory that is written but not read": ({PORTS}, (transfer(5, ports=(OUT_OF_M0, HUB, INTO_M1)),)),
    "a source read through a port for writing": (
        {PORTS},
        (transfer(5, ports=(PortLoad("m0", "w", Fraction(4)), HUB, HUB, INTO_M1)),),
    ),
    "a source read at twice the rate": (
        {PORTS},
        (
            memory("dram", ports=(PortSpec("rw", "read_write", 32, 8),)),
            transfer(0, ports=(PortLoad("dram", "rw", 2 * CHAN), PortLoad("m0", "w", CHAN))),
        ),
    ),
    "a port at another rate than the transfer": (
        {PORTS},
        (transfer(5, ports=(replace(OUT_OF_M0, rate=Fraction(3)), HUB, HUB, INTO_M1)),),
    ),
    "a port of a memory that is not on the route": (
        {PORTS},
        (transfer(1, ports=(PortLoad("dram", "rw", CHAN), PortLoad("m0", "w", CHAN), PortLoad("m1", "r", CHAN))),),
    ),
    "a link's latency that is not waited for": ({LATENCY, DURATION}, (transfer(5, setup_cycles=0),)),
    "a latency in the wrong clock": ({LATENCY, DURATION}, (transfer(5, setup_cycles=1),)),
    "a transfer one cycle too short": (
        {DURATION},
        (transfer(6, start=39), residency(8, start=39)),
    ),
    "a transfer one cycle too long": (
        {DURATION},
        (transfer(2, end=23), residency(4, valid_from=23)),
    ),
    # streams
    "a stream without lanes": ({STREAM}, (task(8, lanes=()),)),
    "a stream over a link that leads elsewhere": ({STREAM}, (task(8, lanes=(LaneLoad("up", "up>", Fraction(1)),)),)),
    "a stream without a port where its data lies": ({STREAM}, (task(8, ports=()),)),
    # room
    "a memory one bit too small": ({FITS}, (memory("m0", size_bits=623),)),
    "another memory one bit too small": ({FITS}, (memory("m1", size_bits=383),)),
    "a workspace one bit too large": ({FITS}, (task(4, workspace=(("m0", 17),)),)),
    "an element that is held twice": (
        {HELD_ONCE, TRANSFER_MAKES, BITS_MOVED, DURATION, FITS},
        (residency(4, box=((0, 2), (5, 10)), bits=80), transfer(2, bits=80)),
    ),
    "what is there is fetched again": (
        {HELD_ONCE, FITS},
        (
            transfer(2, box=((0, 2), (4, 10)), bits=96, end=24),
            residency(4, box=((0, 2), (4, 10)), bits=96, valid_from=24),
        ),
    ),
    # rates
    "a link with less than what is booked": ({LINK_RATE}, (link("down", bandwidth_bits=7),)),
    "a lane booked beyond its link by a task": (
        {LINK_RATE},
        (task(8, lanes=(LaneLoad("chan", "chan", CHAN + Fraction(1, 1000)),)),),
    ),
    "a port with less than what is booked": (
        {PORT_RATE},
        (memory("hub", ports=(replace(CHIP.memory("hub").ports[0], bandwidth_bits=15),)),),
    ),
    "a task and a transfer that ask too much of a port": (
        {PORT_RATE},
        (task(3, ports=(PortLoad("m0", "w", Fraction(33, 2)),)),),
    ),
    "an exclusive link used twice at a time": (
        {EXCLUSIVE, LINK_RATE, PORT_RATE},
        (*moved(8, -3), *(residency(id, end=80) for id in (0, 1, 8, 10, 11))),
    ),
    "a link that is exclusive in another chip": ({EXCLUSIVE}, (link("down", exclusive=True),)),
    "a port that is exclusive in another chip": ({ALONE}, (memory("hub", ports=alone("hub", "rw")),)),
    "an exclusive port through which transfers pass beside tasks": (
        {ALONE, HOLDS},
        (memory("m1", ports=alone("m1", "w")),),
    ),
    "an exclusive port of which tasks hold a part": ({HOLDS}, (memory("m1", ports=alone("m1", "r")),)),
    # engines
    "a chip with one engine where two transfers run": ({ENGINE}, (chip(transfer_engines=1),)),
    "a chip with two engines where three transfers run": (
        {ENGINE, THERE, LAST_READER},
        (chip(transfer_engines=2), *moved(9, -6)),
    ),
    "a set-up that is not waited for": ({LATENCY}, (chip(transfer_setup_cycles=1),)),
}


def broken(edits: tuple[Edit, ...]) -> tuple[World, set[str]]:
    return broken_in((WORKLOAD, CHIP, SCHEDULE), edits)


def test_the_little_chip_is_a_chip() -> None:
    assert check_chip(CHIP) == []


def test_the_little_schedule_obeys_all_rules() -> None:
    result = check(WORKLOAD, CHIP, SCHEDULE)
    assert result.violations == ()
    assert result.ok
    assert result.checked > 30 * (len(SCHEDULE.tasks) + len(SCHEDULE.transfers))


def test_every_rule_is_broken_at_least_twice() -> None:
    for rule in RULES:
        assert sum(rule.sentence in rules for rules, _ in BROKEN.values()) >= 2, rule.sentence


def test_sentences_are_their_own() -> None:
    assert len({rule.sentence for rule in RULES}) == len(RULES)


def test_a_violation_says_what_is_needed_and_what_there_is() -> None:
    def told(name: str) -> list[str]:
        return [str(violation) for violation in check(*broken(BROKEN[name][1])[0]).violations]

    assert told("a memory one bit too small") == [
        "cycle 28: what is in a memory fits in it: memory m0 needs 624 bits, has 623 bits"
    ]
    assert told("a halo that is not read at all")[:1] == [
        "cycle 28: a task reads all that its tile needs: I of task 4 (conv K[0,4) C[0,2) OX[4,8) FX[0,3) on c0)"
        " needs the 12 elements of x [0,2)x[4,10), has 8 of them: [0,2)x[6,10)"
    ]
    assert told("a link with less than what is booked") == [
        "cycle 38: rates on a link sum to at most its bandwidth: lane down> needs 8 bit/cycle, has 7 bit/cycle"
    ]
    assert told("a link that is exclusive in another chip") == [
        "cycle 38: an exclusive link serves one at a time: lane down> needs to serve 2 at a time,"
        " has room for 1: it is exclusive"
    ]
    assert [line.split(") needs ")[1] for line in told("a passed memory that is written but not read")] == [
        "ports of hub for writing and reading at 4, has rw at 4"
    ]
    assert [line.split(") needs ")[1] for line in told("a source that is not read")] == [
        "ports of m0 for reading at 4, has none"
    ]
    assert [line.split(") needs ")[1] for line in told("a destination that is not written")] == [
        "ports of m1 for writing at 4, has none"
    ]
    assert [line.split(") needs ")[1] for line in told("a stream without lanes")] == ["lanes to dram from c1, has none"]
    assert [line.split(") needs ")[1] for line in told("a transfer one cycle too long")] == [
        "4 cycles for 64 bits at 16 after 0, has 5 cycles"
    ]
    assert [line.split(") needs ")[1] for line in told("a task reads a column that its residency does not hold")] == [
        "14 elements of x in m0, has 12 in the residencies it names"
    ]
    assert [line.split(") needs ")[1] for line in told("an event for what is there from the start")][:1] == [
        "to be made by no event, has 1"
    ]
    assert told("a tile is missing")[1:] == [
        "cycle 75: outputs are in the outermost memory in the end: output z needs all 32 elements in dram when the"
        " schedule ends, has 16"
    ]


def test_nothing_may_cost_nothing() -> None:
    assert broken((task(3, energy_pj=0.0, workspace=(("m0", 0),)), transfer(0, energy_pj=0.0)))[1] == set()


def test_rules_after_the_ground_are_not_asked_where_the_ground_is_broken() -> None:
    _, rules = broken((task(3, core="c9"), residency(5, bits=127)))
    assert rules == {NAMES}


def test_a_transfer_may_use_two_ports_of_a_memory_it_passes() -> None:
    ports = (PortSpec("in", "write", 8, 8), PortSpec("out", "read", 8, 8))
    booked = (PortLoad("hub", "in", Fraction(4)), PortLoad("hub", "out", Fraction(4)))
    edits = [memory("hub", ports=ports)]
    for id in (5, 6):
        edits.append(transfer(id, ports=(OUT_OF_M0, *booked, INTO_M1)))
    assert broken(tuple(edits))[1] == set()
    assert broken((*edits, transfer(5, ports=(OUT_OF_M0, booked[0], INTO_M1))))[1] == {PORTS}
    assert broken((*edits, transfer(5, ports=(OUT_OF_M0, booked[1], INTO_M1))))[1] == {PORTS}


def test_a_port_for_both_directions_may_take_the_one_that_no_other_port_took() -> None:
    both = PortSpec("rw", "read_write", 8, 8)
    for other in (PortSpec("in", "write", 8, 8), PortSpec("out", "read", 8, 8)):
        for ports in ((both, other), (other, both)):
            booked = (PortLoad("hub", "rw", Fraction(4)), PortLoad("hub", other.name, Fraction(4)))
            edits = (
                memory("hub", ports=ports),
                transfer(5, ports=(OUT_OF_M0, *booked, INTO_M1)),
                transfer(6, ports=(OUT_OF_M0, *booked, INTO_M1)),
            )
            assert broken(edits)[1] == set()


def test_an_input_may_be_streamed_from_another_core_over_several_links() -> None:
    """The first softmax tile reads y where conv left it, while it runs."""
    rate = Fraction(1)
    ports = (PortLoad("m0", "r", rate), PortLoad("m1", "w", Fraction(8)))
    lanes = (LaneLoad("up", "up>", rate), LaneLoad("down", "down>", rate))
    streamed = (
        reads(7, 0, memory="m0", residencies=(5,), streamed=True),
        task(7, ports=ports, lanes=lanes),
        residency(5, end=67),
        residency(7, end=62),
        *(link(name, bandwidth_bits=2 * CHIP.link(name).bandwidth_bits) for name in ("up", "down")),
    )
    assert broken(streamed)[1] == set()
    back = (LaneLoad("up", "up<", rate), LaneLoad("down", "down<", rate))
    assert broken((*streamed, task(7, lanes=back)))[1] == {STREAM}
    assert broken((*streamed, task(7, lanes=lanes[1:])))[1] == {STREAM}
    assert broken((*streamed, task(7, ports=ports[1:])))[1] == {STREAM}
    assert broken((*streamed, task(7, ports=(PortLoad("m0", "w", rate), ports[1]))))[1] == {STREAM}


def test_one_load_of_twice_the_rate_serves_both_directions_of_a_port_passed() -> None:
    twice = PortLoad("hub", "rw", Fraction(8))
    assert broken((transfer(5, ports=(OUT_OF_M0, twice, INTO_M1)),))[1] == set()
    assert broken((transfer(5, ports=(PortLoad("m0", "r", Fraction(8)), twice, INTO_M1)),))[1] == {PORTS}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_schedule_breaks_exactly_the_rules_it_breaks(name: str) -> None:
    expected, edits = BROKEN[name]
    world, rules = broken(edits)
    assert world != (WORKLOAD, CHIP, SCHEDULE)
    assert rules == expected


def test_the_page_on_schedules_names_every_rule() -> None:
    page = (Path(__file__).parents[2] / "docs" / "schedules.md").read_text("utf-8")
    assert [rule.sentence for rule in RULES if rule.sentence not in page] == []
