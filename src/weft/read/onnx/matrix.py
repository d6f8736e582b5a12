"""Matrix products: Gemm and MatMul as loops M N K, with batch loops where the batch axes are not 1."""

from __future__ import annotations

from weft.errors import ModelError
from weft.model.workload import Axis, Note, Op, Tensor
from weft.read.dtypes import dtype_bits
from weft.read.onnx.conv import bias_notes
from weft.read.onnx.elementwise import binary_op
from weft.read.onnx.graph import Emitted, Graph, Node, axis, operand


def gemm(graph: Graph, node: Node) -> Emitted:
    """Gemm: loops M N K; A is [M, K] and B [K, N], or transposed. A constant C is a bias, another is added by an op."""
    a, b, output = node.inputs[0], node.inputs[1], node.outputs[0]
    for name in (a, b):
        if len(graph.shape(name)) != 2:
            raise ModelError(
                f"the operands of Gemm must be matrices, and '{name}' has rank {len(graph.shape(name))}",
                where=graph.at(node),
                remedy="export the network again",
            )
    flip_a, flip_b = node.integer("transA", 0) != 0, node.integer("transB", 0) != 0
    m, k = graph.shape(a)[::-1] if flip_a else graph.shape(a)
    inner, n = graph.shape(b)[::-1] if flip_b else graph.shape(b)
    _check_inner(graph, node, k, inner)
    addend = node.inputs[2] if len(node.inputs) > 2 else ""
    separate = bool(addend) and not graph.is_constant(addend)
    product = f"{output}.product" if separate else output
    a_axes, b_axes = [axis(m, "M"), axis(k, "K")], [axis(k, "K"), axis(n, "N")]
    op = Op(
        name=node.name,
        kind="gemm",
        onnx=node.op_type,
        dims=(("M", m), ("N", n), ("K", k)),
        operands=(
            operand("A", "I", a, a_axes[::-1] if flip_a else a_axes),
            operand("B", "W", b, b_axes[::-1] if flip_b else b_axes),
            operand("O", "O", product, [axis(m, "M"), axis(n, "N")]),
        ),
        nodes=(node.name,),
    )
    notes = [] if separate else list(bias_notes(graph, node, 2))
    for name in ("alpha", "beta"):
        factor = node.number(name, 1.0)
        if factor != 1.0 and (name == "alpha" or addend):
            notes.append(Note(node.name, f"{name} = {factor:g} multiplied into the weights, not priced"))
    if not separate:
        return Emitted((op,), notes=tuple(notes))
    dtype = graph.infos[output].dtype
    part = Tensor(product, (m, n), dtype_bits(dtype), "intermediate", dtype)
    add = binary_op(
        f"{node.name}.add",
        node,
        "Add",
        ((product, (m, n), False), (addend, graph.shape(addend), False)),
        output,
        (m, n),
    )
    notes.append(Note(node.name, f"'{addend}' is no constant: added by an op of its own, {add.name}"))
    return Emitted((op, add), (), (part,), tuple(notes))


def matmul(graph: Graph, node: Node) -> Emitted:
    """MatMul: loops (B, B2, ...) M N K; batch axes of size 1 have no loop, and do not index the operand they are of."""
    a, b, output = node.inputs[0], node.inputs[1], node.outputs[0]
    a_shape, b_shape = graph.shape(a), graph.shape(b)
    m = a_shape[-2] if len(a_shape) > 1 else 1
    k = a_shape[-1]
    n = b_shape[-1] if len(b_shape) > 1 else 1
    _check_inner(graph, node, k, b_shape[-2] if len(b_shape) > 1 else b_shape[0])
    a_batch, b_batch = a_shape[:-2], b_shape[:-2]
    rank = max(len(a_batch), len(b_batch))
    a_full = (1,) * (rank - len(a_batch)) + a_batch
    b_full = (1,) * (rank - len(b_batch)) + b_batch
    dims: list[tuple[str, int]] = []
    batch: list[tuple[str, int]] = []
    for left, right in zip(a_full, b_full, strict=True):
        size = max(left, right)
        letter = ""
        if size > 1:
            letter = "B" if not dims else f"B{len(dims) + 1}"
            dims.append((letter, size))
        batch.append((letter, size))

    def batched(full: tuple[int, ...], own: int) -> list[Axis]:
        axes = [
            axis(size, letter) if letter and size > 1 else axis(size)
            for size, (letter, _) in zip(full, batch, strict=True)
        ]
        return axes[rank - own :]

    a_axes = [*batched(a_full, len(a_batch)), *([axis(m, "M")] if len(a_shape) > 1 else []), axis(k, "K")]
    b_axes = [*batched(b_full, len(b_batch)), axis(k, "K"), *([axis(n, "N")] if len(b_shape) > 1 else [])]
    o_axes = [axis(size, letter) if letter else axis(size) for letter, size in batch]
    o_axes += [axis(m, "M")] if len(a_shape) > 1 else []
    o_axes += [axis(n, "N")] if len(b_shape) > 1 else []
    op = Op(
        name=node.name,
        kind="matmul",
        onnx=node.op_type,
        dims=(*dims, ("M", m), ("N", n), ("K", k)),
        operands=(operand("A", "I", a, a_axes), operand("B", "W", b, b_axes), operand("O", "O", output, o_axes)),
        nodes=(node.name,),
    )
    return Emitted((op,))


def _check_inner(graph: Graph, node: Node, left: int, right: int) -> None:
    if left != right:
        raise ModelError(
            f"the inner sizes of a matrix product must agree, not {left} and {right}",
            where=graph.at(node),
            remedy="export the network again",
        )
