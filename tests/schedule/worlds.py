"""Random small worlds: networks of two to twelve nodes and chips of two to six cores, each from a seed.

Everything is small enough that hundreds of them are mapped and scheduled in a minute, and memories are about as large
as the tensors, so that boxes must be let go, written back, cut or streamed.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from weft.model.chip import ArrayDim, Chip, Core, Level, Link, Memory, Port, Role, check_chip
from weft.model.workload import KINDS, Kind, Slot, Workload
from weft.read.fold import fold
from weft.read.onnx import read_model
from weft.read.precision import assume_precision

ALL: frozenset[Slot] = frozenset({"I", "W", "O"})
CLOCKS = (10**9, 10**9, 10**9, 5 * 10**8, 2 * 10**9, 75 * 10**7)
MOVERS: frozenset[Kind] = frozenset({"elementwise", "reduce", "softmax", "norm", "copy"})
PRODUCTS: frozenset[Kind] = frozenset({"conv", "gemm", "matmul"})

Shape = tuple[int, ...]


@dataclass(slots=True)
class Draft:
    """An ONNX graph while it is drawn: nodes, weights, and the tensors that a next node may read."""

    rng: random.Random
    nodes: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)

    def weight(self, shape: Shape, values: Any = None) -> str:
        name = f"w{len(self.weights)}"
        array = np.zeros(shape, np.float32) if values is None else np.array(values, np.int64)
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def add(self, op: str, inputs: list[str], shape: Shape, **attributes: Any) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [f"{name}_out"], name=name, **attributes))
        self.read.update(inputs)
        self.shapes[f"{name}_out"] = shape
        return f"{name}_out"

    def pick(self, rank: int | None = None) -> str | None:
        """A tensor to read: a recent one most of the time, so that graphs are deep, an old one at times."""
        found = [name for name, shape in self.shapes.items() if rank is None or len(shape) == rank]
        if not found:
            return None
        return found[-1] if self.rng.random() < 0.6 else self.rng.choice(found)


def _conv(draft: Draft) -> None:
    rng, source = draft.rng, draft.pick(4)
    if source is None:
        return
    batch, channels, height, width = draft.shapes[source]
    kernel = rng.choice((1, 1, 2, 3))
    pad = rng.choice((0, 1)) if kernel == 3 else 0
    if min(height, width) + 2 * pad < kernel:
        kernel, pad = 1, 0
    stride = rng.choice((1, 1, 2))
    depthwise = channels > 1 and rng.random() < 0.2
    outputs = channels if depthwise else rng.choice((2, 3, 4, 6, 8))
    size = tuple((extent + 2 * pad - kernel) // stride + 1 for extent in (height, width))
    weight = draft.weight((outputs, 1 if depthwise else channels, kernel, kernel))
    draft.add(
        "Conv",
        [source, weight],
        (batch, outputs, *size),
        kernel_shape=[kernel] * 2,
        pads=[pad] * 4,
        strides=[stride] * 2,
        group=channels if depthwise else 1,
    )


def _pool(draft: Draft) -> None:
    source = draft.pick(4)
    if source is None:
        return
    batch, channels, height, width = draft.shapes[source]
    if min(height, width) < 2 or draft.rng.random() < 0.2:
        draft.add("GlobalAveragePool", [source], (batch, channels, 1, 1))
        return
    op, stride = draft.rng.choice(("MaxPool", "AveragePool")), draft.rng.choice((1, 2))
    size = tuple((extent - 2) // stride + 1 for extent in (height, width))
    draft.add(op, [source], (batch, channels, *size), kernel_shape=[2, 2], strides=[stride] * 2)


def _elementwise(draft: Draft) -> None:
    source = draft.pick()
    if source is None:
        return
    twins = [name for name, shape in draft.shapes.items() if shape == draft.shapes[source]]
    if draft.rng.random() < 0.6:  # a residual edge where two tensors are of one shape, else x + x
        draft.add("Add", [source, draft.rng.choice(twins)], draft.shapes[source])
    else:
        draft.add(draft.rng.choice(("Relu", "Sigmoid")), [source], draft.shapes[source])


def _concat(draft: Draft) -> None:
    source = draft.pick(4)
    if source is None:
        return
    batch, _, height, width = draft.shapes[source]
    alike = [n for n, s in draft.shapes.items() if len(s) == 4 and (s[0], *s[2:]) == (batch, height, width)]
    parts = [source, *draft.rng.sample(alike, min(len(alike), draft.rng.randint(1, 2)))]
    draft.add("Concat", parts, (batch, sum(draft.shapes[part][1] for part in parts), height, width), axis=1)


def _slice(draft: Draft) -> None:
    source = draft.pick(4)
    if source is None:
        return
    shape = draft.shapes[source]
    stop = draft.rng.randint(1, shape[1])
    inputs = [source, *(draft.weight((), values) for values in ([0], [stop], [1]))]
    draft.add("Slice", inputs, (shape[0], stop, *shape[2:]))


def _gemm(draft: Draft) -> None:
    source = draft.pick()
    if source is None:
        return
    shape = draft.shapes[source]
    if len(shape) != 2:
        flat = (shape[0], int(np.prod(shape[1:])))
        source = draft.add("Reshape", [source, draft.weight((), list(flat))], flat)
        shape = flat
    outputs = draft.rng.choice((2, 4, 6))
    draft.add("Gemm", [source, draft.weight((shape[1], outputs))], (shape[0], outputs))


def _attend(draft: Draft) -> None:
    """x' x by channels, through two reshapes and a transpose, then a softmax over its rows."""
    source = draft.pick(4)
    if source is None:
        return
    batch, channels, height, width = draft.shapes[source]
    flat = (batch, channels, height * width)
    rows = draft.add("Reshape", [source, draft.weight((), list(flat))], flat)
    columns = draft.add("Transpose", [rows], (batch, flat[2], channels), perm=[0, 2, 1])
    scores = draft.add("MatMul", [rows, columns], (batch, channels, channels))
    draft.add("Softmax", [scores], (batch, channels, channels), axis=-1)


