"""DFT and STFT as products with a matrix of sines and cosines, which is a weight prepared offline.

A fast transform would multiply less; arrays of multipliers have no use for it.
"""

from __future__ import annotations

from weft.errors import ModelError
from weft.model.workload import Note, Op, Tensor
from weft.read.dtypes import dtype_bits
from weft.read.onnx.graph import Emitted, Graph, Node, axis, operand


def dft(graph: Graph, node: Node) -> Emitted:
    """DFT: loops M (the other axes), N frequencies, N2 real and imaginary out, K samples, K2 real and imaginary in."""
    data, output = node.inputs[0], node.outputs[0]
    shape, result = graph.shape(data), graph.shape(output)
    if node.opset >= 20:
        stated = graph.constant_ints(node, 2, "the axis")
        along = (stated[0] if stated else -2) % len(shape)
    else:
        along = node.integer("axis", 1) % len(shape)
    length = graph.constant_ints(node, 1, "the length")
    samples, bins = min(shape[along], *(length or shape[along : along + 1])), result[along]  # zeros behind add nothing
    names = {i: "M" if i == 0 else f"M{i + 1}" for i in range(len(shape) - 1) if i != along}
    read = [axis(n, names[i]) if i in names else axis(n, "K") for i, n in enumerate(shape[:-1])]
    written = [axis(n, names[i]) if i in names else axis(n, "N") for i, n in enumerate(result[:-1])]
    matrix = _matrix(graph, node, (samples, shape[-1], bins, result[-1]))
    op = Op(
        node.name,
        "matmul",
        node.op_type,
        (
            *((name, shape[i]) for i, name in names.items()),
            *(("N", bins), ("N2", result[-1]), ("K", samples), ("K2", shape[-1])),
        ),
        (
            operand("A", "I", data, [*read, axis(shape[-1], "K2")]),
            operand(
                "B", "W", matrix.name,
                [axis(samples, "K"), axis(shape[-1], "K2"), axis(bins, "N"), axis(result[-1], "N2")],
            ),
            operand("O", "O", output, [*written, axis(result[-1], "N2")]),
        ),
        nodes=(node.name,),
    )  # fmt: skip
    return Emitted((op,), tensors=(matrix,), notes=(_note(node, matrix),))


def stft(graph: Graph, node: Node) -> Emitted:
    """STFT: a convolution along the signal with K frequencies, K2 real and imaginary, whose window is in the matrix.

    Errors: ModelError for a window that is known only at run time.
    """
    data, output = node.inputs[0], node.outputs[0]
    shape, result = graph.shape(data), graph.shape(output)
    (step,) = graph.constant_ints(node, 1, "the step") or (1,)
    if node.given(2) and not graph.is_constant(node.inputs[2]):
        raise ModelError(
            f"the window of STFT must be a constant, not '{node.inputs[2]}'",
            remedy="multiply by it before the network",
        )
    length = graph.constant_ints(node, 3, "the length of a frame")
    taps = graph.shape(node.inputs[2])[0] if node.given(2) else (length or (shape[1],))[0]
    parts = shape[2] if len(shape) > 2 else 1
    matrix = _matrix(graph, node, (taps, parts, result[2], result[3]))
    dims = (("B", shape[0]), ("K", result[2]), ("K2", result[3]), ("C", parts), ("OX", result[1]), ("FX", taps))
    read = [axis(shape[0], "B"), axis(shape[1], ("OX", step), "FX"), *([axis(parts, "C")] if len(shape) > 2 else [])]
    op = Op(
        node.name,
        "conv",
        node.op_type,
        dims,
        (
            operand("I", "I", data, read),
            operand(
                "W", "W", matrix.name,
                [axis(taps, "FX"), axis(parts, "C"), axis(result[2], "K"), axis(result[3], "K2")],
            ),
            operand("O", "O", output, [axis(n, d) for n, d in zip(result, ("B", "OX", "K", "K2"), strict=True)]),
        ),
        nodes=(node.name,),
    )  # fmt: skip
    return Emitted((op,), tensors=(matrix,), notes=(_note(node, matrix),))


def _matrix(graph: Graph, node: Node, shape: tuple[int, ...]) -> Tensor:
    dtype = graph.infos[node.inputs[0]].dtype
    return Tensor(f"{node.name}.matrix", shape, dtype_bits(dtype), "weight", dtype)


def _note(node: Node, matrix: Tensor) -> Note:
    return Note(node.name, f"{node.op_type} as a product with the matrix '{matrix.name}' of {matrix.elements} numbers")
