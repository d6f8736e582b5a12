"""Element by element: activations, arithmetic with broadcast, batch normalisation; softmax and norms with passes."""

from __future__ import annotations

from dataclasses import replace

from weft.errors import ModelError
from weft.model.workload import Axis, Note, Op, Operand, Slot
from weft.read.onnx.graph import Emitted, Graph, Node, axis, elements, letters, operand

Source = tuple[str, tuple[int, ...], bool]
"""A tensor to read: name, shape, whether it is a constant."""

NORM_PASSES = {
    "LRN": 2,  # sum of squares over the channel window; scale
    "LayerNormalization": 3,  # mean; variance; scale
    "InstanceNormalization": 3,
    "GroupNormalization": 3,
    "MeanVarianceNormalization": 3,
    "RMSNormalization": 2,  # mean square; scale
    "LpNormalization": 2,  # norm; scale
    "Softmax": 3,  # maximum; exponential and sum; divide
    "LogSoftmax": 3,
    "Hardmax": 2,  # maximum; compare
}
"""Times that each element is visited, from the definitions of the operators."""


def loop_dims(shape: tuple[int, ...]) -> tuple[tuple[str, int], ...]:
    """Loops over a tensor's axes; a scalar gets one loop of size 1."""
    return tuple(zip(letters(len(shape)), shape, strict=True)) or (("G", 1),)


def broadcast(shape: tuple[int, ...], dims: tuple[tuple[str, int], ...], rank: int) -> tuple[Axis, ...]:
    """How loops over an output of `rank` index a tensor of `shape`: aligned right, broadcast axes unindexed."""
    aligned = dims[:rank][rank - len(shape) :] if shape else ()
    return tuple(
        axis(size, name) if size == loop else axis(size) for size, (name, loop) in zip(shape, aligned, strict=True)
    )


def read_operands(
    sources: tuple[Source, ...], dims: tuple[tuple[str, int], ...], rank: int
) -> tuple[tuple[Operand, ...], tuple[str, ...]]:
    """Operands for `sources` (each tensor once; values that flow first), and the scalars that need none.

    The first takes slot I, the second W, a third I; a constant takes W unless it is all there is.
    """
    scalars = tuple(name for name, shape, constant in sources if constant and elements(shape) == 1)
    read = {name: (shape, constant) for name, shape, constant in sources if name not in scalars}
    ordered = sorted(read.items(), key=lambda item: item[1][1])  # stable: flowing values, then constants
    result = []
    for index, (name, (shape, constant)) in enumerate(ordered):
        slot: Slot = "W" if index and (constant or index % 2) else "I"
        result.append(operand("I" if index == 0 else f"I{index + 1}", slot, name, broadcast(shape, dims, rank)))
    return tuple(result), scalars


def sources_of(graph: Graph, names: tuple[str, ...]) -> tuple[Source, ...]:
    """The named tensors as sources; inputs left out have no name."""
    return tuple((name, graph.shape(name), graph.is_constant(name)) for name in names if name)


def binary_op(name: str, node: Node, onnx: str, sources: tuple[Source, ...], output: str, shape: tuple[int, ...]) -> Op:
    """An elementwise op that reads `sources` and writes `output`."""
    dims = loop_dims(shape)
    inputs, _ = read_operands(sources, dims, len(shape))
    written = operand("O", "O", output, broadcast(shape, dims, len(shape)))
    return Op(name, "elementwise", onnx, dims, (*inputs, written), nodes=(node.name,))


def elementwise(graph: Graph, node: Node) -> Emitted:
    """One visit per output element; constant scalars (Clip's bounds, a factor) are part of the instruction."""
    output = node.outputs[0]
    shape = graph.shape(output)
    dims = loop_dims(shape)
    sources = sources_of(graph, node.inputs)
    inputs, scalars = read_operands(sources, dims, len(shape))
    start = _start_of_second(graph, node)
    if start is not None:
        own = graph.shape(node.inputs[1])
        moved = broadcast(own, dims[start:], len(own))
        inputs = tuple(replace(item, axes=moved) if item.tensor == node.inputs[1] else item for item in inputs)
    written = operand("O", "O", output, broadcast(shape, dims, len(shape)))
    op = Op(node.name, "elementwise", node.op_type, dims, (*inputs, written), nodes=(node.name,))
    return Emitted((op,), notes=_scalar_notes(node, scalars))


def _start_of_second(graph: Graph, node: Node) -> int | None:
    """The axis that the second input begins at, before operator set 7; None where it is aligned right, as ever since.

    Arithmetic and comparisons said so by `axis`; the slopes of a PRelu were one for each channel.
    """
    if node.opset >= 7 or not node.given(1):
        return None
    rank, own = len(graph.shape(node.inputs[0])), graph.shape(node.inputs[1])
    if node.op_type == "PRelu":
        return 1 if rank > 1 and len(own) == 1 else None
    if not node.integer("broadcast", 0) or "axis" not in node.attributes:
        return None
    return node.integer("axis", 0) % rank


