"""What one tile computes, from its boxes alone: products, windows, moves, and single nodes; then what is folded in.

Integers on a grid are multiplied as they are, summed in int32, and brought to the grid of the output by one float32
factor, rounded half to even. All else is computed in the numbers that the integers stand for, in the model's floats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import onnx.numpy_helper

from weft.execute import attentions, moves, picks, products, recurrences, resizes, rotaries, windows
from weft.execute.meaning import Grid, Meaning
from weft.execute.nodes import Evaluator, NoArithmetic
from weft.execute.tile import Tile
from weft.execute.values import Array
from weft.model.workload import MAC_KINDS, Op
from weft.read.fold import QUANTISERS
from weft.read.onnx.graph import Node
from weft.read.onnx.proto import elem_type


@dataclass(frozen=True, slots=True)
class Made:
    """A tile's result before it is written: numbers, or integers on a grid.

    `folded`: what is folded into the op is done.   `final`: it is written as it is.   `exact`: another core that does
    the same has the same integers; without it, ones that lie half way may fall to the other side.
    """

    array: Array
    grid: Grid | None = None
    folded: bool = False
    final: bool = False
    exact: bool = True


Rule = Callable[["Arithmetic", Tile], Made]

_CLAMPS = frozenset({"Relu", "Clip"})
"""Folded operators that commute with rounding: they clamp the integers."""


class Arithmetic:
    """Computes tiles of a workload's ops; what is prepared for a node is kept."""

    def __init__(self, meaning: Meaning) -> None:
        self.meaning = meaning
        self._evaluators: dict[tuple[str, str], Evaluator] = {}
        self.inexact: set[str] = set()
        self.mixing: dict[str, list[Array | None]] = {}

    def lacks(self, op: Op) -> str | None:
        """Why an op cannot be computed; None where it can."""
        try:
            rule = rule_of(op, self.meaning)
            for operand in op.operands if rule is not _scaled else ():
                self.meaning.grid(operand.tensor)
            for name in op.folded:
                node = self.meaning.nodes.get(name)
                if node is None or (node.op_type in QUANTISERS and node.op_type != "QuantizeLinear"):
                    raise NoArithmetic(node.op_type if node else name)
        except NoArithmetic as why:
            return str(why)
        return None

    def compute(self, tile: Tile) -> Array:
        """The output's box of a tile, as it is stored.

        Errors: NoArithmetic for what is only then seen to be beyond it.
        """
        made = rule_of(tile.op, self.meaning)(self, tile)
        if made.final:
            return made.array
        grid = self.meaning.grid(tile.op.output.tensor)
        folded = [self.meaning.nodes[name] for name in tile.op.folded]
        if made.folded:
            folded = []
        quantisers = [node.name for node in folded if node.op_type in QUANTISERS]
        if made.grid is not None and len(quantisers) == len(folded) < 2 and made.grid.same(grid):
            if not made.exact:
                self.inexact.add(tile.op.name)
            return made.array
        if tile.op.onnx != "QuantizeLinear":
            self.inexact.add(tile.op.name)
        array = made.array if made.grid is None else _real(made.array, made.grid, tile)
        if tile.op.onnx == "QuantizeLinear" and quantisers:  # the next ones round what this one has rounded
            array = self._through(tile, array, tile.node_output)
        for node in folded:
            if self.meaning.on_integers(node):
                between = self.meaning.rounded_to(node.outputs[0])
                integers = self._function(tile, node, _on_grid(array, between, tile))
                array = _real(integers, between, tile)
            elif node.op_type not in QUANTISERS:
                array = self._function(tile, node, array)
            elif node.name != quantisers[-1]:
                array = self._through(tile, array, node.outputs[0])
        if grid is not None:
            return _on_grid(array, grid, tile)
        return array.astype(self.meaning.dtype(tile.op.output.tensor), copy=False)

    def _through(self, tile: Tile, array: Array, tensor: str) -> Array:
        """Numbers rounded to the grid of a tensor that is not written itself."""
        grid = self.meaning.rounded_to(tensor)
        return _real(_on_grid(array, grid, tile), grid, tile)

    def evaluate(self, tile: Tile, node: Node, inputs: list[Array | None], variant: str = "") -> dict[str, Array]:
        """The outputs of a node on any inputs of its ranks."""
        key = (node.name, variant)
        if key not in self._evaluators:
            self._evaluators[key] = Evaluator(node)
        try:
            return self._evaluators[key](inputs)
        except (NotImplementedError, RuntimeError, TypeError, ValueError, IndexError) as error:
            raise NoArithmetic(f"ONNX's evaluator fails on {node.op_type}: {error}") from error

    def _function(self, tile: Tile, node: Node, array: Array) -> Array:
        """A folded node on a tile: its constants are cut as the tile is."""
        if node.op_type == "Relu":
            return np.maximum(array, np.zeros((), array.dtype))
        inputs: list[Array | None] = []
        for place, name in enumerate(node.inputs):
            constant = self.meaning.constant(name) if self.meaning.on_integers(node) else self.meaning.real(name)
            if not name or (constant is None and tile.operand(name) is None):
                inputs.append(array if name else None)
                continue
            other = tile.real(found) if constant is None and (found := tile.operand(name)) else constant
            assert other is not None
            if node.op_type == "BatchNormalization" and place:
                other = other[slice(*tile.box[min(1, len(tile.box) - 1)])]
            elif constant is not None:
                other = tile.part_of(other, tile.box)
            inputs.append(other)
        return self.evaluate(tile, node, inputs)[node.outputs[0]]


