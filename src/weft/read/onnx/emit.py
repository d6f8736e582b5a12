"""From a graph with known shapes to a workload: each node's builder in turn, then the tensors they use."""

from __future__ import annotations

from collections.abc import Mapping

from weft.errors import Gathered, ModelError
from weft.model.workload import Note, Op, Tensor, TensorRole, View, Workload
from weft.read.dtypes import dtype_bits
from weft.read.onnx.blocks import read_with_scales
from weft.read.onnx.graph import Graph, Node
from weft.read.onnx.proto import size_error
from weft.read.onnx.table import BUILDERS
from weft.read.onnx.unknown import must_fit

WIDEST = 64
"""Bits of the widest number that an attribute may give a tensor."""


def emit(graph: Graph) -> Workload:
    """The workload of a graph.

    Errors: ModelError for what does not hold of a node, of all of them at once, and where nothing is left to compute.
    """
    ops: list[Op] = []
    views: list[View] = []
    notes: list[Note] = list(graph.notes)
    tensors: dict[str, Tensor] = {}
    problems = Gathered(ModelError)
    for node in graph.nodes:
        with problems.go_on(graph.at(node)):
            with must_fit(node, graph.infos):
                made = read_with_scales(graph, BUILDERS[node.key](graph, node))
            ops += made.ops
            views += made.views
            notes += made.notes
            tensors.update((tensor.name, tensor) for tensor in made.tensors)
    bits: dict[str, int] = {}
    with problems.go_on(graph.where):
        bits = _stated_bits(graph, ops)
    problems.settle()
    if not ops:
        for name in graph.inputs:
            for position, size in enumerate(graph.shape(name)):
                if not size:
                    raise size_error(position, size, f"{graph.where}: input '{name}'")
        raise ModelError(
            "a network must compute something, and no operator is left of this one",
            where=graph.where,
            remedy="check that its outputs depend on its inputs",
        )
    names = [operand.tensor for op in ops for operand in op.operands]
    names += [name for view in views for name in (view.source, view.tensor)]
    made_of = {view.tensor: view.source for view in views}
    kept = tuple(tensors.get(name) or _tensor(graph, name, bits.get(name), made_of) for name in dict.fromkeys(names))
    _check_shapes(graph, ops, kept)
    return Workload(graph.name, kept, tuple(ops), tuple(views), tuple(notes), graph.read)


def _check_shapes(graph: Graph, ops: list[Op], tensors: tuple[Tensor, ...]) -> None:
    """Each op sees its tensors whole; else a shape that the file states, and that nothing else says, is wrong.

    Errors: ModelError for all that are.
    """
    problems = Gathered(ModelError)
    shapes = {tensor.name: tensor.shape for tensor in tensors}
    for op in ops:
        for operand in op.operands:
            seen, stated = [axis.size for axis in operand.axes], list(shapes[operand.tensor])
            if seen != stated:
                problems.add(
                    ModelError(
                        f"'{operand.tensor}' must be {seen} for {op.onnx}, not {stated}",
                        where=f"{graph.where}: node '{op.nodes[0]}'",
                        remedy="check the shapes",
                    )
                )
    problems.settle()


def _stated_bits(graph: Graph, ops: list[Op]) -> dict[str, int]:
    """Widths that ZigZag's node attributes give: weight_size, act_size and output_size [bits].

    What a producer says of its output counts before what a reader says of its input.
    """
    nodes = {node.name: node for node in graph.nodes}
    bits: dict[str, int] = {}
    for key, slot in (("output_size", "O"), ("weight_size", "W"), ("act_size", "I")):
        for op in ops:
            for operand in op.operands:
                node = nodes[op.nodes[0]]
                if operand.slot == slot and key in node.attributes:
                    bits.setdefault(operand.tensor, _width(graph, node, key))
    return bits


def _width(graph: Graph, node: Node, key: str) -> int:
    width = node.integer(key, 0)
    if not 1 <= width <= WIDEST:
        raise ModelError(
            f"{key} must be between 1 and {WIDEST} bits, not {width}",
            where=graph.at(node),
            remedy="leave the attribute out to take the type's own width",
        )
    return width


def _tensor(graph: Graph, name: str, bits: int | None, made_of: Mapping[str, str]) -> Tensor:
    """A tensor of the graph; a view has the format of what it shows."""
    info = graph.infos[name]
    role: TensorRole = "intermediate"
    if name in graph.outputs:
        role = "output"
    elif name in graph.inputs:
        role = "input"
    elif graph.is_constant(name):
        role = "weight"
    shown = name
    while shown not in graph.types and shown in made_of:
        shown = made_of[shown]
    type_ = graph.types.get(shown)
    return Tensor(name, info.shape, bits or (type_.bits if type_ else dtype_bits(info.dtype)), role, info.dtype, type_)
