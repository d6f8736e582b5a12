"""The small world, complete, and large random problems: what every telling of the cost model must agree on.

Each template is one small op on one hand-made chip; together they hold every feature that docs/cost.md names. The
small world is every legal mapping of every template.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from tests.oracles.nests import all_mappings, random_mapping
from weft.model.chip import BUFFERINGS, FLOWS, READING, ArrayDim, Chip, Core, Level, Link, Memory, Port, Slot, Systolic
from weft.model.mapping import Mapping, Place, Problem, Setting
from weft.model.workload import KINDS, SLOTS, Axis, Op, Operand, Term

GHZ = 10**9


Pad = tuple[int, int]


def slide(out: str, kernel: str, sizes: dict[str, int], stride: int = 1, dilation: int = 1, pad: Pad = (0, 0)) -> Axis:
    """The axis that a kernel slides over, padded on both ends."""
    size = (sizes[out] - 1) * stride + (sizes[kernel] - 1) * dilation + 1 - sum(pad)
    return Axis(max(1, size), (Term(out, stride), Term(kernel, dilation)), -pad[0])


def plain(dim: str, sizes: dict[str, int]) -> Axis:
    return Axis(sizes[dim], (Term(dim),))


def make_op(kind: str, sizes: dict[str, int], *operands: tuple[str, Slot, tuple[Axis, ...]]) -> Op:
    made = tuple(Operand(name, slot, name.lower(), axes) for name, slot, axes in operands)
    return Op("op", kind, kind, tuple(sizes.items()), made)  # type: ignore[arg-type]


def conv_row(ox: int, fx: int, k: int = 1, stride: int = 1, dilation: int = 1, pad: Pad = (0, 0)) -> Op:
    """A convolution along one axis."""
    sizes = {**({"K": k} if k > 1 else {}), "OX": ox, "FX": fx}
    filters = (plain("K", sizes),) if k > 1 else ()
    return make_op(
        "conv",
        sizes,
        ("I", "I", (slide("OX", "FX", sizes, stride, dilation, pad),)),
        ("W", "W", (*filters, plain("FX", sizes))),
        ("O", "O", (*filters, plain("OX", sizes))),
    )


def matmul(m: int, n: int, k: int) -> Op:
    sizes = {"M": m, "N": n, "K": k}
    return make_op(
        "matmul",
        sizes,
        ("A", "I", (plain("M", sizes), plain("K", sizes))),
        ("B", "W", (plain("K", sizes), plain("N", sizes))),
        ("O", "O", (plain("M", sizes), plain("N", sizes))),
    )


def depthwise(g: int, ox: int, fx: int, pad: Pad = (0, 0)) -> Op:
    sizes = {"G": g, "OX": ox, "FX": fx}
    return make_op(
        "conv",
        sizes,
        ("I", "I", (plain("G", sizes), slide("OX", "FX", sizes, 1, 1, pad))),
        ("W", "W", (plain("G", sizes), plain("FX", sizes))),
        ("O", "O", (plain("G", sizes), plain("OX", sizes))),
    )


def pool(oy: int, ox: int, fx: int, stride: int) -> Op:
    """Rows of windows of one row each: what lies between the rows is not touched."""
    sizes = {"OY": oy, "OX": ox, "FX": fx}
    rows = Axis((oy - 1) * stride + 1, (Term("OY", stride),))
    return make_op(
        "pool",
        sizes,
        ("I", "I", (rows, slide("OX", "FX", sizes, stride))),
        ("O", "O", (plain("OY", sizes), plain("OX", sizes))),
    )


def broadcast_add(b: int, x: int) -> Op:
    sizes = {"B": b, "X": x}
    return make_op(
        "elementwise",
        sizes,
        ("I", "I", (plain("B", sizes), plain("X", sizes))),
        ("I2", "W", (Axis(1), plain("X", sizes))),
        ("O", "O", (plain("B", sizes), plain("X", sizes))),
    )


def memory(
    name: str,
    ports: str,
    buffering: str = "double",
    halo: bool = False,
    clock_hz: int = GHZ,
    widths: tuple[int, int] = (16, 8),
) -> Memory:
    """A memory; `ports` is "rw" (one port for both ways), "r+w" (one each), "split" (outputs apart), or "own" (one for
    each flow of each slot)."""
    wide, access = widths
    made = {
        "rw": (Port("rw", "read_write", wide, access),),
        "r+w": (Port("r", "read", wide, access), Port("w", "write", wide, access)),
        "split": (
            Port("o", "read_write", wide * 2, wide, frozenset(("O", flow) for flow in FLOWS)),
            Port("r", "read", wide, access),
            Port("w", "write", wide // 2 or 1, access // 2 or 1),
        ),
        "own": tuple(
            Port(f"{slot}.{flow}", "read" if flow in READING else "write", wide, access, frozenset({(slot, flow)}))
            for slot in SLOTS
            for flow in FLOWS
        ),
    }[ports]
    return Memory(name, 1 << 40, made, 1.5, 2.5, buffering, halo, clock_hz)  # type: ignore[arg-type]


def build(
    op: Op,
    array: dict[str, int],
    levels: list[tuple[Memory, str, str]],
    top: Memory,
    *,
    passed: list[Memory] | None = None,
    links: list[Link] | None = None,
    divisor: int = 1,
    optional: str = "",
    widths: tuple[int, ...] = (8, 8, 8),
    accumulator: int = 20,
    clock_hz: int = GHZ,
    systolic: Systolic | None = None,
    launch: int = 0,
    units: tuple[int, int] = (8, 8),
) -> Problem:
    """One core with `levels` (memory, slots, array dims served: both written as letters or names apart by blanks).

    Without `links`, `top` is the core's own outermost memory; with them, operands stream over the `passed` memories.
    """
    sides = frozenset(array)
    own = [Level(item.name, frozenset(slots), frozenset(serves.split())) for item, slots, serves in levels]  # type: ignore[arg-type]
    if not links:
        own.append(Level(top.name, frozenset(SLOTS), sides))
    core = Core(
        "core",
        frozenset(KINDS),
        tuple(ArrayDim(name, size) for name, size in array.items()),
        0.5,
        tuple(own),
        accumulator,
        clock_hz,
        0.25,
        systolic,
        launch,
        op_widths=units,
    )
    passed = passed or []
    memories = (*(item for item, _, _ in levels), *passed, top)
    chip = Chip("tiny", (core,), memories, tuple(links or ()), top.name, GHZ, static_pj_per_cycle=0.125)
    places = []
    for operand in op.operands:
        chain = [
            Place(level.memory, level.serves, optional=level.memory in optional.split())
            for level in own
            if operand.slot in level.slots
        ]
        if links:
            via = tuple(item.name for item in passed)
            chain.append(Place(top.name, sides, tuple(link.name for link in links), via))
        places.append((operand.name, tuple(chain)))
    setting = Setting("core", tuple(places), path_divisor=divisor)
    names = {"I": widths[0], "W": widths[1], "O": widths[2]}
    return Problem(op, tuple((operand.name, names[operand.slot]) for operand in op.operands), chip, setting)


def wire(low: str, high: str, name: str = "bus", bandwidth: int = 8, **more: object) -> Link:
    return Link(name, frozenset({low}), frozenset({high}), bandwidth, **more)  # type: ignore[arg-type]


def templates() -> dict[str, Problem]:
    """The problems whose every mapping makes the small world."""
    dram = memory("dram", "rw", widths=(24, 8))
    return {
        # Overlapping windows, padding on both ends, reuse of the halo in a double buffer, a pipelined register.
        "halo row": build(
            conv_row(5, 3, pad=(1, 1)),
            {"D1": 2},
            [
                (memory("ri", "r+w", "pipelined"), "I", ""),
                (memory("ro", "rw", "single"), "O", ""),
                (memory("buf", "rw", halo=True), "I", "D1"),
            ],
            dram,
        ),
        # Gaps between windows, asymmetric padding, halo reuse in private registers, dilation.
        "dilated row": build(
            conv_row(4, 3, dilation=2, pad=(2, 1)),
            {"D1": 2},
            [
                (memory("ri", "r+w", "single", halo=True, widths=(8, 4)), "I", ""),
                (memory("row", "split", "double", widths=(12, 4)), "WO", ""),
            ],
            dram,
            widths=(5, 3, 7),
            clock_hz=2 * GHZ,
            units=(4, 2),
        ),
        "strided row": build(
            conv_row(4, 2, k=2, stride=3, pad=(0, 2)),
            {"D1": 2},
            [
                (memory("ri", "rw", halo=True, clock_hz=GHZ // 2), "I", "D1"),
                (memory("r", "r+w", "single", widths=(10, 3)), "WO", ""),
            ],
            dram,
            widths=(4, 2, 6),
            accumulator=11,
        ),
        # Three reduction places for the outputs, uneven with the inputs; outputs may go past the middle one.
        "deep outputs": build(
            matmul(2, 2, 5),
            {"D1": 2},
            [(memory("ro", "rw", "double", widths=(8, 8)), "O", ""), (memory("mid", "split", "single"), "O", "D1")],
            dram,
            optional="mid",
            widths=(3, 4, 5),
        ),
        # Everything in one shared memory, streamed from outside at half the rate over a passed memory.
        "streamed": build(
            matmul(3, 2, 3),
            {"D1": 3},
            [(memory("sram", "rw", "double", widths=(16, 16)), "IWO", "D1")],
            dram,
            passed=[memory("noc", "r+w", clock_hz=GHZ * 3 // 2)],
            links=[
                wire("sram", "noc", "lower", 12, latency_cycles=2),
                wire("noc", "dram", "upper", 8, latency_cycles=3, half_duplex=False, clock_hz=GHZ // 2, pj_per_bit=0.5),
            ],
            divisor=2,
            widths=(7, 5, 6),
            launch=4,
        ),
        # Two sides; memories that serve one of them; several loops on one side.
        "two sides": build(
            matmul(3, 2, 2),
            {"D1": 2, "D2": 3},
            [
                (memory("rw", "rw", "pipelined"), "W", "D1"),
                (memory("ri", "r+w", "single"), "I", "D2"),
                (memory("ro", "rw", "single"), "O", "D1"),
            ],
            dram,
            accumulator=16,
        ),
        "depthwise": build(
            depthwise(2, 3, 2, pad=(1, 0)),
            {"D1": 2, "D2": 1},
            [(memory("ri", "rw", "double", halo=True), "IW", ""), (memory("ro", "rw", "pipelined"), "O", "D1")],
            dram,
            links=[Link("bus", frozenset({"ri", "ro"}), frozenset({"dram"}), 12)],
        ),
        "pool": build(
            pool(2, 3, 2, stride=2),
            {"D1": 2},
            [
                (memory("l1", "rw", "single", halo=True, widths=(9, 2)), "IO", ""),
                (memory("l2", "r+w", "double", halo=True, widths=(18, 6)), "IO", "D1"),
            ],
            dram,
            optional="l2",
            widths=(6, 8, 4),
            accumulator=9,
            units=(4, 4),
        ),
        "broadcast": build(
            broadcast_add(5, 3),
            {"D1": 2, "D2": 2},
            [(memory("l1", "rw", "double", widths=(8, 2)), "IWO", "D2")],
            dram,
            widths=(4, 6, 5),
        ),
        "weights rest": build(
            matmul(2, 3, 2),
            {"D1": 2, "D2": 2},
            [(memory("rw", "rw", "single"), "W", ""), (memory("l1", "rw"), "IW", "D1 D2")],
            dram,
            optional="l1",
            systolic=Systolic("D1", "D2", "W"),
        ),
        "outputs rest": build(
            matmul(3, 2, 2),
            {"D1": 2, "D2": 2},
            [(memory("ro", "rw", "single"), "O", ""), (memory("l1", "r+w", "pipelined"), "IW", "D1 D2")],
            dram,
            systolic=Systolic("D2", "D1", "O"),
        ),
    }


def small_world(every: int = 1, phase: int = 0) -> Iterator[tuple[str, Problem, Mapping]]:
    """Every legal mapping of every template, or each `every`-th of them, beginning with number `phase`."""
    number = 0
    for name, problem in templates().items():
        for mapping in all_mappings(problem):
            if number % every == phase:
                yield name, problem, mapping
            number += 1


def random_large(seed: int) -> tuple[Problem, Mapping]:
    """A problem of five to seven dims of up to 20 on a random chip, and a random mapping of a few thousand steps."""
    rng = random.Random(seed)
    while True:
        problem = _random_problem(rng)
        mapping = random_mapping(problem, rng)
        steps = 1
        for name, size in problem.op.dims:
            steps *= -(-size // mapping.unrolled(name))
        if steps <= 3000:
            return problem, mapping


def _random_op(rng: random.Random) -> Op:
    def some(most: int) -> int:
        return rng.randint(1, most)

    kind = rng.choice(("conv", "conv", "depthwise", "pool", "matmul", "elementwise"))
    if kind in ("conv", "depthwise"):
        sizes = {
            "B": some(2),
            "K": some(20),
            "C": some(12),
            "OY": some(7),
            "OX": some(20),
            "FY": some(3),
            "FX": some(4),
        }
        if kind == "depthwise":
            sizes["G"] = sizes.pop("K")
            del sizes["C"]
        pads = [(rng.randint(0, 2), rng.randint(0, 2)) for _ in range(2)]
        y, x = (
            slide(out, kernel, sizes, rng.randint(1, 3), rng.randint(1, 2), pad)
            for out, kernel, pad in zip(("OY", "OX"), ("FY", "FX"), pads, strict=True)
        )
        group = [plain("G", sizes)] if "G" in sizes else []
        c = [plain("C", sizes)] if "C" in sizes else []
        k = [plain("K", sizes)] if "K" in sizes else []
        batch, pixels = plain("B", sizes), [plain("OY", sizes), plain("OX", sizes)]
        kernels = [plain("FY", sizes), plain("FX", sizes)]
        return make_op(
            "conv",
            sizes,
            ("I", "I", (batch, *group, *c, y, x)),
            ("W", "W", (*group, *k, *c, *kernels)),
            ("O", "O", (batch, *group, *k, *pixels)),
        )
    if kind == "pool":
        sizes = {"G": some(13), "OY": some(7), "OX": some(17), "FY": some(3), "FX": some(4)}
        stride = rng.randint(1, 3)
        axes = (plain("G", sizes), slide("OY", "FY", sizes, stride), slide("OX", "FX", sizes, stride, 1, (1, 1)))
        return make_op("pool", sizes, ("I", "I", axes), ("O", "O", tuple(plain(d, sizes) for d in ("G", "OY", "OX"))))
    if kind == "matmul":
        sizes = {"B": some(3), "H": some(5), "M": some(20), "N": some(19), "K": some(20)}
        heads = rng.choice((("B", "H"), ("B",)))
        of = {
            "A": ("B", "H", "M", "K"),
            "B": (*heads, "K", "N"),
            "O": ("B", "H", "M", "N"),
        }
        slots: dict[str, Slot] = {"A": "I", "B": "W", "O": "O"}
        return make_op(
            "matmul", sizes, *((name, slots[name], tuple(plain(d, sizes) for d in dims)) for name, dims in of.items())
        )
    sizes = {"B": some(3), "C": some(12), "Y": some(11), "X": some(20), "Z": some(3)}
    every = tuple(plain(d, sizes) for d in sizes)
    some_axes = tuple(plain(d, sizes) if rng.random() < 0.5 else Axis(1) for d in sizes)
    return make_op("elementwise", sizes, ("I", "I", every), ("I2", "W", some_axes), ("O", "O", every))


def _random_memory(rng: random.Random, name: str) -> Memory:
    access = rng.choice((1, 3, 8, 16))
    return memory(
        name,
        rng.choice(("rw", "r+w", "split")),
        rng.choice(BUFFERINGS),
        rng.random() < 0.5,
        rng.choice((GHZ, GHZ, GHZ // 2, 2 * GHZ, 667_000_000)),
        (access * rng.randint(1, 6), access),
    )


def _random_problem(rng: random.Random) -> Problem:
    op = _random_op(rng)
    array = {f"D{n + 1}": rng.randint(1, 6) for n in range(rng.randint(1, 3))}
    served: list[str] = []
    levels: list[tuple[Memory, str, str]] = []
    for depth in range(rng.randint(1, 3)):
        # Each level serves at least the array dims that the one below serves.
        served += [side for side in array if side not in served and rng.random() < 0.4]
        groups = rng.choice((["IWO"], ["I", "W", "O"], ["IW", "O"], ["I", "WO"], ["WI"], ["O"], ["I", "O"]))
        levels += [(_random_memory(rng, f"m{depth}{slots.lower()}"), slots, " ".join(served)) for slots in groups]
    links: list[Link] = []
    passed: list[Memory] = []
    present = {slot for _, slots, _ in levels for slot in slots}
    if present >= {operand.slot for operand in op.operands} and rng.random() < 0.6:
        passed = [_random_memory(rng, f"via{n}") for n in range(rng.randint(0, 1))]
        stops = [levels[-1][0].name, *(item.name for item in passed), "dram"]
        links = [
            wire(
                low,
                high,
                f"link{n}",
                rng.randint(1, 64),
                latency_cycles=rng.randint(0, 9),
                half_duplex=rng.random() < 0.5,
                clock_hz=rng.choice((GHZ, GHZ // 2, 3 * GHZ)),
                pj_per_bit=0.5,
            )
            for n, (low, high) in enumerate(itertools.pairwise(stops))
        ]
        homes = frozenset(item.name for item, _, _ in levels)
        links[0] = Link(
            links[0].name,
            homes,
            links[0].b,
            links[0].bandwidth_bits,
            links[0].latency_cycles,
            0.5,
            links[0].half_duplex,
            False,
            links[0].clock_hz,
        )
    systolic = None
    if len(array) > 1 and levels and rng.random() < 0.3:
        systolic = Systolic("D1", "D2", rng.choice(("W", "O")) if len(op.operands) == 3 else "O")
    optional = " ".join(item.name for item, _, _ in levels if rng.random() < 0.5)
    if systolic:
        # A fold is a step of cut 1, so what rests in the array keeps a place below its last one.
        resting = next((item.name for item, slots, _ in levels if systolic.stationary in slots), None)
        systolic = systolic if resting else None
        optional = " ".join(name for name in optional.split() if name != resting)
    return build(
        op,
        array,
        levels,
        _random_memory(rng, "dram"),
        passed=passed,
        links=links,
        divisor=rng.randint(1, 3),
        optional=optional,
        widths=(rng.randint(1, 16), rng.randint(1, 16), rng.randint(1, 16)),
        accumulator=rng.randint(4, 32),
        clock_hz=rng.choice((GHZ, 2 * GHZ, 700_000_000)),
        systolic=systolic,
        launch=rng.randint(0, 20),
    )