DRAWS = (_conv,) * 5 + (_pool,) * 2 + (_elementwise,) * 4 + (_concat,) * 2 + (_slice, _gemm, _gemm, _attend)


def make_workload(seed: int) -> Workload:
    """A random network of 2 to 12 nodes as a chip would price it: 8-bit tensors, sometimes activations folded."""
    rng = random.Random(seed)
    draft = Draft(rng)
    side = rng.choice((4, 5, 6, 8))
    inputs = {"x": (1, rng.choice((2, 3, 4)), side, side)}
    if rng.random() < 0.2:
        inputs["x2"] = inputs["x"]
    draft.shapes.update(inputs)
    for _ in range(rng.randint(2, 12)):
        rng.choice(DRAWS)(draft)
    if not any(node.op_type in ("Conv", "Gemm", "MatMul") for node in draft.nodes):
        _conv(draft)
    made = [name for name in draft.shapes if name not in inputs]
    outputs = [name for name in made if name not in draft.read]
    others = [name for name in made if name in draft.read]
    if others and rng.random() < 0.3:
        outputs.append(rng.choice(others))
    used = {name: shape for name, shape in inputs.items() if name in draft.read}
    graph = helper.make_graph(
        draft.nodes,
        f"net{seed}",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in used.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, draft.shapes[name]) for name in outputs],
        draft.weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    workload = read_model(model)
    if rng.random() < 0.5:
        workload = fold(workload, frozenset({"Relu"}))
    return assume_precision(workload, Chip("", (), (), (), "").precision)[0]


