"""Sampling at positions known only at run time: GridSample and RoiAlign as pools over scattered pixels."""

from __future__ import annotations

from weft.model.workload import Axis, Note, Op
from weft.read.onnx.graph import Emitted, Graph, Node, axis, operand, spatial
from weft.read.onnx.pick import address, plain, scattered

_TAPS = {"nearest": 1, "linear": 2, "bilinear": 2, "cubic": 4, "bicubic": 4}
"""Pixels per axis that an interpolation reads."""


def grid_sample(graph: Graph, node: Node) -> Emitted:
    """A pool of 1, 2 or 4 taps per axis around each position of the grid."""
    data, grid, output = node.inputs[0], node.inputs[1], node.outputs[0]
    shape, result = graph.shape(data), graph.shape(output)
    count = _TAPS[node.text("mode", "linear")]
    outs, taps = spatial(len(shape) - 2, "O"), spatial(len(shape) - 2, "F")
    dims = (("B", result[0]), ("G", result[1]), *zip(outs, result[2:], strict=True))
    at = address(graph, node, grid)
    places = (dims[0], *dims[2:])
    read = [axis(shape[0], "B"), axis(shape[1], "G")]
    read += [
        scattered(size, ((out, n), (tap, count)))
        for size, out, tap, n in zip(shape[2:], outs, taps, result[2:], strict=True)
    ]
    op = Op(
        node.name,
        "pool",
        node.op_type,
        (*dims, *((tap, count) for tap in taps)),
        (
            operand("I", "I", data, read),
            operand("I2", "W", at.name, plain(at.shape, places)),
            operand("O", "O", output, plain(result, dims)),
        ),
        nodes=(node.name,),
    )
    return at.then(op, Note(node.name, "GridSample: any pixel may be read; each tap counts as one"))


def roi_align(graph: Graph, node: Node) -> Emitted:
    """A pool of bilinear samples in each cell of each region.

    Where their number adapts to the region, it is taken as if every region were the whole image.
    """
    data, regions, which, output = *node.inputs[:3], node.outputs[0]
    shape, result = graph.shape(data), graph.shape(output)
    stated = node.integer("sampling_ratio", 0)
    samples = [stated or max(1, -(-size // cells)) for size, cells in zip(shape[2:], result[2:], strict=True)]
    dims = (("B", result[0]), ("G", result[1]), ("OY", result[2]), ("OX", result[3]))
    taps = (("FY", 2 * samples[0]), ("FX", 2 * samples[1]))
    at = address(graph, node, regions)
    read: list[Axis] = [scattered(shape[0], dims[:1]), axis(shape[1], "G")]
    read += [scattered(size, (out, tap)) for size, out, tap in zip(shape[2:], dims[2:], taps, strict=True)]
    op = Op(
        node.name,
        "pool",
        node.op_type,
        (*dims, *taps),
        (
            operand("I", "I", data, read),
            operand("I2", "W", at.name, [axis(result[0], "B")]),
            operand("I3", "I", which, [axis(result[0], "B")]),
            operand("O", "O", output, plain(result, dims)),
        ),
        nodes=(node.name,),
    )
    words = f"{samples[0]} x {samples[1]} samples of 4 pixels in each cell"
    text = f"RoiAlign: {words}" if stated else f"RoiAlign: {words}, as if every region were the whole image"
    return at.then(op, Note(node.name, text))