def _real(array: Array, grid: Grid, tile: Tile) -> Array:
    start, stop = tile.box[grid.axis] if grid.axis is not None else (0, 0)
    zero, scale = (grid.along(item, array.ndim, start, stop) for item in (grid.zero, grid.scale))
    return np.asarray((array.astype(np.int32) - zero).astype(np.float32) * scale)


def _on_grid(array: Array, grid: Grid, tile: Tile) -> Array:
    """Numbers rounded half to even to the integers of a grid."""
    start, stop = tile.box[grid.axis] if grid.axis is not None else (0, 0)
    zero, scale = (grid.along(item, array.ndim, start, stop) for item in (grid.zero, grid.scale))
    with np.errstate(all="ignore"):
        integers = rounded(array.astype(np.float32) / scale) + zero
        return np.asarray(np.clip(integers, grid.low, grid.high).astype(grid.dtype))


def rounded(numbers: Array) -> Array:
    """The nearest whole numbers, halves to the even one."""
    return np.rint(numbers)


def rule_of(op: Op, meaning: Meaning) -> Rule:
    """What computes an op.

    Errors: NoArithmetic, with the operator's name, where nothing does.
    """
    node = meaning.node(op)
    name = node.op_type
    scattered = any(axis.scattered for operand in op.operands for axis in operand.axes)
    if name == "Gemm" and op.onnx == "Add":
        return _gemm_addend
    if name == "Attention" and op.kind != "copy":
        return _attention
    if name in recurrences.GATES and op.kind != "copy":
        lacking = recurrences.lacking(node)
        if lacking:
            raise NoArithmetic(lacking)
        return _recurrence
    if op.onnx not in (name, meaning.own_node(op).op_type):
        raise NoArithmetic(f"{name} ({op.onnx})")
    if op.kind in MAC_KINDS and name in _PRODUCTS:
        return _product
    if op.kind == "pool" and name in _POOLS:
        return _pool
    if name in _PICKS:
        return _pick
    if op.kind == "copy" and len(op.inputs) == 1 and not scattered and name in _MOVES:
        if name != "Pad" or node.text("mode", "constant") == "constant":
            return _move
        return _node
    if name in ("QuantizeLinear", "DequantizeLinear"):
        return _as_it_is if len(op.inputs) == 1 else _scaled
    if name in _OWN:
        return _OWN[name]
    if name in _SOFTMAX:
        return _softmax
    if name in _NODES:
        return _node
    if name == "Einsum" and op.kind == "reduce":
        return _sum
    raise NoArithmetic(name)


