"""A multicast by hand: the weights of four tiles go to four cores at once, over a bus and over a tree of links.

    dram -bus- a, b            one use of the bus, whoever listens
    dram -trunk- hub -leg_c- c
                 hub -leg_d- d   one use of the trunk; the hub is written once and read once

Then each core's row of x comes alone, each core does its row of y, and the rows go home.
"""

from __future__ import annotations

from fractions import Fraction

from weft.model.chip import ArrayDim, Chip, Core, Level, Link, Memory, Port, Route
from weft.model.schedule import LaneLoad, PortLoad, Residency, Schedule, Task, Transfer, Use
from weft.model.workload import Axis, Box, Op, Operand, Tensor, Term, Workload

ALL = frozenset({"I", "W", "O"})
CORES = ("a", "b", "c", "d")

WORKLOAD = Workload(
    "cast",
    (Tensor("x", (4, 4), 8, "input"), Tensor("w", (4, 8), 8, "weight"), Tensor("y", (4, 8), 8, "output")),
    (
        Op(
            "gemm",
            "gemm",
            "Gemm",
            (("M", 4), ("N", 8), ("K", 4)),
            (
                Operand("I", "I", "x", (Axis(4, (Term("M"),)), Axis(4, (Term("K"),)))),
                Operand("W", "W", "w", (Axis(4, (Term("K"),)), Axis(8, (Term("N"),)))),
                Operand("O", "O", "y", (Axis(4, (Term("M"),)), Axis(8, (Term("N"),)))),
            ),
        ),
    ),
)
ROOM = 256 + 32 + 64
"""The weights, a row of x and a row of y: all that a core ever holds at a time."""

CHIP = Chip(
    "four",
    tuple(
        Core(name, frozenset({"gemm"}), (ArrayDim("D1", 2),), 1.0, (Level(name, ALL, frozenset({"D1"})),))
        for name in CORES
    ),
    (
        Memory("dram", 128 + 256 + 256, (Port("rw", "read_write", 32, 8),), 1.0, 1.0),
        Memory("hub", 8, (Port("rw", "read_write", 32, 8),), 1.0, 1.0),
        *(Memory(name, ROOM, (Port("r", "read", 64, 8), Port("w", "write", 32, 8)), 1.0, 1.0) for name in CORES),
    ),
    (
        Link("bus", frozenset({"dram"}), frozenset({"a", "b"}), 16),
        Link("trunk", frozenset({"dram"}), frozenset({"hub"}), 16, latency_cycles=3, half_duplex=False),
        Link("leg_c", frozenset({"hub"}), frozenset({"c"}), 16, latency_cycles=1, half_duplex=False),
        Link("leg_d", frozenset({"hub"}), frozenset({"d"}), 16, latency_cycles=2, half_duplex=False),
    ),
    "dram",
    transfer_engines=2,
    transfer_setup_cycles=1,
)

RATE = Fraction(16)
W: Box = ((0, 4), (0, 8))
DOWN = {
    "a": Route(("dram", "a"), ("bus",)),
    "b": Route(("dram", "b"), ("bus",)),
    "c": Route(("dram", "hub", "c"), ("trunk", "leg_c")),
    "d": Route(("dram", "hub", "d"), ("trunk", "leg_d")),
}
SETUP = {"a": 1, "b": 1, "c": 1 + 3 + 1, "d": 1 + 3 + 2}
LANES_DOWN = {"a": ("bus",), "b": ("bus",), "c": ("trunk>", "leg_c>"), "d": ("trunk>", "leg_d>")}
LANES_UP = {"a": ("bus",), "b": ("bus",), "c": ("leg_c<", "trunk<"), "d": ("leg_d<", "trunk<")}


def _x(row: int) -> Box:
    return ((row, row + 1), (0, 4))


def _y(row: int) -> Box:
    return ((row, row + 1), (0, 8))


def lanes(names: tuple[str, ...]) -> tuple[LaneLoad, ...]:
    return tuple(LaneLoad(name.rstrip("<>"), name, RATE) for name in names)


def ports(*names: str) -> tuple[PortLoad, ...]:
    return tuple(PortLoad(*name.split("."), RATE) for name in names)


HUB = ("hub.rw", "hub.rw")
EVERYONE = tuple(DOWN[name] for name in CORES)
BOOKED = ports("dram.rw", "a.w", "b.w", *HUB, "c.w", "d.w")
SHARED = lanes(("bus", "trunk>", "leg_c>", "leg_d>"))


