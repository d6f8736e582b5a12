"""A little chip, workload and valid schedule, made by hand: one of everything that a schedule can say.

    x, w (dram) -chan-> m0: conv in two tiles on c0 -up-> hub -down-> m1: softmax in two tiles on c1 -chan-> z (dram)

The second conv tile needs a halo column that the first one fetched; softmax sees y transposed; its first tile is
written to m1 and moved home, its second is streamed home while it runs, after waiting for the exclusive channel.
"""

from __future__ import annotations

from fractions import Fraction

from weft.model.chip import ArrayDim, Chip, Core, Level, Link, Memory, Port, Route
from weft.model.schedule import LaneLoad, PortLoad, Residency, Schedule, Task, Transfer, Use
from weft.model.workload import Axis, Box, Kind, Op, Operand, Range, Tensor, Term, View, Workload

ALL = frozenset({"I", "W", "O"})

CONV = Op(
    "conv",
    "conv",
    "Conv",
    (("K", 4), ("C", 2), ("OX", 8), ("FX", 3)),
    (
        Operand("I", "I", "x", (Axis(2, (Term("C"),)), Axis(10, (Term("OX"), Term("FX"))))),
        Operand("W", "W", "w", (Axis(4, (Term("K"),)), Axis(2, (Term("C"),)), Axis(3, (Term("FX"),)))),
        Operand("O", "O", "y", (Axis(4, (Term("K"),)), Axis(8, (Term("OX"),)))),
    ),
)
SOFT = Op(
    "soft",
    "softmax",
    "Softmax",
    (("R", 8), ("L", 4)),
    (
        Operand("I", "I", "y_seen", (Axis(8, (Term("R"),)), Axis(4, (Term("L"),)))),
        Operand("O", "O", "z", (Axis(8, (Term("R"),)), Axis(4, (Term("L"),)))),
    ),
    barrier=frozenset({"L"}),
)
WORKLOAD = Workload(
    "little",
    (
        Tensor("x", (2, 10), 8, "input"),
        Tensor("w", (4, 2, 3), 8, "weight"),
        Tensor("y", (4, 8), 8, "intermediate"),
        Tensor("y_seen", (8, 4), 8, "intermediate"),
        Tensor("z", (8, 4), 8, "output"),
    ),
    (CONV, SOFT),
    (View("y_seen", "y", "transpose", "turn", (1, 0)),),
)


def _core(name: str, kinds: frozenset[Kind], memory: str) -> Core:
    return Core(name, kinds, (ArrayDim("D1", 2),), 1.0, (Level(memory, ALL, frozenset({"D1"})),))


CHIP = Chip(
    "pair",
    (_core("c0", frozenset({"conv"}), "m0"), _core("c1", frozenset({"softmax"}), "m1")),
    (
        Memory("dram", 8192, (Port("rw", "read_write", 16, 8),), 1.0, 1.0),
        Memory("m0", 624, (Port("r", "read", 32, 8), Port("w", "write", 32, 8)), 1.0, 1.0),
        Memory("hub", 64, (Port("rw", "read_write", 16, 8),), 1.0, 1.0),
        Memory("m1", 384, (Port("r", "read", 32, 8), Port("w", "write", 16, 8)), 1.0, 1.0),
    ),
    (
        Link("chan", frozenset({"dram"}), frozenset({"m0", "m1"}), 16, exclusive=True),
        # half the base clock: 8 bits per base cycle, two base cycles of latency
        Link("up", frozenset({"m0"}), frozenset({"hub"}), 16, latency_cycles=1, half_duplex=False, clock_hz=5 * 10**8),
        Link("down", frozenset({"hub"}), frozenset({"m1"}), 8, half_duplex=False),
    ),
    "dram",
)

CHAN = Fraction(16)
HALF = Fraction(4)  # of `up` and `down`: two transfers share them

Y0: Box = ((0, 4), (0, 4))
Y1: Box = ((0, 4), (4, 8))
Z0: Box = ((0, 4), (0, 4))
Z1: Box = ((4, 8), (0, 4))
X0: Box = ((0, 2), (0, 6))
X1: Box = ((0, 2), (6, 10))
X_HALO: Box = ((0, 2), (4, 6))
W: Box = ((0, 4), (0, 2), (0, 3))


def _fetch(
    id: int, tensor: str, box: Box, target: str, start: int, end: int, bits: int, source: int, made: int
) -> Transfer:
    port = PortLoad("dram", "rw", CHAN), PortLoad(target, "w", CHAN)
    lane = (LaneLoad("chan", "chan", CHAN),)
    route = (Route(("dram", target), ("chan",)),)
    return Transfer(id, tensor, box, route, start, end, bits, CHAN, 0, (source,), (made,), port, lane, float(bits))