def _product(arithmetic: Arithmetic, tile: Tile) -> Made:
    node, meaning = tile.node, arithmetic.meaning
    if not products.is_integer(tile):
        array = products.multiplied(tile)
        if node.op_type == "Gemm":
            array = array * np.asarray(node.number("alpha", 1.0), array.dtype)
        bias = _bias(tile)
        return Made(array if bias is None else array + bias.astype(array.dtype))
    total = products.accumulated(tile)
    if meaning.own_node(tile.op).op_type in ("ConvInteger", "MatMulInteger"):
        return Made(total)
    factor = products.scales(tile) * np.float32(node.number("alpha", 1.0) if node.op_type == "Gemm" else 1.0)
    bias = _bias(tile, integers=True)
    rest = None
    if bias is not None and bias.dtype.kind in "iu":
        total = total + bias.astype(np.int32)
    else:
        rest = bias
    grid = meaning.grid(tile.op.output.tensor)
    clamps = [meaning.nodes[name] for name in tile.op.folded if meaning.nodes[name].op_type not in QUANTISERS]
    several = len(tile.op.folded) > len(clamps) + 1  # quantisers, each of which rounds
    simple = not several and all(n.op_type in _CLAMPS and not meaning.on_integers(n) for n in clamps)
    if grid is None or rest is not None or grid.axis is not None or not simple:
        real = total.astype(np.float32) * factor
        return Made(real if rest is None else real + rest)
    zero, scale = grid.zero.reshape(()), grid.scale.reshape(())
    integers = rounded(total.astype(np.float32) * (factor / scale).astype(np.float32)) + zero
    integers = np.clip(integers, grid.low, grid.high)
    for clamp in clamps:
        low, high = _bounds(meaning, clamp)
        if low is not None:
            integers = np.maximum(integers, rounded(np.float32(low) / scale) + zero)
        if high is not None:
            integers = np.minimum(integers, rounded(np.float32(high) / scale) + zero)
    # ONNX Runtime takes a clamp that rounding does not do by itself out of the integers
    return Made(np.asarray(integers.astype(grid.dtype)), grid, True, exact=not clamps or int(zero) == grid.low)


def _bounds(meaning: Meaning, node: Node) -> tuple[float | None, float | None]:
    """What a Relu or a Clip clamps to."""
    if node.op_type == "Relu":
        return 0.0, None
    found: list[float | None] = []
    for place, name in ((1, "min"), (2, "max")):
        value = meaning.constant(node.given(place))
        if value is not None:
            found.append(float(value.reshape(-1)[0]))
        else:
            found.append(node.number(name, 0.0) if name in node.attributes else None)
    return found[0], found[1]


def _bias(tile: Tile, integers: bool = False) -> Array | None:
    """The constant that is added to a product: a row of channels, or what broadcasts over the output of a Gemm.

    `integers`: as it is stored, where it has the scale of what it is added to.
    """
    node, meaning = tile.node, tile.meaning
    name = node.given(2) if node.op_type in ("Conv", "ConvTranspose", "Gemm") else ""
    if not name or meaning.constant(name) is None:
        return None
    value = meaning.constant(name)
    assert value is not None
    beta = node.number("beta", 1.0) if node.op_type == "Gemm" else 1.0
    scaling = meaning.graph.scalings.get(name)
    if value.dtype.kind in "iu" and not (integers and beta == 1.0):
        scale = meaning.constant(scaling.scale) if scaling else None
        if scale is None:
            raise NoArithmetic("a bias of integers under a product of floats")
        value = value.astype(np.float32) * scale.reshape(-1)
    if beta != 1.0:
        value = value * np.float32(beta)
    if node.op_type == "Gemm":
        return tile.part_of(value, tile.box)
    return products.along_channels(tile, value, ("K",))


