"""RotaryEmbedding: pairs of features turned by an angle, two products for each element of the result."""

from __future__ import annotations

from weft.model.workload import Axis, Note, Op
from weft.read.onnx.graph import Emitted, Graph, Node, axis, operand
from weft.read.onnx.pick import plain, scattered


def rotary(graph: Graph, node: Node) -> Emitted:
    """Loops: B, G heads, OX positions, R and C the members of a pair written and read, D pairs.

    Rows of the tables are picked where positions are given; features that are not turned are copied.
    """
    data, cosine, sine, positions = *node.inputs[:3], node.given(3)
    output = node.outputs[0]
    shape = graph.shape(data)
    flat = len(shape) == 3
    heads = node.integer("num_heads", 0) or (1 if flat else shape[1])
    batch, length = shape[0], shape[1] if flat else shape[2]
    size = shape[2] // heads if flat else shape[3]
    turned = node.integer("rotary_embedding_dim", 0) or size
    pairs = turned // 2
    interleaved = node.integer("interleaved", 0) != 0

    def features(*terms: tuple[str, int], offset: int = 0) -> tuple[Axis, ...]:
        if flat:
            return axis(batch, "B"), axis(length, "OX"), axis(heads * size, ("G", size), *terms, offset=offset)
        return axis(batch, "B"), axis(heads, "G"), axis(length, "OX"), axis(size, *terms, offset=offset)

    def member(letter: str) -> tuple[Axis, ...]:
        return features(("D", 2), (letter, 1)) if interleaved else features((letter, pairs), ("D", 1))

    loops = (("B", batch), ("G", heads), ("OX", length))
    read = [operand("I", "I", data, member("C"))]
    for index, table in enumerate((cosine, sine), start=2):
        rows = graph.shape(table)
        where: tuple[Axis, ...]
        if positions:
            where = (scattered(rows[0], (loops[0], loops[2])),)
        else:
            where = plain(rows[:-1], (loops[0], loops[2]))
        read.append(operand(f"I{index}", "W", table, (*where, axis(rows[-1], "D"))))
    notes = []
    if positions:
        read.append(operand("I4", "I", positions, plain(graph.shape(positions), (loops[0], loops[2]))))
        notes.append(Note(node.name, f"{node.op_type}: which rows of its tables it reads is known only at run time"))
    ops = [
        Op(
            node.name,
            "reduce",
            node.op_type,
            (*loops, ("R", 2), ("D", pairs), ("C", 2)),
            (*read, operand("O", "O", output, member("R"))),
            nodes=(node.name,),
        )
    ]
    if turned < size:
        rest = features(("D", 1), offset=turned)
        dims = (*loops, ("D", size - turned))
        operands = (operand("I", "I", data, rest), operand("O", "O", output, rest))
        ops.append(Op(f"{node.name}.rest", "copy", node.op_type, dims, operands, nodes=(node.name,)))
        notes.append(Note(node.name, f"{size - turned} of {size} features copied as they are, by {ops[1].name}"))
    return Emitted(tuple(ops), notes=tuple(notes))