# -- chips -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Fab:
    """A chip while it is drawn."""

    rng: random.Random
    cores: list[Core] = field(default_factory=list)
    memories: list[Memory] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    homes: list[str] = field(default_factory=list)

    def memory(self, name: str, size: int, **fixed: Any) -> str:
        rng = self.rng
        width = rng.choice((8, 16, 32, 64))
        access = rng.choice((8, width))
        if rng.random() < 0.5:
            ports: tuple[Port, ...] = (Port("rw", "read_write", width, access),)
        elif rng.random() < 0.7:
            ports = (Port("r", "read", width, access), Port("w", "write", width, access))
        else:
            above = frozenset((slot, flow) for slot in sorted(ALL) for flow in ("from_above", "to_above"))
            below = frozenset((slot, flow) for slot in sorted(ALL) for flow in ("to_below", "from_below"))
            ports = (
                Port("outside", "read_write", width, access, above),  # type: ignore[arg-type]
                Port("inside", "read_write", width, access, below),  # type: ignore[arg-type]
            )
        given: dict[str, Any] = {
            "buffering": rng.choice(("double", "double", "single")),
            "clock_hz": rng.choice(CLOCKS),
            **fixed,
        }
        self.memories.append(Memory(name, size, ports, rng.choice((0.5, 2.0)), rng.choice((0.5, 3.0)), **given))
        return name

    def home(self, name: str) -> str:
        """A memory in which whole boxes may rest: smaller than a tensor, or as large as several."""
        self.homes.append(self.memory(name, int(2 ** self.rng.uniform(8, 14))))
        return name

    def link(self, name: str, a: set[str], b: set[str], **fixed: Any) -> None:
        rng = self.rng
        given: dict[str, Any] = {
            "latency_cycles": rng.choice((0, 0, 1, 3)),
            "pj_per_bit": rng.choice((0.0, 0.1)),
            "half_duplex": rng.random() < 0.5,
            "exclusive": rng.random() < 0.25,
            "clock_hz": rng.choice(CLOCKS),
            **fixed,
        }
        self.links.append(Link(name, frozenset(a), frozenset(b), rng.choice((8, 16, 32, 128)), **given))


def _array(rng: random.Random) -> tuple[ArrayDim, ...]:
    rows: tuple[Role, ...] = rng.choice((("reduction_channel",), ("output_column", "reduction_channel")))
    return (
        ArrayDim("D1", rng.choice((2, 4)), ("output_channel",)),
        ArrayDim("D2", rng.choice((2, 3, 4)), rows),
    )


def _levels(fab: Fab, home: str, weights: str, kind: int, index: int, twin: bool) -> tuple[Level, ...]:
    """Registers of a kind below, then the homes: one for all slots, or weights in one of their own."""
    levels: list[Level] = []
    sides = frozenset({"D1", "D2"})
    if kind == 1:
        name = f"acc{index}"
        if not _same(fab, name, f"acc{index - 1}", twin):
            fab.memory(name, fab.rng.choice((32, 128, 128)), buffering="pipelined")
        levels.append(Level(name, frozenset({"O"}), frozenset({"D2"})))
    if kind == 2:
        name = f"wreg{index}"
        if not _same(fab, name, f"wreg{index - 1}", twin):
            fab.memory(name, 64)
        levels.append(Level(name, frozenset({"W"}), frozenset()))
    if home == weights:
        return (*levels, Level(home, ALL, sides))
    return (*levels, Level(weights, frozenset({"W"}), sides), Level(home, frozenset({"I", "O"}), sides))


def _same(fab: Fab, name: str, other: str, twin: bool) -> str | None:
    """A memory like another, under its own name."""
    found = next((memory for memory in fab.memories if memory.name == other), None) if twin else None
    if found is None:
        return None
    values = {slot: getattr(found, slot) for slot in Memory.__slots__}
    fab.memories.append(Memory(**{**values, "name": name}))
    return name