def _gemm_addend(arithmetic: Arithmetic, tile: Tile) -> Made:
    """What a Gemm adds where that is no constant."""
    first, *others = (
        tile.real(item) for item in sorted(tile.op.inputs, key=lambda i: not i.tensor.endswith(".product"))
    )
    beta = np.asarray(tile.node.number("beta", 1.0), first.dtype)
    return Made(first + beta * others[0] if others else first * (1 + beta))


def _pool(arithmetic: Arithmetic, tile: Tile) -> Made:
    (data,) = tile.op.inputs
    maximum = tile.node.op_type.endswith("MaxPool")
    return Made(windows.pooled(tile), tile.grid(data) if maximum else None)


def _move(arithmetic: Arithmetic, tile: Tile) -> Made:
    (data,) = tile.op.inputs
    grid = tile.grid(data)
    if grid is not None and grid.axis is not None:
        raise NoArithmetic("a move of a tensor with a scale for each channel")
    return Made(moves.moved(tile), grid)


def _addition(arithmetic: Arithmetic, tile: Tile) -> Made:
    """Add: two quantised tensors are scaled to the grid of their sum, each by one float32 factor, and rounded once."""
    grid = tile.meaning.grid(tile.op.output.tensor)
    grids = [tile.meaning.grid(name) for name in tile.node.inputs]
    if grid is None or tile.op.onnx not in ("Add", "QLinearAdd") or any(g is None or g.axis is not None for g in grids):
        return _node(arithmetic, tile)
    if any(g is not None and g.dtype != grid.dtype for g in grids) or len(tile.op.folded) > 1:
        return _node(arithmetic, tile)
    if any(tile.meaning.nodes[name].op_type not in QUANTISERS for name in tile.op.folded):
        return _node(arithmetic, tile)
    (one, other), stored = grids, _stored(tile)
    assert one is not None
    assert other is not None
    factors = [np.asarray(g.scale.reshape(()) / grid.scale.reshape(()), np.float32) for g in (one, other)]
    zeros = [g.zero.reshape(()).astype(np.float32) for g in (one, other, grid)]
    shift = zeros[2] - (factors[0] * zeros[0] + factors[1] * zeros[1])
    first, second = (np.asarray(value).astype(np.float32) for value in stored)
    total = first * factors[0] + (second * factors[1] + shift)
    return Made(np.asarray(np.clip(rounded(total), grid.low, grid.high).astype(grid.dtype)), grid, exact=False)


def _as_it_is(arithmetic: Arithmetic, tile: Tile) -> Made:
    return Made(tile.real(tile.op.inputs[0]))


def _inputs(tile: Tile) -> list[Array | None]:
    """What the node reads, in its order: boxes of the tile, and constants held in the instruction.

    Errors: NoArithmetic for an input that is neither.
    """
    if tile.meaning.on_integers(tile.node):
        return _stored(tile)
    found: list[Array | None] = []
    for name in tile.node.inputs:
        operand = tile.operand(name)
        if operand is not None:
            found.append(tile.real(operand))
            continue
        value = tile.meaning.real(name)
        if name and value is None:
            raise NoArithmetic(f"{tile.node.op_type} reads '{name}', which is no operand")
        found.append(value)
    return found


def _node(arithmetic: Arithmetic, tile: Tile) -> Made:
    """The node on the tile's boxes; where it makes an axis whole, the tile takes its part."""
    inputs = _inputs(tile)
    if tile.node.opset < 7 and len(inputs) > 1:
        inputs = [_aligned(tile, name, value) for name, value in zip(tile.node.inputs, inputs, strict=True)]
    made = _fitted(tile, arithmetic.evaluate(tile, tile.node, inputs)[tile.node_output])
    return Made(made, tile.meaning.rounded_to(tile.node_output) if tile.meaning.on_integers(tile.node) else None)