def batch_normalization(graph: Graph, node: Node) -> Emitted:
    """Scale and shift per channel; mean and variance are multiplied into them offline."""
    data, scale, shift = node.inputs[0], node.inputs[1], node.inputs[2]
    output = node.outputs[0]
    dims = loop_dims(graph.shape(output))
    channel = dims[1 if len(dims) > 1 else 0]
    op = Op(
        node.name,
        "elementwise",
        node.op_type,
        dims,
        (
            operand("I", "I", data, broadcast(graph.shape(data), dims, len(dims))),
            operand("I2", "W", scale, [axis(channel[1], channel[0])]),
            operand("I3", "W", shift, [axis(channel[1], channel[0])]),
            operand("O", "O", output, broadcast(graph.shape(output), dims, len(dims))),
        ),
        nodes=(node.name,),
    )
    return Emitted((op,), notes=(Note(node.name, "mean and variance multiplied into scale and shift offline"),))


def softmax(graph: Graph, node: Node) -> Emitted:
    """Softmax, LogSoftmax, Hardmax: P passes over each element, the normalised axes whole.

    Before opset 13 everything from `axis` on is one axis.
    """
    rank = len(graph.shape(node.inputs[0]))
    if node.opset < 13:
        first = node.integer("axis", 1) % max(1, rank)
        return _normalise(graph, node, tuple(range(first, rank)), ())
    return _normalise(graph, node, (node.integer("axis", -1) % max(1, rank),), ())


def norm(graph: Graph, node: Node) -> Emitted:
    """LRN, Layer-, RMS-, Instance-, Group-, Lp- and MeanVarianceNormalization: P passes, the normalised axes whole."""
    rank = len(graph.shape(node.inputs[0]))
    channels = node.inputs[1:]
    if node.op_type in ("InstanceNormalization", "GroupNormalization"):
        for position in (1, 2):
            graph.check_rank(node, position, 1)
        if rank < 2:
            raise ModelError(
                f"the input of {node.op_type} must have channels on axis 1, not rank {rank}",
                where=graph.at(node),
                remedy="export the network again",
            )
    if node.op_type == "LRN":
        return _normalise(graph, node, (1,), ())
    if node.op_type in ("LayerNormalization", "RMSNormalization"):
        return _normalise(graph, node, tuple(range(node.integer("axis", -1) % rank, rank)), channels)
    if node.op_type == "InstanceNormalization":
        return _normalise(graph, node, tuple(range(2, rank)), channels, per_channel=True)
    if node.op_type == "GroupNormalization":
        return _normalise(graph, node, tuple(range(1, rank)), channels, per_channel=True)
    if node.op_type == "LpNormalization":
        return _normalise(graph, node, (node.integer("axis", -1) % rank,), ())
    default = (0, *range(2, rank))
    return _normalise(graph, node, tuple(i % rank for i in node.ints("axes", default)), ())


def _normalise(
    graph: Graph, node: Node, whole: tuple[int, ...], parameters: tuple[str, ...], per_channel: bool = False
) -> Emitted:
    """P passes over the elements; axes `whole` may not be cut; scale and shift are read along."""
    data, output = node.inputs[0], node.outputs[0]
    shape = graph.shape(output)
    dims = loop_dims(shape)
    operands = [operand("I", "I", data, broadcast(shape, dims, len(shape)))]
    given = [name for name in parameters if name]
    scalars = tuple(name for name in given if graph.is_constant(name) and elements(graph.shape(name)) == 1)
    notes = _scalar_notes(node, scalars)
    if per_channel and any(graph.shape(name)[0] not in (1, dims[1][1]) for name in given):
        # before operator set 21 a GroupNormalization has one scale for each group
        notes += (Note(node.name, f"{elements(graph.shape(given[0]))} scales and shifts of groups held, not priced"),)
        given = []
    for index, name in enumerate(name for name in given if name not in scalars):
        size = graph.shape(name)
        axes: tuple[Axis, ...]
        if per_channel:
            axes = (axis(size[0], dims[1][0]) if size[0] == dims[1][1] else axis(size[0]),)
        else:
            axes = broadcast(size, dims, len(shape))
        operands.append(operand(f"I{index + 2}", "W", name, axes))
    operands.append(operand("O", "O", output, broadcast(shape, dims, len(shape))))
    kind = "norm" if node.op_type.endswith(("Normalization", "LRN")) else "softmax"
    op = Op(
        node.name,
        "norm" if kind == "norm" else "softmax",
        node.op_type,
        (*dims, ("P", NORM_PASSES[node.op_type])),
        tuple(operands),
        barrier=frozenset(dims[i][0] for i in whole),
        nodes=(node.name,),
    )
    return Emitted((op,), notes=notes)


def _scalar_notes(node: Node, scalars: tuple[str, ...]) -> tuple[Note, ...]:
    if not scalars:
        return ()
    return (Note(node.name, f"{len(scalars)} constant scalar(s) held in the instruction, not priced"),)
