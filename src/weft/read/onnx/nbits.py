"""Weights of a few bits under block scales, packed in bytes: MatMulNBits, GatherBlockQuantized."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
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
        raise _refused(
            graph.at(node), f"the inner sizes of a matrix product must agree, not {graph.shape(data)[-1]} and {k}"
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
        raise _refused(at, f"K, N and block_size must be positive and bits from 1 to 8, not {sizes} and {bits}")
    return sizes[0], sizes[1], sizes[2]


def unpacked_shape(node: Node, infos: Mapping[str, Info]) -> tuple[int, ...]:
    """The shape of a table whose last axis is packed in bytes."""
    info = infos[node.inputs[0]]
    if info.dtype != "uint8":
        return info.shape
    return (*info.shape[:-1], info.shape[-1] * (8 // max(1, node.integer("bits", 4))))


def nbits_info(node: Node, infos: Mapping[str, Info], known: Container[str], at: str) -> Info:
    """The output of the two operators, by their definitions.

    Errors: ModelError for too few inputs, weights that are not there when the network starts, and sizes that are not.
    """
    table, other = (1, 0) if node.key == MATMUL else (0, 1)
    if not all(map(node.given, range(3))):
        raise _refused(at, f"{node.op_type} must have at least 3 inputs, not {sum(map(bool, node.inputs))}")
    constants = [name for name in (node.inputs[table], *node.inputs[2:4]) if name]
    unknown = [name for name in constants if name not in known]
    if unknown or len({node.inputs[other], *constants}) <= len(constants):
        raise _refused(at, f"weights, scales and zero points of {node.op_type} must be constants of their own")
    shape, packed = infos[node.inputs[other]].shape, math.prod(infos[node.inputs[table]].shape)
    if node.key == MATMUL:
        k, n, _ = _sizes(at, node)
        if not shape or 8 * packed < k * n * node.integer("bits", 4):
            raise _refused(at, f"the weights must hold {k} x {n} numbers, not {packed} bytes")
        return Info((*shape[:-1], n), infos[node.inputs[other]].dtype)
    table_shape = infos[node.inputs[table]].shape
    if not table_shape or node.integer("bits", 4) not in (2, 4, 8) or node.integer("block_size", 128) < 1:
        raise _refused(at, "a table must have rows of 2, 4 or 8 bits in blocks of at least 1")
    unpacked = unpacked_shape(node, infos)
    where = node.integer("gather_axis", 0) % len(unpacked)
    return Info((*unpacked[:where], *shape, *unpacked[where + 1 :]), infos[node.inputs[2]].dtype)


def _refused(at: str, message: str) -> ModelError:
    return ModelError(message, where=at, remedy="export the network again")
