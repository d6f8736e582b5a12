"""What one tile computes, from its boxes alone: products, windows, moves, and single nodes; then what is folded in.

Integers on a grid are multiplied as they are, summed in int32, and brought to the grid of the output by one float32
factor, rounded half to even. All else is computed in the numbers that the integers stand for, in the model's floats.
"""

from __future__ import annotations

import numpy as np

from weft.execute import attentions, moves, picks, recurrences, resizes, rotaries, windows
from weft.execute.functions import (
    as_it_is,
    cast_like,
    filled,
    group_normalisation,
    local_response,
    node_on_boxes,
    normalisation,
    root_mean_square,
    scaled,
    scatter,
    softmax,
    summed,
)
from weft.execute.integers import addition, gemm_addend, product
from weft.execute.kit import Kit, Made, Rule, on_grid, real_of
from weft.execute.meaning import Meaning
from weft.execute.nodes import NoArithmetic
from weft.execute.tile import Tile
from weft.execute.values import Array
from weft.model.workload import MAC_KINDS, Op
from weft.read.fold import QUANTISERS
from weft.read.onnx.graph import Node


class Arithmetic:
    """Computes tiles of a workload's ops, and what is folded into them.

    `inexact`: ops whose integers may be off by one, for what lies half way.
    """

    def __init__(self, meaning: Meaning) -> None:
        self.meaning = meaning
        self.kit = Kit(meaning)
        self.inexact: set[str] = set()

    def lacks(self, op: Op) -> str | None:
        """Why an op cannot be computed; None where it can."""
        try:
            rule = rule_of(op, self.meaning)
            for operand in op.operands if rule is not scaled else ():
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
        made = rule_of(tile.op, self.meaning)(self.kit, tile)
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
        array = made.array if made.grid is None else real_of(made.array, made.grid, tile)
        if tile.op.onnx == "QuantizeLinear" and quantisers:  # the next ones round what this one has rounded
            array = self._through(tile, array, tile.node_output)
        for node in folded:
            if self.meaning.on_integers(node):
                between = self.meaning.rounded_to(node.outputs[0])
                integers = self._function(tile, node, on_grid(array, between, tile))
                array = real_of(integers, between, tile)
            elif node.op_type not in QUANTISERS:
                array = self._function(tile, node, array)
            elif node.name != quantisers[-1]:
                array = self._through(tile, array, node.outputs[0])
        if grid is not None:
            return on_grid(array, grid, tile)
        return array.astype(self.meaning.dtype(tile.op.output.tensor), copy=False)

    def _through(self, tile: Tile, array: Array, tensor: str) -> Array:
        """Numbers rounded to the grid of a tensor that is not written itself."""
        grid = self.meaning.rounded_to(tensor)
        return real_of(on_grid(array, grid, tile), grid, tile)

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
        return self.kit.evaluate(tile, node, inputs)[node.outputs[0]]


def rule_of(op: Op, meaning: Meaning) -> Rule:
    """What computes an op.

    Errors: NoArithmetic, with the operator's name, where nothing does.
    """
    node = meaning.node(op)
    name = node.op_type
    scattered = any(axis.scattered for operand in op.operands for axis in operand.axes)
    if name == "Gemm" and op.onnx == "Add":
        return gemm_addend
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
        return product
    if op.kind == "pool" and name in _POOLS:
        return _pool
    if name in _PICKS:
        return _pick
    if op.kind == "copy" and len(op.inputs) == 1 and not scattered and name in _MOVES:
        if name != "Pad" or node.text("mode", "constant") == "constant":
            return _move
        return node_on_boxes
    if name in ("QuantizeLinear", "DequantizeLinear"):
        return as_it_is if len(op.inputs) == 1 else scaled
    if name in _OWN:
        return _OWN[name]
    if name in _SOFTMAX:
        return softmax
    if name in _NODES:
        return node_on_boxes
    if name == "Einsum" and op.kind == "reduce":
        return summed
    raise NoArithmetic(name)


def _pool(kit: Kit, tile: Tile) -> Made:
    (data,) = tile.op.inputs
    maximum = tile.node.op_type.endswith("MaxPool")
    return Made(windows.pooled(tile), tile.grid(data) if maximum else None)


def _move(kit: Kit, tile: Tile) -> Made:
    (data,) = tile.op.inputs
    grid = tile.grid(data)
    if grid is not None and grid.axis is not None:
        raise NoArithmetic("a move of a tensor with a scale for each channel")
    return Made(moves.moved(tile), grid)


def _attention(kit: Kit, tile: Tile) -> Made:
    return Made(attentions.attended(tile))


def _recurrence(kit: Kit, tile: Tile) -> Made:
    return Made(recurrences.stepped(tile))


def _rotary(kit: Kit, tile: Tile) -> Made:
    return Made(rotaries.turned(tile))


def _pick(kit: Kit, tile: Tile) -> Made:
    """What is picked or replaced by address stays as it is stored."""
    grids = [tile.grid(item) for item in tile.op.operands]
    if any(grid is not None for grid in grids):
        raise NoArithmetic(f"{tile.node.op_type} of quantised tensors")
    return Made(picks.picked(tile))


def _resize(kit: Kit, tile: Tile) -> Made:
    """Resize and Upsample, by matrices that are found once for a node."""
    key = tile.node.name
    if key not in kit.mixing:
        shape, result = ([axis.size for axis in item.axes] for item in (tile.op.inputs[0], tile.op.output))
        inputs = [tile.constant(place) for place in range(1, len(tile.node.inputs))]
        kit.mixing[key] = resizes.matrices(tile.node, shape, result, inputs)
    return Made(resizes.resized(tile, kit.mixing[key]))


def _names(*lines: str) -> frozenset[str]:
    return frozenset(name for line in lines for name in line.split())


_OWN: dict[str, Rule] = {
    "Add": addition,
    "BatchNormalization": normalisation,
    "CastLike": cast_like,
    "ConstantOfShape": filled,
    "RMSNormalization": root_mean_square,
    "GroupNormalization": group_normalisation,
    "LRN": local_response,
    "Scatter": scatter,
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