def _fetch(id: int, core: str, start: int, made: int) -> Transfer:
    row, setup = CORES.index(core), SETUP[core]
    booked = ports("dram.rw", *(HUB if core in "cd" else ()), f"{core}.w")
    route, lane = (DOWN[core],), lanes(LANES_DOWN[core])
    end = start + 2 + setup
    return Transfer(id, "x", _x(row), route, start, end, 32, RATE, setup, (0,), (made,), booked, lane, 1.0)


def _home(id: int, core: str, start: int, source: int, made: int) -> Transfer:
    row, setup, down = CORES.index(core), SETUP[core], DOWN[core]
    booked = ports(f"{core}.r", *(HUB if core in "cd" else ()), "dram.rw")
    route, lane = (Route(down.memories[::-1], down.links[::-1]),), lanes(LANES_UP[core])
    end = start + 4 + setup
    return Transfer(id, "y", _y(row), route, start, end, 64, RATE, setup, (source,), (made,), booked, lane, 1.0)


def _task(id: int, core: str, start: int, w: int, x: int, y: int) -> Task:
    row = CORES.index(core)
    return Task(
        id,
        "gemm",
        (("M", (row, row + 1)), ("N", (0, 8)), ("K", (0, 4))),
        core,
        start,
        start + 10,
        (Use("I", "x", core, (_x(row),), (x,)), Use("W", "w", core, (W,), (w,))),
        Use("O", "y", core, (_y(row),), (y,)),
        (),
        (PortLoad(core, "r", Fraction(256 + 32, 10)), PortLoad(core, "w", Fraction(64, 10))),
        (),
        1.0,
        "",
    )


# All four get the weights at 22: 256 bits at 16 a cycle, after 1 + 3 + 2 cycles of set-up on the longest way. Then two
# engines fetch x: a's row over the bus and c's over the trunk, b's and d's as soon as one is free.
SCHEDULE = Schedule(
    "cast",
    "four",
    (
        _task(3, "a", 25, 2, 6, 10),
        _task(5, "b", 28, 3, 7, 11),
        _task(6, "c", 29, 4, 8, 12),
        _task(7, "d", 37, 5, 9, 13),
    ),
    (
        Transfer(0, "w", W, EVERYONE, 0, 22, 256, RATE, 6, (1,), (2, 3, 4, 5), BOOKED, SHARED, 4.0),
        _fetch(1, "a", 22, 6),
        _fetch(2, "c", 22, 8),
        _fetch(4, "b", 25, 7),
        _fetch(8, "d", 29, 9),
        _home(9, "a", 35, 10, 14),
        _home(10, "b", 40, 11, 15),
        _home(11, "c", 40, 12, 16),
        _home(12, "d", 49, 13, 17),
    ),
    (
        Residency(0, "dram", "x", ((0, 4), (0, 4)), 128, 0, 0, 59, -1),
        Residency(1, "dram", "w", W, 256, 0, 0, 59, -1),
        Residency(2, "a", "w", W, 256, 0, 22, 35, 0),
        Residency(3, "b", "w", W, 256, 0, 22, 38, 0),
        Residency(4, "c", "w", W, 256, 0, 22, 39, 0),
        Residency(5, "d", "w", W, 256, 0, 22, 47, 0),
        Residency(6, "a", "x", _x(0), 32, 22, 25, 35, 1),
        Residency(7, "b", "x", _x(1), 32, 25, 28, 38, 4),
        Residency(8, "c", "x", _x(2), 32, 22, 29, 39, 2),
        Residency(9, "d", "x", _x(3), 32, 29, 37, 47, 8),
        Residency(10, "a", "y", _y(0), 64, 25, 35, 40, 3),
        Residency(11, "b", "y", _y(1), 64, 28, 38, 45, 5),
        Residency(12, "c", "y", _y(2), 64, 29, 39, 49, 6),
        Residency(13, "d", "y", _y(3), 64, 37, 47, 59, 7),
        Residency(14, "dram", "y", _y(0), 64, 35, 40, 59, 9),
        Residency(15, "dram", "y", _y(1), 64, 40, 45, 59, 10),
        Residency(16, "dram", "y", _y(2), 64, 40, 49, 59, 11),
        Residency(17, "dram", "y", _y(3), 64, 49, 59, 59, 12),
    ),
)
