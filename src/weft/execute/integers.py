"""Products and sums of a tile; of integers on grids: int32 sums, one float32 factor, halves to even."""

from __future__ import annotations

import numpy as np

from weft.execute import kit as kits
from weft.execute import products
from weft.execute.functions import node_on_boxes, stored_inputs
from weft.execute.kit import Kit, Made
from weft.execute.meaning import Meaning
from weft.execute.nodes import NoArithmetic
from weft.execute.tile import Tile
from weft.execute.values import Array
from weft.read.fold import QUANTISERS
from weft.read.onnx.graph import Node

_CLAMPS = frozenset({"Relu", "Clip"})
"""Folded operators that commute with rounding: they clamp the integers."""


def product(kit: Kit, tile: Tile) -> Made:
    """A convolution or matrix product with its bias; of integers, with the clamps folded in, on the output's grid."""
    node, meaning = tile.node, kit.meaning
    if not products.is_integer(tile):
        array = products.multiplied(tile)
        if node.op_type == "Gemm":
            array = array * np.asarray(node.number("alpha", 1.0), array.dtype)
        bias = bias_of(tile)
        return Made(array if bias is None else array + bias.astype(array.dtype))
    total = products.accumulated(tile)
    if meaning.own_node(tile.op).op_type in ("ConvInteger", "MatMulInteger"):
        return Made(total)
    factor = products.scales(tile) * np.float32(node.number("alpha", 1.0) if node.op_type == "Gemm" else 1.0)
    bias = bias_of(tile, integers=True)
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
    integers = kits.rounded(total.astype(np.float32) * (factor / scale).astype(np.float32)) + zero
    integers = np.clip(integers, grid.low, grid.high)
    for clamp in clamps:
        low, high = _bounds(meaning, clamp)
        if low is not None:
            integers = np.maximum(integers, kits.rounded(np.float32(low) / scale) + zero)
        if high is not None:
            integers = np.minimum(integers, kits.rounded(np.float32(high) / scale) + zero)
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


def bias_of(tile: Tile, integers: bool = False) -> Array | None:
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


def gemm_addend(kit: Kit, tile: Tile) -> Made:
    """What a Gemm adds where that is no constant."""
    first, *others = (
        tile.real(item) for item in sorted(tile.op.inputs, key=lambda i: not i.tensor.endswith(".product"))
    )
    beta = np.asarray(tile.node.number("beta", 1.0), first.dtype)
    return Made(first + beta * others[0] if others else first * (1 + beta))


def addition(kit: Kit, tile: Tile) -> Made:
    """Add: two quantised tensors are scaled to the grid of their sum, each by one float32 factor, and rounded once."""
    grid = tile.meaning.grid(tile.op.output.tensor)
    grids = [tile.meaning.grid(name) for name in tile.node.inputs]
    if grid is None or tile.op.onnx not in ("Add", "QLinearAdd") or any(g is None or g.axis is not None for g in grids):
        return node_on_boxes(kit, tile)
    if any(g is not None and g.dtype != grid.dtype for g in grids) or len(tile.op.folded) > 1:
        return node_on_boxes(kit, tile)
    if any(tile.meaning.nodes[name].op_type not in QUANTISERS for name in tile.op.folded):
        return node_on_boxes(kit, tile)
    (one, other), stored = grids, stored_inputs(tile)
    assert one is not None
    assert other is not None
    factors = [np.asarray(g.scale.reshape(()) / grid.scale.reshape(()), np.float32) for g in (one, other)]
    zeros = [g.zero.reshape(()).astype(np.float32) for g in (one, other, grid)]
    shift = zeros[2] - (factors[0] * zeros[0] + factors[1] * zeros[1])
    first, second = (np.asarray(value).astype(np.float32) for value in stored)
    total = first * factors[0] + (second * factors[1] + shift)
    return Made(np.asarray(np.clip(kits.rounded(total), grid.low, grid.high).astype(grid.dtype)), grid, exact=False)