def _aligned(tile: Tile, name: str, value: Array | None) -> Array | None:
    """An input with the axes of the output, as operators before set 7 said by `axis`."""
    operand = tile.operand(name)
    if operand is None or value is None or value.ndim == len(tile.box):
        return value
    shape = [1] * len(tile.box)
    for axis, size in zip(operand.axes, value.shape, strict=True):
        place = next((i for i, out in enumerate(tile.op.output.axes) if out.terms and out.terms == axis.terms), None)
        if place is not None:
            shape[place] = size
    return value.reshape(shape)


def _fitted(tile: Tile, made: Array) -> Array:
    sizes = [stop - start for start, stop in tile.box]
    if made.ndim != len(sizes):
        raise NoArithmetic(f"{tile.node.op_type} makes rank {made.ndim}, not {len(sizes)}")
    place: list[slice] = []
    for size, wanted, axis, (start, stop) in zip(made.shape, sizes, tile.op.output.axes, tile.box, strict=True):
        if size != wanted and size != axis.size:
            raise NoArithmetic(f"{tile.node.op_type} on a tile makes {list(made.shape)}, not {sizes}")
        place.append(slice(None) if size == wanted else slice(start, stop))
    return made[tuple(place)]


def _softmax(arithmetic: Arithmetic, tile: Tile) -> Made:
    """Before operator set 13, everything from the axis on is one axis."""
    (data,) = tile.op.inputs
    array = tile.real(data)
    node = tile.node
    if node.opset >= 13:
        return _portions(tile, arithmetic.evaluate(tile, node, [array])[tile.node_output])
    first = node.integer("axis", 1) % max(1, array.ndim)
    flat = array.reshape(int(np.prod(array.shape[:first])), -1)
    newer = replace(node, opset=13, attributes={"axis": 1})
    made = arithmetic.evaluate(tile, newer, [flat], "flat")[tile.node_output]
    return _portions(tile, made.reshape(array.shape))


def _portions(tile: Tile, made: Array) -> Made:
    """A softmax from integers to integers: each part times a whole number of steps, as units that divide have it."""
    grid = tile.meaning.grid(tile.op.output.tensor)
    functions = [name for name in tile.op.folded if tile.meaning.nodes[name].op_type not in QUANTISERS]
    between = grid is not None and grid.axis is None and tile.grid(tile.op.inputs[0]) is not None
    if tile.node.op_type != "Softmax" or not between or functions or len(tile.op.folded) > 1:
        return Made(made)
    assert grid is not None
    steps = np.floor(np.float32(1) / grid.scale.reshape(()))
    integers = np.floor(made.astype(np.float64) * steps + 0.5) + grid.zero.reshape(())
    return Made(np.asarray(np.clip(integers, grid.low, grid.high).astype(grid.dtype)), grid, exact=False)


def _normalisation(arithmetic: Arithmetic, tile: Tile) -> Made:
    """BatchNormalization by itself: its four rows are cut as the channels are."""
    channel = tile.box[min(1, len(tile.box) - 1)]
    data, *rows = _inputs(tile)
    cut: list[Array | None] = [data]
    for name, row in zip(tile.node.inputs[1:], rows, strict=True):
        assert row is not None
        cut.append(row if tile.operand(name) is not None else row[slice(*channel)])
    return Made(arithmetic.evaluate(tile, tile.node, cut)[tile.node_output])


def _scaled(arithmetic: Arithmetic, tile: Tile) -> Made:
    """A quantiser whose scales are made at run time: the scales of its channels are cut as they are."""
    if tile.node.integer("block_size", 0) or tile.op.folded:
        raise NoArithmetic("scales in blocks made at run time")
    data, *parameters = _stored(tile)
    axis = tile.node.integer("axis", 1) % max(1, len(tile.box))
    cut = [data]
    for name, value in zip(tile.node.inputs[1:], parameters, strict=True):
        whole = value is not None and value.size > 1 and tile.operand(name) is None
        cut.append(value[slice(*tile.box[axis])] if whole and value is not None else value)
    return Made(arithmetic.evaluate(tile, tile.node, cut)[tile.node_output], final=True)