def _array_cores(fab: Fab, shared: str | None) -> None:
    """One to four product cores, each like the one before or of a kind of its own."""
    rng = fab.rng
    for index in range(rng.choice((1, 1, 2, 2, 3, 4))):
        twin = index > 0 and rng.random() < 0.7
        if not twin:
            array, kind, apart = _array(rng), rng.randint(0, 2), rng.random() < 0.25
            energy, clock = rng.choice((0.1, 1.0)), rng.choice(CLOCKS)
            width, launch = rng.choice((16, 32)), rng.choice((0, 0, 5))
        if shared:
            home = shared
        else:
            home = f"m{index}"
            if _same(fab, home, f"m{index - 1}", twin):
                fab.homes.append(home)
            else:
                fab.home(home)
        weights = home
        if apart:
            weights = f"wm{index}"
            if _same(fab, weights, f"wm{index - 1}", twin):
                fab.homes.append(weights)
            else:
                fab.home(weights)
        levels = _levels(fab, home, weights, kind, index, twin)
        fab.cores.append(
            Core(
                f"core{index}",
                PRODUCTS,
                array,
                energy,
                levels,
                accumulator_bits=width,
                clock_hz=clock,
                launch_cycles=launch,
            )
        )


def _other_cores(fab: Fab, shared: str | None) -> None:
    """A unit for elementwise ops, perhaps one for pooling, perhaps a CPU that takes everything."""
    rng = fab.rng
    pooling = rng.random() < 0.4
    kinds = {"simd": MOVERS if pooling else MOVERS | {"pool"}}
    if pooling:
        kinds["pooling"] = frozenset({"pool"})
    if rng.random() < 0.3:
        kinds["cpu"] = frozenset(KINDS)
    for name, ops in kinds.items():
        array = (ArrayDim("D1", rng.choice((1, 4)), ("output_channel", "group", "output_column"), shares=True),)
        if name == "cpu" and rng.random() < 0.5:
            home = "dram"
        else:
            home = shared if shared and rng.random() < 0.5 else fab.home(f"{name}_mem")
        level = Level(home, ALL, frozenset({"D1"}))
        fab.cores.append(Core(name, ops, array, 0.5, (level,), clock_hz=rng.choice(CLOCKS)))


def _wire(fab: Fab) -> None:
    """Ways between the homes and the outermost memory: a bus, a shared channel, a memory passed, a ring."""
    rng, homes = fab.rng, list(dict.fromkeys(fab.homes))
    how = rng.choice(("bus", "channel", "through", "ring", "bus and ring"))
    if "bus" in how:
        every = {"dram", *homes}
        fab.link("bus", every, every)
    if how == "channel":
        fab.link("chan", {"dram"}, set(homes))
    if how == "through":
        fab.memory("l2", int(2 ** rng.uniform(9, 14)))
        fab.link("out", {"dram"}, {"l2"})
        if rng.random() < 0.5:
            fab.link("in", {"l2"}, set(homes))
        else:
            for home in homes:
                fab.link(f"in_{home}", {"l2"}, {home})
    if how == "ring":
        for home in homes[:: 2 if len(homes) > 2 else 1]:
            fab.link(f"to_{home}", {"dram"}, {home})
    if len(homes) > 1 and (how in ("ring", "bus and ring") or rng.random() < 0.4):
        for a, b in zip(homes, homes[1:] + homes[:1], strict=True):
            if a != b and not (len(homes) == 2 and a == homes[1]):
                fab.link(f"{a}_{b}", {a}, {b})
                if rng.random() < 0.2:
                    fab.link(f"{a}_{b}_too", {a}, {b})


def make_chip(seed: int) -> Chip:
    """A random chip on which every op of a random network has a core that takes it."""
    rng = random.Random(f"chip {seed}")
    fab = Fab(rng)
    fab.memory("dram", 10**7, clock_hz=10**9, buffering="double")
    shared = fab.home("l1") if rng.random() < 0.3 else None
    _array_cores(fab, shared)
    _other_cores(fab, shared)
    _wire(fab)
    chip = Chip(
        f"chip{seed}",
        tuple(fab.cores),
        tuple(fab.memories),
        tuple(fab.links),
        "dram",
        base_clock_hz=rng.choice((10**9, 10**9, 15 * 10**8)),
        static_pj_per_cycle=rng.choice((0.0, 3.0)),
        transfer_engines=rng.choice((None, None, None, 1, 2, 3)),
        transfer_setup_cycles=rng.choice((0, 0, 1, 4)),
    )
    wrong = check_chip(chip)
    assert not wrong, wrong
    return chip
