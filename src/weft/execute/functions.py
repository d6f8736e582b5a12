"""Operators that a tile computes on its boxes as the whole network does on its tensors, one node at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx.numpy_helper

from weft.execute.kit import Kit, Made
from weft.execute.nodes import NoArithmetic
from weft.execute.tile import Tile
from weft.execute.values import Array
from weft.read.fold import QUANTISERS
from weft.read.onnx.proto import elem_type


def node_on_boxes(kit: Kit, tile: Tile) -> Made:
    """The node on the tile's boxes; where it makes an axis whole, the tile takes its part."""
    inputs = inputs_of(tile)
    if tile.node.opset < 7 and len(inputs) > 1:
        inputs = [_aligned(tile, name, value) for name, value in zip(tile.node.inputs, inputs, strict=True)]
    made = _fitted(tile, kit.evaluate(tile, tile.node, inputs)[tile.node_output])
    return Made(made, tile.meaning.rounded_to(tile.node_output) if tile.meaning.on_integers(tile.node) else None)


def inputs_of(tile: Tile) -> list[Array | None]:
    """What the node reads, in its order: boxes of the tile, and constants held in the instruction.

    Errors: NoArithmetic for an input that is neither.
    """
    if tile.meaning.on_integers(tile.node):
        return stored_inputs(tile)
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


def stored_inputs(tile: Tile) -> list[Array | None]:
    """What the node reads, as it is stored."""
    found: list[Array | None] = []
    for place, name in enumerate(tile.node.inputs):
        operand = tile.operand(name)
        found.append(tile.constant(place) if operand is None else tile.read[operand.name])
    return found


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


def as_it_is(kit: Kit, tile: Tile) -> Made:
    """A quantiser or its inverse: the numbers of its input, for the output to be rounded or not."""
    return Made(tile.real(tile.op.inputs[0]))


def scaled(kit: Kit, tile: Tile) -> Made:
    """A quantiser whose scales are made at run time: the scales of its channels are cut as they are."""
    if tile.node.integer("block_size", 0) or tile.op.folded:
        raise NoArithmetic("scales in blocks made at run time")
    data, *parameters = stored_inputs(tile)
    axis = tile.node.integer("axis", 1) % max(1, len(tile.box))
    cut = [data]
    for name, value in zip(tile.node.inputs[1:], parameters, strict=True):
        whole = value is not None and value.size > 1 and tile.operand(name) is None
        cut.append(value[slice(*tile.box[axis])] if whole and value is not None else value)
    return Made(kit.evaluate(tile, tile.node, cut)[tile.node_output], final=True)


def softmax(kit: Kit, tile: Tile) -> Made:
    """Before operator set 13, everything from the axis on is one axis."""
    (data,) = tile.op.inputs
    array = tile.real(data)
    node = tile.node
    if node.opset >= 13:
        return _portions(tile, kit.evaluate(tile, node, [array])[tile.node_output])
    first = node.integer("axis", 1) % max(1, array.ndim)
    flat = array.reshape(int(np.prod(array.shape[:first])), -1)
    newer = replace(node, opset=13, attributes={"axis": 1})
    made = kit.evaluate(tile, newer, [flat], "flat")[tile.node_output]
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


def normalisation(kit: Kit, tile: Tile) -> Made:
    """BatchNormalization by itself: its four rows are cut as the channels are."""
    channel = tile.box[min(1, len(tile.box) - 1)]
    data, *rows = inputs_of(tile)
    cut: list[Array | None] = [data]
    for name, row in zip(tile.node.inputs[1:], rows, strict=True):
        assert row is not None
        cut.append(row if tile.operand(name) is not None else row[slice(*channel)])
    return Made(kit.evaluate(tile, tile.node, cut)[tile.node_output])


def root_mean_square(kit: Kit, tile: Tile) -> Made:
    """RMSNormalization: what it divides by is found in float32; a scale of ones may be left out."""
    data, *scale = inputs_of(tile)
    assert data is not None
    axes = tuple(range(tile.node.integer("axis", -1) % data.ndim, data.ndim))
    wide = data.astype(np.result_type(data.dtype, np.float32))
    mean = np.mean(wide * wide, axis=axes, keepdims=True)
    made = (wide / np.sqrt(mean + np.asarray(tile.node.number("epsilon", 1e-5), wide.dtype))).astype(data.dtype)
    return Made(made if not scale or scale[0] is None else made * scale[0])


def group_normalisation(kit: Kit, tile: Tile) -> Made:
    """GroupNormalization: before operator set 21 scale and shift are those of groups."""
    data, scale, shift = inputs_of(tile)
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


def local_response(kit: Kit, tile: Tile) -> Made:
    """LRN: each channel over a power of the squares around it (ONNX's evaluator counts images for channels)."""
    (data,) = tile.op.inputs
    array = tile.real(data)
    size, count = tile.node.integer("size", 1), array.shape[1]
    squares = np.pad(array * array, [(0, 0), ((size - 1) // 2, size // 2), *[(0, 0)] * (array.ndim - 2)])
    total = sum(squares[:, shift : shift + count] for shift in range(size))
    alpha, beta, bias = (tile.node.number(n, d) for n, d in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)))
    factor = np.asarray(alpha / size, array.dtype)
    return Made(np.asarray(array / (np.asarray(bias, array.dtype) + factor * total) ** np.asarray(beta, array.dtype)))


def cast_like(kit: Kit, tile: Tile) -> Made:
    """A Cast to the type of the output."""
    kept = {name: value for name, value in tile.node.attributes.items() if name == "saturate"}
    attributes = {**kept, "to": elem_type(tile.meaning.tensors[tile.op.output.tensor].dtype)}
    cast = replace(tile.node, op_type="Cast", inputs=tile.node.inputs[:1], attributes=attributes)
    return Made(kit.evaluate(tile, cast, [tile.real(tile.op.inputs[0])], "cast")[tile.node_output])


def filled(kit: Kit, tile: Tile) -> Made:
    """ConstantOfShape: one number everywhere."""
    stated = tile.node.attributes.get("value")
    value = np.zeros(1, np.float32) if stated is None else onnx.numpy_helper.to_array(stated)
    return Made(np.full([stop - start for start, stop in tile.box], value.reshape(-1)[0]))


def scatter(kit: Kit, tile: Tile) -> Made:
    """The old name of ScatterElements."""
    newer = replace(tile.node, op_type="ScatterElements", opset=max(tile.node.opset, 13))
    return Made(_fitted(tile, kit.evaluate(tile, newer, inputs_of(tile), "new")[tile.node_output]))


def summed(kit: Kit, tile: Tile) -> Made:
    """An Einsum of one operand: the sum over the loops that it leaves out."""
    (data,) = tile.op.inputs
    dims = [*tile.output_dims, *tile.summed_dims]
    seen = tile.loops(data, tile.real(data), dims)
    return Made(tile.written(seen.sum(axis=tuple(range(len(tile.output_dims), len(dims)))), tile.output_dims))