def _stored(tile: Tile) -> list[Array | None]:
    """What the node reads, as it is stored."""
    found: list[Array | None] = []
    for place, name in enumerate(tile.node.inputs):
        operand = tile.operand(name)
        found.append(tile.constant(place) if operand is None else tile.read[operand.name])
    return found


def _cast_like(arithmetic: Arithmetic, tile: Tile) -> Made:
    """A Cast to the type of the output."""
    kept = {name: value for name, value in tile.node.attributes.items() if name == "saturate"}
    attributes = {**kept, "to": elem_type(tile.meaning.tensors[tile.op.output.tensor].dtype)}
    cast = replace(tile.node, op_type="Cast", inputs=tile.node.inputs[:1], attributes=attributes)
    return Made(arithmetic.evaluate(tile, cast, [tile.real(tile.op.inputs[0])], "cast")[tile.node_output])


def _filled(arithmetic: Arithmetic, tile: Tile) -> Made:
    """ConstantOfShape: one number everywhere."""
    stated = tile.node.attributes.get("value")
    value = np.zeros(1, np.float32) if stated is None else onnx.numpy_helper.to_array(stated)
    return Made(np.full([stop - start for start, stop in tile.box], value.reshape(-1)[0]))


def _root_mean_square(arithmetic: Arithmetic, tile: Tile) -> Made:
    """RMSNormalization: what it divides by is found in float32; a scale of ones may be left out."""
    data, *scale = _inputs(tile)
    assert data is not None
    axes = tuple(range(tile.node.integer("axis", -1) % data.ndim, data.ndim))
    wide = data.astype(np.result_type(data.dtype, np.float32))
    mean = np.mean(wide * wide, axis=axes, keepdims=True)
    made = (wide / np.sqrt(mean + np.asarray(tile.node.number("epsilon", 1e-5), wide.dtype))).astype(data.dtype)
    return Made(made if not scale or scale[0] is None else made * scale[0])


def _group_normalisation(arithmetic: Arithmetic, tile: Tile) -> Made:
    """GroupNormalization: before operator set 21 scale and shift are those of groups."""
    data, scale, shift = _inputs(tile)
    assert data is not None
    assert scale is not None
    assert shift is not None
    groups = tile.node.integer("num_groups", 1)
    wide = data.reshape(data.shape[0], groups, -1).astype(np.result_type(data.dtype, np.float32))
    mean, spread = wide.mean(axis=2, keepdims=True), wide.var(axis=2, keepdims=True)
    made = (wide - mean) / np.sqrt(spread + np.asarray(tile.node.number("epsilon", 1e-5), wide.dtype))
    if scale.size == data.shape[1]:
        made = made.reshape(data.shape)
        rows = (-1, *[1] * (data.ndim - 2))
    else:
        rows = (-1, 1)
    return Made((made.astype(data.dtype) * scale.reshape(rows) + shift.reshape(rows)).reshape(data.shape))