def _hop(id: int, box: Box, start: int, source: int, made: int) -> Transfer:
    # 128 bits at 4 a cycle, and the two cycles of `up`
    ports = (
        PortLoad("m0", "r", HALF),
        PortLoad("hub", "rw", HALF),
        PortLoad("hub", "rw", HALF),
        PortLoad("m1", "w", HALF),
    )
    lanes = (LaneLoad("up", "up>", HALF), LaneLoad("down", "down>", HALF))
    route = (Route(("m0", "hub", "m1"), ("up", "down")),)
    return Transfer(id, "y", box, route, start, start + 34, 128, HALF, 2, (source,), (made,), ports, lanes, 9.0)


def _conv(id: int, columns: Range, start: int, read: tuple[Box, ...], sources: tuple[int, ...], made: int) -> Task:
    return Task(
        id,
        "conv",
        (("K", (0, 4)), ("C", (0, 2)), ("OX", columns), ("FX", (0, 3))),
        "c0",
        start,
        start + 10,
        (Use("I", "x", "m0", read, sources), Use("W", "w", "m0", (W,), (2,))),
        Use("O", "y", "m0", (((0, 4), columns),), (made,)),
        (("m0", 16),),
        (PortLoad("m0", "r", Fraction(10, 3)), PortLoad("m0", "w", Fraction(1, 2))),
        (),
        96.0,
        "",
    )


SCHEDULE = Schedule(
    "little",
    "pair",
    (
        _conv(3, (0, 4), 18, (X0,), (3,), 5),
        _conv(4, (4, 8), 28, (X_HALO, X1), (3, 4), 6),
        Task(
            7,
            "soft",
            (("R", (0, 4)), ("L", (0, 4))),
            "c1",
            62,
            67,
            (Use("I", "y", "m1", (Y0,), (7,)),),
            Use("O", "z", "m1", (Z0,), (9,)),
            (),
            (PortLoad("m1", "r", Fraction(8)), PortLoad("m1", "w", Fraction(8))),
            (),
            16.0,
            "",
        ),
        Task(
            8,
            "soft",
            (("R", (4, 8)), ("L", (0, 4))),
            "c1",
            75,
            83,
            (Use("I", "y", "m1", (Y1,), (8,)),),
            Use("O", "z", "dram", (Z1,), (10,), streamed=True),
            (("m1", 32),),
            (PortLoad("m1", "r", Fraction(20)), PortLoad("dram", "rw", CHAN)),
            (LaneLoad("chan", "chan", CHAN),),
            16.0,
            "",
        ),
    ),
    (
        _fetch(0, "w", W, "m0", 0, 12, 192, 1, 2),
        _fetch(1, "x", X0, "m0", 12, 18, 96, 0, 3),
        _fetch(2, "x", X1, "m0", 18, 22, 64, 0, 4),
        _hop(5, Y0, 28, 5, 7),
        _hop(6, Y1, 38, 6, 8),
        Transfer(
            9,
            "z",
            Z0,
            (Route(("m1", "dram"), ("chan",)),),
            67,
            75,
            128,
            CHAN,
            0,
            (9,),
            (11,),
            (PortLoad("m1", "r", CHAN), PortLoad("dram", "rw", CHAN)),
            (LaneLoad("chan", "chan", CHAN),),
            128.0,
        ),
    ),
    (
        Residency(0, "dram", "x", ((0, 2), (0, 10)), 160, 0, 0, 83, -1),
        Residency(1, "dram", "w", W, 192, 0, 0, 83, -1),
        Residency(2, "m0", "w", W, 192, 0, 12, 38, 0),
        Residency(3, "m0", "x", X0, 96, 12, 18, 38, 1),
        Residency(4, "m0", "x", X1, 64, 18, 22, 38, 2),
        Residency(5, "m0", "y", Y0, 128, 18, 28, 62, 3),
        Residency(6, "m0", "y", Y1, 128, 28, 38, 72, 4),
        Residency(7, "m1", "y", Y0, 128, 28, 62, 67, 5),
        Residency(8, "m1", "y", Y1, 128, 38, 72, 83, 6),
        Residency(9, "m1", "z", Z0, 128, 62, 67, 75, 7),
        Residency(10, "dram", "z", Z1, 128, 75, 83, 83, 8),
        Residency(11, "dram", "z", Z0, 128, 67, 75, 83, 9),
    ),
)
