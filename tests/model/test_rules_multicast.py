"""One box to several memories at once: what the rules ask of its routes, bookings and receivers."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from tests.oracles.cast import BOOKED, CHIP, CORES, DOWN, EVERYONE, HUB, SCHEDULE, SHARED, WORKLOAD, lanes, ports
from tests.oracles.edits import (
    AMOUNTS,
    BITS_MOVED,
    DURATION,
    ENGINE,
    FITS,
    HOLD,
    LANES,
    LAST_READER,
    LATENCY,
    LINK_RATE,
    NAMES,
    ONE_MAKER,
    PORT_RATE,
    PORTS,
    ROUTE,
    STAYS,
    THERE,
    TRANSFER_MAKES,
    TREE,
    Edit,
    broken_in,
    chip,
    link,
    memory,
    moved,
    reads,
    residency,
    transfer,
)
from tests.oracles.mutants import earliest
from weft.execute.replay import check_replay, orders, replay
from weft.model.chip import Route, check_chip
from weft.model.rules import check

TO_A, TO_B, TO_C, TO_D = EVERYONE
DETOUR = Route(("dram", "hub", "c"), ("trunk", "leg_d"))
BACK = Route(("dram", "hub", "dram"), ("trunk", "trunk"))
FROM_B = Route(("b", "dram", "hub", "d"), ("bus", "trunk", "leg_d"))

BROKEN: dict[str, tuple[set[str], tuple[Edit, ...]]] = {
    # routes and receivers
    "a receiver without a residency": ({AMOUNTS}, (transfer(0, residencies=(2, 3, 4)),)),
    "a residency without a receiver": ({AMOUNTS}, (transfer(0, routes=EVERYONE[:3]),)),
    "an unknown memory among the receivers": (
        {NAMES},
        (transfer(0, routes=(*EVERYONE[:3], Route(("dram", "e"), ("bus",)))),),
    ),
    "a route with a link too few": (
        {AMOUNTS},
        (transfer(0, routes=(*EVERYONE[:3], Route(("dram", "hub", "d"), ("trunk",)))),),
    ),
    "a route of a memory alone": ({AMOUNTS}, (transfer(0, routes=(*EVERYONE[:3], Route(("dram",), ()))),)),
    "a receiver over a link that does not lead to it": (
        {ROUTE, LANES, LATENCY},
        (
            transfer(0, routes=(TO_A, TO_B, TO_C, Route(("dram", "d"), ("bus",)))),
            transfer(0, ports=ports("dram.rw", "a.w", "b.w", *HUB, "c.w", "d.w")),
        ),
    ),
    "one receiver twice": ({TREE, ONE_MAKER}, (transfer(0, routes=(*EVERYONE, TO_D), residencies=(2, 3, 4, 5, 5)),)),
    "routes that meet again": (
        {ROUTE, TREE, TRANSFER_MAKES, LANES, PORTS},
        (transfer(0, routes=(TO_A, TO_B, TO_C, DETOUR)),),
    ),
    "a route that comes back to the source": (
        {TREE, TRANSFER_MAKES, PORTS, LATENCY, LANES},
        (transfer(0, routes=(TO_A, TO_B, TO_C, BACK)),),
    ),
    "routes from two sources": ({TREE, LANES, PORTS}, (transfer(0, routes=(TO_A, TO_B, TO_C, FROM_B)),)),
    # one use per link
    "a bus booked once per receiver": (
        {LANES, LINK_RATE},
        (transfer(0, lanes=(*SHARED, *lanes(("bus",)))),),
    ),
    "a trunk booked once per route": ({LANES, LINK_RATE}, (transfer(0, lanes=(*SHARED, *lanes(("trunk>",)))),)),
    "a leg that is not booked": ({LANES}, (transfer(0, lanes=SHARED[:3]),)),
    "a leg booked in the other direction": (
        {LANES},
        (transfer(0, lanes=(*SHARED[:3], *lanes(("leg_d<",)))),),
    ),
    "a leg at half the rate": (
        {LANES},
        (transfer(0, lanes=(*SHARED[:3], replace(SHARED[3], rate=SHARED[3].rate / 2))),),
    ),
    # one source read, one write per receiver
    "a source read once per receiver": (
        {PORTS},
        (
            memory("dram", ports=(replace(CHIP.memory("dram").ports[0], bandwidth_bits=64),)),
            transfer(0, ports=(*ports("dram.rw", "dram.rw", "dram.rw"), *BOOKED)),
        ),
    ),
    "a source that is not read": ({PORTS}, (transfer(0, ports=BOOKED[1:]),)),
    "a receiver that is not written": ({PORTS}, (transfer(0, ports=BOOKED[:-1]),)),
    "a hub that is written but not read": ({PORTS}, (transfer(0, ports=(*BOOKED[:3], *BOOKED[4:])),)),
    "a hub read once per route": (
        {PORTS},
        (
            memory("hub", ports=(replace(CHIP.memory("hub").ports[0], bandwidth_bits=64),)),
            transfer(0, ports=(*BOOKED, *ports("hub.rw"))),
        ),
    ),
    # what is made
    "a receiver that holds it a cycle late": ({TRANSFER_MAKES}, (residency(4, start=1),)),
    "a receiver that has it a cycle before the others": ({TRANSFER_MAKES}, (residency(2, valid_from=21),)),
    "receivers in another order than their residencies": (
        {TRANSFER_MAKES},
        (transfer(0, residencies=(3, 2, 4, 5)),),
    ),
    "a receiver that holds another box": (
        {TRANSFER_MAKES, HOLD},
        (residency(5, box=((0, 4), (0, 7)), bits=224),),
    ),
    "a box of one column less for all": (
        {TRANSFER_MAKES, BITS_MOVED},
        (transfer(0, box=((0, 4), (0, 7))),),
    ),
    "a receiver's residency that another event claims": ({ONE_MAKER}, (residency(3, writer=4),)),
    # room, time, engines
    "a receiver without room": ({FITS}, (memory("d", size_bits=CHIP.memory("d").size_bits - 1),)),
    "a receiver that lets go before its task ends": ({STAYS, LAST_READER}, (residency(5, end=46),)),
    "a task that starts before the slowest receiver has its copy": ({THERE, LAST_READER}, moved(3, -4)),
    "a fetch over the bus that the multicast uses": ({LINK_RATE}, moved(1, -1)),
    "a third transfer at a time": ({ENGINE, LINK_RATE, PORT_RATE}, moved(4, -2)),
    "the shortest way's set-up": ({LATENCY, DURATION}, (transfer(0, setup_cycles=1),)),
    "the longest way's latency without the chip's set-up": ({LATENCY, DURATION}, (transfer(0, setup_cycles=5),)),
    "the sum of all ways' latencies": (
        {LATENCY, DURATION},
        (transfer(0, setup_cycles=1 + 4 + 5),),
    ),
    "a longer leg": ({LATENCY}, (link("leg_d", latency_cycles=3),)),
    "a leg with less than the rate": ({LINK_RATE}, (link("leg_c", bandwidth_bits=15),)),
    "a receiver's port with less than the rate": (
        {PORT_RATE},
        (memory("b", ports=(CHIP.memory("b").ports[0], replace(CHIP.memory("b").ports[1], bandwidth_bits=15))),),
    ),
    "one engine for two transfers": ({ENGINE}, (chip(transfer_engines=1),)),
    # reading what another receiver got
    "a task reads what another core received": ({HOLD, LAST_READER}, (reads(6, 1, residencies=(5,)),)),
}


def broken(edits: tuple[Edit, ...]) -> set[str]:
    return broken_in((WORKLOAD, CHIP, SCHEDULE), edits)[1]


def test_the_cast_is_lawful_and_as_early_as_it_can_be() -> None:
    assert check_chip(CHIP) == []
    assert check(WORKLOAD, CHIP, SCHEDULE).violations == ()
    assert check_replay(SCHEDULE, CHIP).differences == ()
    assert earliest(WORKLOAD, CHIP, SCHEDULE) == SCHEDULE


def test_a_tree_has_each_hop_once() -> None:
    move = SCHEDULE.transfers[0]
    assert (move.source, move.targets) == ("dram", CORES)
    assert move.hops == (
        ("dram", "bus", "a"),
        ("dram", "bus", "b"),
        ("dram", "trunk", "hub"),
        ("hub", "leg_c", "c"),
        ("hub", "leg_d", "d"),
    )
    assert move.way == "dram > a, dram > b, dram > hub > c, dram > hub > d"


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_multicast_breaks_exactly_the_rules_it_breaks(name: str) -> None:
    expected, edits = BROKEN[name]
    assert broken(edits) == expected


def test_a_violation_names_all_routes() -> None:
    world, _ = broken_in((WORKLOAD, CHIP, SCHEDULE), BROKEN["routes from two sources"][1])
    told = [str(violation) for violation in check(*world).violations if violation.rule == TREE]
    assert told == [
        "cycle 0: the routes of a transfer are a tree: transfer 0 (w [0,4)x[0,8) dram > a, dram > b, dram > hub > c,"
        " b > dram > hub > d) needs one source, and each memory entered once, has sources b, dram"
    ]


def test_a_receiver_may_lie_on_the_way_to_another() -> None:
    """What the hub keeps is written once and read once, as what only passes."""
    held = replace(SCHEDULE.residencies[2], id=18, memory="hub", end=22)
    edits = (
        memory("hub", size_bits=256),
        transfer(0, routes=(*EVERYONE, Route(("dram", "hub"), ("trunk",))), residencies=(2, 3, 4, 5, 18)),
        lambda world: (world[0], world[1], replace(world[2], residencies=(*world[2].residencies, held))),
    )
    assert broken(edits) == set()
    assert broken((*edits, memory("hub", size_bits=255))) == {FITS}


def test_all_receivers_have_room_before_any_gets_its_copy() -> None:
    """In a core one bit too small nothing arrives, so it arrives nowhere."""
    small = replace(CHIP, memories=tuple(replace(m, size_bits=255) if m.name == "d" else m for m in CHIP.memories))
    assert 0 not in replay(orders(SCHEDULE, small), small)
    told = str(check_replay(SCHEDULE, small).differences[0])
    assert told == (
        "event 0 is scheduled at [0, 22) but never starts: it waits for 256 bits of memory d, which has 255 left"
    )


def test_engines_serve_transfers_in_order() -> None:
    """With one engine each transfer waits for the one before it; tasks do not."""
    alone = replace(CHIP, transfer_engines=1)
    times = replay(orders(SCHEDULE, alone), alone)
    ordered = sorted((move.start, move.id) for move in SCHEDULE.transfers)
    starts = [times[id] for _, id in ordered]
    assert all(before[1] <= after[0] for before, after in pairwise(starts))
    assert earliest(WORKLOAD, alone, SCHEDULE).latency_cycles == max(end for _, end in times.values())
    assert check(WORKLOAD, alone, earliest(WORKLOAD, alone, SCHEDULE)).ok
    assert orders(SCHEDULE, replace(CHIP, transfer_engines=None)).engines == ()


def test_routes_keep_their_names() -> None:
    assert [DOWN[name].memories[-1] for name in CORES] == list(CORES)