def _local_response(arithmetic: Arithmetic, tile: Tile) -> Made:
    """LRN: each channel over a power of the squares around it (ONNX's evaluator counts images for channels)."""
    (data,) = tile.op.inputs
    array = tile.real(data)
    size, count = tile.node.integer("size", 1), array.shape[1]
    squares = np.pad(array * array, [(0, 0), ((size - 1) // 2, size // 2), *[(0, 0)] * (array.ndim - 2)])
    total = sum(squares[:, shift : shift + count] for shift in range(size))
    alpha, beta, bias = (tile.node.number(n, d) for n, d in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)))
    factor = np.asarray(alpha / size, array.dtype)
    return Made(np.asarray(array / (np.asarray(bias, array.dtype) + factor * total) ** np.asarray(beta, array.dtype)))


def _scatter(arithmetic: Arithmetic, tile: Tile) -> Made:
    """The old name of ScatterElements."""
    newer = replace(tile.node, op_type="ScatterElements", opset=max(tile.node.opset, 13))
    return Made(_fitted(tile, arithmetic.evaluate(tile, newer, _inputs(tile), "new")[tile.node_output]))


def _attention(arithmetic: Arithmetic, tile: Tile) -> Made:
    return Made(attentions.attended(tile))


def _recurrence(arithmetic: Arithmetic, tile: Tile) -> Made:
    return Made(recurrences.stepped(tile))


def _rotary(arithmetic: Arithmetic, tile: Tile) -> Made:
    return Made(rotaries.turned(tile))


def _pick(arithmetic: Arithmetic, tile: Tile) -> Made:
    """What is picked or replaced by address stays as it is stored."""
    grids = [tile.grid(item) for item in tile.op.operands]
    if any(grid is not None for grid in grids):
        raise NoArithmetic(f"{tile.node.op_type} of quantised tensors")
    return Made(picks.picked(tile))


def _resize(arithmetic: Arithmetic, tile: Tile) -> Made:
    """Resize and Upsample, by matrices that are found once for a node."""
    key = tile.node.name
    if key not in arithmetic.mixing:
        shape, result = ([axis.size for axis in item.axes] for item in (tile.op.inputs[0], tile.op.output))
        inputs = [tile.constant(place) for place in range(1, len(tile.node.inputs))]
        arithmetic.mixing[key] = resizes.matrices(tile.node, shape, result, inputs)
    return Made(resizes.resized(tile, arithmetic.mixing[key]))


def _sum(arithmetic: Arithmetic, tile: Tile) -> Made:
    """An Einsum of one operand: the sum over the loops that it leaves out."""
    (data,) = tile.op.inputs
    dims = [*tile.output_dims, *tile.summed_dims]
    seen = tile.loops(data, tile.real(data), dims)
    return Made(tile.written(seen.sum(axis=tuple(range(len(tile.output_dims), len(dims)))), tile.output_dims))


def _names(*lines: str) -> frozenset[str]:
    return frozenset(name for line in lines for name in line.split())


_OWN: dict[str, Rule] = {
    "Add": _addition,
    "BatchNormalization": _normalisation,
    "CastLike": _cast_like,
    "ConstantOfShape": _filled,
    "RMSNormalization": _root_mean_square,
    "GroupNormalization": _group_normalisation,
    "LRN": _local_response,
    "Scatter": _scatter,
    "Resize": _resize,
    "Upsample": _resize,
    "RotaryEmbedding": _rotary,
}
"""Operators with arithmetic of their own."""
_PRODUCTS = _names("Conv ConvTranspose Gemm MatMul Einsum")
_POOLS = _names("MaxPool AveragePool LpPool GlobalMaxPool GlobalAveragePool GlobalLpPool")
_MOVES = _names(
    "Concat Split Slice Pad Expand DepthToSpace SpaceToDepth Tile Trilu Gather ConvTranspose LSTM GRU RNN",
    "RotaryEmbedding Attention",
)
_PICKS = _names("GatherND ScatterND")
_SOFTMAX = _names("Softmax LogSoftmax Hardmax")
_NODES = _names(
    "Sub Mul Div Pow Mod Min Max Mean Sum PRelu Where And Or Xor Not Equal Greater GreaterOrEqual Less LessOrEqual",
    "IsInf IsNaN BitShift BitwiseAnd BitwiseOr BitwiseXor BitwiseNot Relu LeakyRelu ThresholdedRelu Clip Sigmoid",
    "HardSigmoid HardSwish Tanh Elu Selu Celu Gelu Mish Swish Softplus Softsign Shrink Erf Exp Log Sqrt Reciprocal Neg",
    "Abs Sign Floor Ceil Round Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Cast Range",
    "OneHot CumSum CumProd LayerNormalization InstanceNormalization",
    "LpNormalization MeanVarianceNormalization ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd",
    "ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSum ReduceLogSumExp ArgMax ArgMin TopK Gather GatherElements",
    "ReverseSequence ScatterElements TensorScatter Pad",
)
"""Operators that mean the same on a tile's boxes as on the whole tensors, but for axes that they make whole."""
