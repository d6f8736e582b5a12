"""Weights scaled in blocks: the loop along the blocks becomes two, so that scales are an operand like any other."""

from __future__ import annotations

from dataclasses import dataclass, replace

from weft.model.tensor_type import TensorType
from weft.model.workload import Axis, Note, Op, Operand, Tensor, TensorRole, Term
from weft.read.dtypes import dtype_bits, type_of
from weft.read.onnx.graph import Emitted, Graph, axis


@dataclass(frozen=True, slots=True)
class Scale:
    """A tensor that has one number for each block: scales, or zero points."""

    tensor: str
    bits: int
    dtype: str


def read_with_scales(graph: Graph, made: Emitted) -> Emitted:
    """What a node turns into, where its ops read the scales of operands that are scaled in blocks."""
    for op in made.ops:
        for item in op.inputs:
            type_ = graph.types.get(item.tensor)
            if type_ is not None and type_.block and item.tensor in graph.scales:
                scales = tuple(scale_of(graph, name) for name in graph.scales[item.tensor])
                made = with_scales(graph, made, op.name, item.name, type_, scales)
    return made


def scale_of(graph: Graph, name: str) -> Scale:
    """A tensor of scales or zero points as it is stored."""
    dtype = graph.infos[name].dtype
    return Scale(name, dtype_bits(dtype), dtype)


def with_scales(
    graph: Graph, made: Emitted, name: str, operand: str, type_: TensorType, scales: tuple[Scale, ...]
) -> Emitted:
    """The op `name` with the loop along the blocks of `operand` split in two, and the scales among its operands.

    A loop over K in blocks of n becomes KB over the blocks and K inside one: index = n x KB + K. Every operand's map
    stays exact. Where n does not divide the loop, the last block is padded, and a note says so. Scales take the room of
    inputs: the register of a weight, one byte on many arrays, holds weights alone.
    """
    (op,) = (op for op in made.ops if op.name == name)
    (item,) = (item for item in op.operands if item.name == operand)
    assert type_.axis is not None
    along = item.axes[type_.axis]
    blocks = -(-along.size // type_.block)
    notes = list(made.notes)
    outer = ""
    plain = len(along.terms) == 1 and along.terms[0].coefficient == 1 and not along.scattered
    if blocks > 1 and plain and op.size[along.terms[0].dim] > type_.block:
        inner = along.terms[0].dim
        outer = f"{inner}B"
        if op.size[inner] % type_.block:
            padded = -(-op.size[inner] // type_.block) * type_.block
            notes.append(
                Note(name, f"{inner} is padded from {op.size[inner]} to {padded}: whole blocks of {type_.block}")
            )
        op = _split(op, inner, outer, type_.block)
        (item,) = (item for item in op.operands if item.name == operand)
    elif blocks > 1 and along.terms and not along.scattered:
        notes.append(Note(name, f"block scales of '{item.tensor}' not priced: several loops index its blocks"))
        return replace(made, notes=tuple(notes))
    of_blocks = axis(blocks, outer) if outer else Axis(blocks, (), along.offset // type_.block)
    if along.scattered:  # a picked row has its block's scale
        of_blocks = replace(along, size=blocks)
    axes = tuple(of_blocks if i == type_.axis else other for i, other in enumerate(item.axes))
    shape = tuple(other.size for other in axes)
    tensors = {tensor.name: tensor for tensor in made.tensors}
    added = []
    for letter, scale in zip("SZ", scales, strict=False):
        role: TensorRole = "weight" if graph.is_constant(scale.tensor) else "intermediate"
        stored = replace(type_of(scale.dtype), bits=scale.bits)  # a network of few bits says how wide its scales are
        role = "input" if scale.tensor in graph.inputs else role
        tensors[scale.tensor] = Tensor(scale.tensor, shape, scale.bits, role, scale.dtype, stored)
        taken = {other.name for other in op.operands}
        free = next(word for word in (letter, f"{letter}2", f"{letter}3") if word not in taken)
        added.append(Operand(free, "I", scale.tensor, axes))
    op = replace(op, operands=(*op.inputs, *added, op.output))
    ops = tuple(op if other.name == name else other for other in made.ops)
    return replace(made, ops=ops, tensors=tuple(tensors.values()), notes=tuple(notes))


def _split(op: Op, inner: str, outer: str, block: int) -> Op:
    """The op with loop `inner` as `outer` blocks of `inner` iterations."""
    dims: list[tuple[str, int]] = []
    for name, size in op.dims:
        dims += [(outer, -(-size // block)), (inner, block)] if name == inner else [(name, size)]

    def terms(own: Axis) -> Axis:
        parts: list[Term] = []
        for term in own.terms:
            parts += [Term(outer, term.coefficient * block), term] if term.dim == inner else [term]
        return replace(own, terms=tuple(parts))

    operands = tuple(replace(item, axes=tuple(map(terms, item.axes))) for item in op.operands)
    barrier = op.barrier | {outer} if inner in op.barrier else op.barrier
    return replace(op, dims=tuple(dims), operands=operands, barrier=frozenset(barrier))
