"""Weights of a few bits under block scales, packed in bytes: MatMulNBits, GatherBlockQuantized."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from weft.errors import ModelError
from weft.model.tensor_type import TensorType
from weft.model.workload import Note, Tensor
from weft.read.dtypes import dtype_bits
from weft.read.onnx.blocks import Scale, scale_of, with_scales
from weft.read.onnx.conv import bias_notes
from weft.read.onnx.graph import Emitted, Graph, Info, Node
from weft.read.onnx.matrix import matmul
from weft.read.onnx.pick import gather

MATMUL = "com.microsoft::MatMulNBits"
GATHER = "com.microsoft::GatherBlockQuantized"


def matmul_nbits(graph: Graph, node: Node) -> Emitted:
    """A [M, K] times B [K, N]: B of `bits` bits in blocks of `block_size` along K, a scale for each block and column.

    Zero points, if any, are packed as the weights are.
    """
    data, weight = node.inputs[0], node.inputs[1]
    k, n, block = _sizes(graph.at(node), node)
    bits = node.integer("bits", 4)
    if node.given(4):
        raise ModelError(
            "the columns of MatMulNBits must be in order, not under group indices",
            where=graph.at(node),
            remedy="quantise without act-order",
        )
    if graph.shape(data)[-1] != k:
        raise ModelError(
            f"the inner sizes of a matrix product must agree, not {graph.shape(data)[-1]} and {k}",
            where=graph.at(node),
            remedy="export the network again",
        )
    zero = node.given(3)
    type_ = TensorType("int", bits, signed=False, scaled=True, axis=0, block=block, zero_point=bool(zero))
    unpacked = {**graph.infos, weight: Info((k, n), "uint8")}
    made = matmul(replace(graph, infos=unpacked), replace(node, inputs=(data, weight)))
    made = replace(made, tensors=(*made.tensors, Tensor(weight, (k, n), bits, "weight", "uint8", type_)))
    scales = [scale_of(graph, node.inputs[2])]
    scales += [_packed(graph, zero, bits)] if zero else []
    notes = [Note(node.name, f"{k * n} weights of {bits} bits, a scale for every {block}"), *bias_notes(graph, node, 5)]
    return with_scales(graph, replace(made, notes=(*made.notes, *notes)), node.name, "B", type_, tuple(scales))


def gather_block_quantized(graph: Graph, node: Node) -> Emitted:
    """Rows of a table of few bits, with the scales of their blocks; they leave as floats."""
    table, indices = node.inputs[0], node.inputs[1]
    block = node.integer("block_size", 128)
    packed = graph.infos[table].dtype == "uint8"
    bits = node.integer("bits", 4) if packed else dtype_bits(graph.infos[table].dtype)
    shape = unpacked_shape(node, graph.infos)
    along = node.integer("quantize_axis", 1) % len(shape)
    zero = node.given(3)
    type_ = TensorType("int", bits, not packed, scaled=True, axis=along, block=block, zero_point=bool(zero))
    known = {**graph.infos, table: Info(shape, graph.infos[table].dtype)}
    attributes = {**node.attributes, "axis": node.integer("gather_axis", 0)}
    made = gather(replace(graph, infos=known), replace(node, inputs=(table, indices), attributes=attributes))
    made = replace(made, tensors=(*made.tensors, Tensor(table, shape, bits, "weight", graph.infos[table].dtype, type_)))
    scales = [scale_of(graph, node.inputs[2])]
    scales += [_packed(graph, zero, bits)] if zero else []
    for op in made.ops:
        item = next((item for item in op.inputs if item.tensor == table), None)
        if item is not None:
            made = with_scales(graph, made, op.name, item.name, type_, tuple(scales))
    return made


def _packed(graph: Graph, zero: str, bits: int) -> Scale:
    """Zero points: packed as their weights are in bytes, or numbers of their own type."""
    own = scale_of(graph, zero)
    return replace(own, bits=bits) if own.dtype == "uint8" else own


def _sizes(at: str, node: Node) -> tuple[int, int, int]:
    sizes, bits = [node.integer(name, 0) for name in ("K", "N", "block_size")], node.integer("bits", 4)
    if min(sizes) < 1 or not 1 <= bits <= 8:
        raise ModelError(
            f"K, N and block_size must be positive and bits from 1 to 8, not {sizes} and {bits}",
            where=at,
            remedy="export the network again",
        )
    return sizes[0], sizes[1], sizes[2]


def unpacked_shape(node: Node, infos: Mapping[str, Info]) -> tuple[int, ...]:
    """The shape of a table whose last axis is packed in bytes."""
    info = infos[node.inputs[0]]
    if info.dtype != "uint8":
        return info.shape
    return (*info.shape[:-1], info.shape[-1] * (8 // max(1, node.integer("bits", 4))))


def nbits_info(node: Node, infos: Mapping[str, Info], at: str) -> Info:
    """The output of the two operators, by their definitions.

    Errors: ModelError for too few inputs, and for sizes that are missing.
    """
    if not all(map(node.given, range(3))):
        raise ModelError(
            f"{node.op_type} must have at least 3 inputs, not {sum(map(bool, node.inputs))}",
            where=at,
            remedy="export the network again",
        )
    if node.key == MATMUL:
        data = infos[node.inputs[0]]
        return Info((*data.shape[:-1], _sizes(at, node)[1]), data.dtype)
    table, indices = unpacked_shape(node, infos), infos[node.inputs[1]].shape
    where = node.integer("gather_axis", 0) % len(table)
    return Info((*table[:where], *indices, *table[where + 1 :]), infos[node.inputs[2]].dtype)
