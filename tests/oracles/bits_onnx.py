"""The same layers as ONNX graphs of integer convolutions, floor and clip, run by ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from onnx import NodeProto, TensorProto, helper, numpy_helper

from weft.execute.bits import AnalogConv, DigitalConv

Array = np.ndarray[Any, np.dtype[Any]]


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.given: dict[str, Array] = {}

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, value: Any, dtype: Any = np.float64) -> str:
        name = f"c{len(self.given)}"
        self.given[name] = np.asarray(value, dtype)
        return name

    def floored(self, x: str, by: float) -> str:
        return self.add("Floor", self.add("Div", x, self.constant(by)))

    def clipped(self, x: str, low: int, high: int) -> str:
        return self.add("Clip", x, self.constant(low), self.constant(high))

    def convolved(self, x: str, weights: Array, **given: Any) -> str:
        """An int32 convolution of whole numbers in double, as bytes with a zero point of 128."""
        moved = self.add("Cast", self.add("Add", x, self.constant(128)), to=TensorProto.UINT8)
        zero = self.constant(128, np.uint8)
        made = self.add("ConvInteger", moved, self.constant(weights, np.int8), zero, **given)
        return self.add("Cast", made, to=TensorProto.DOUBLE)

    def run(self, x: Array, result: str) -> Array:
        graph = helper.make_graph(
            self.nodes,
            "bits",
            [helper.make_tensor_value_info("x", TensorProto.DOUBLE, x.shape)],
            [helper.make_tensor_value_info(result, TensorProto.DOUBLE, None)],
            [numpy_helper.from_array(value, name) for name, value in self.given.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        found: Array = session.run(None, {"x": x.astype(np.float64)})[0]
        return found


def run_analog(x: Array, layer: AnalogConv) -> Array:
    """The analog convolution by ONNX Runtime."""
    graph = _Graph()
    codes = graph.clipped(graph.floored("x", 2**layer.shift), -63, 63)
    total = None
    for start, stop in layer.groups():
        axes = [graph.constant([value], np.int64) for value in (start, stop, 1)]
        part = graph.add("Slice", codes, *axes)
        acc = graph.convolved(part, layer.weights[:, start:stop], strides=layer.strides, pads=layer.pads)
        code = graph.clipped(graph.floored(acc, layer.div), -32, 31)
        total = code if total is None else graph.add("Add", total, code)
    assert total is not None
    mul, add = (graph.constant(item.reshape(1, -1, 1, 1)) for item in (layer.mul, layer.add))
    scaled = graph.floored(graph.add("Add", graph.add("Mul", total, mul), add), 2**layer.n)
    return graph.run(x, graph.clipped(scaled, 0 if layer.relu else -63, 63))


def run_digital(x: Array, layer: DigitalConv) -> Array:
    """The digital convolution by ONNX Runtime."""
    graph = _Graph()
    given = {"strides": layer.strides, "pads": layer.pads, "group": layer.groups}
    acc = graph.add(
        "Add", graph.convolved("x", layer.weights, **given), graph.constant(layer.bias.reshape(1, -1, 1, 1))
    )
    return graph.run(x, graph.clipped(graph.floored(acc, 2**layer.shift), 0 if layer.relu else -128, 127))
