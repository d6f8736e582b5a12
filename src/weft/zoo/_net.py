"""A graph under construction: each method adds one node and returns the name of its output."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

OPSET = 17
"""Read by ONNX Runtime 1.12 and later; all operators used here have their present form in it."""

Pads = tuple[int, int, int, int]

Shape = tuple[int, ...]

Attribute = int | float | list[int]

NO_MORE: Mapping[str, tuple[str, Shape]] = {}


class Net:
    """Nodes and weights in the order they are added.

    Weights are uniform with the variance that keeps activations of one size through ReLU (2 / fan-in), from one
    seeded generator, so that a network is the same bytes every time. Without `values` they have a shape and no data,
    which is all that reading needs: VGG-16 is then 5 kB instead of 553 MB.
    """

    def __init__(self, name: str, values: bool = True, seed: int = 0) -> None:
        self.values = values
        self.rng = np.random.default_rng(seed)
        self.channels: dict[str, int] = {}
        # built in place: the helper's make_graph would copy AlexNet's 244 MB twice
        self.onnx = onnx.ModelProto(ir_version=8, opset_import=[helper.make_opsetid("", OPSET)])
        self.onnx.graph.name = name

    def input(self, name: str, channels: int) -> str:
        """Name of the graph input; its shape is given to `model`."""
        self.channels[name] = channels
        return name

    def weight(self, name: str, shape: Shape, fan_in: int) -> str:
        """A random initializer; `fan_in` is how many products one output sums."""
        if not self.values:
            return self._initializer(name, TensorProto.FLOAT, shape, None)
        values = self.rng.random(shape, dtype=np.float32)
        values -= np.float32(0.5)
        values *= np.float32(math.sqrt(12 * 2.0 / fan_in))  # a uniform width-1 variable has variance 1/12
        return self._initializer(name, TensorProto.FLOAT, shape, values)

    def constant(self, name: str, value: float) -> str:
        """A scalar initializer, made once."""
        return self._once(name, TensorProto.FLOAT, np.asarray(value, dtype=np.float32))

    def integers(self, name: str, *values: int) -> str:
        """A row of integers, made once: the shape of a Reshape, the bounds of a Slice."""
        return self._once(name, TensorProto.INT64, np.asarray(values, dtype=np.int64))

    def integer(self, name: str, value: int) -> str:
        """An integer without axes, made once: an index that picks, and so drops its axis."""
        return self._once(name, TensorProto.INT64, np.asarray(value, dtype=np.int64))

    def _once(self, name: str, kind: int, values: npt.NDArray[np.generic]) -> str:
        if any(tensor.name == name for tensor in self.onnx.graph.initializer):
            return name
        return self._initializer(name, kind, values.shape, values)

    def _initializer(self, name: str, kind: int, shape: Shape, values: npt.NDArray[np.generic] | None) -> str:
        tensor = self.onnx.graph.initializer.add()
        tensor.name = name
        tensor.data_type = kind
        tensor.dims.extend(shape)
        if values is not None:
            tensor.raw_data = values.tobytes()
        return name

    def add(self, op: str, name: str, inputs: list[str], channels: int | None = None, **attributes: Attribute) -> str:
        """Any node; its output is `<name>_output_0` and keeps the channels of its first input unless told."""
        output = f"{name}_output_0"
        self.onnx.graph.node.append(helper.make_node(op, inputs, [output], name=name, **attributes))
        self.channels[output] = self.channels.get(inputs[0], 0) if channels is None else channels
        return output

    def conv(
        self,
        name: str,
        source: str,
        outputs: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        pads: int | Pads = 0,
        groups: int = 1,
    ) -> str:
        """Conv with a bias (where an exporter folds its batch normalisation); a kernel of one number is square."""
        inputs = self.channels[source] // groups
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        weight = self.weight(f"{name}.weight", (outputs, inputs, height, width), inputs * height * width)
        bias = self.weight(f"{name}.bias", (outputs,), 100)
        return self.add(
            "Conv",
            name,
            [source, weight, bias],
            channels=outputs,
            dilations=[1, 1],
            group=groups,
            kernel_shape=[height, width],
            pads=[pads] * 4 if isinstance(pads, int) else list(pads),
            strides=[stride, stride],
        )

    def relu(self, name: str, source: str) -> str:
        """Relu."""
        return self.add("Relu", name, [source])

    def gemm(self, name: str, source: str, inputs: int, outputs: int) -> str:
        """Gemm with transposed weights [outputs, inputs] and a bias, as exporters write a linear layer."""
        weight = self.weight(f"{name}.weight", (outputs, inputs), inputs)
        bias = self.weight(f"{name}.bias", (outputs,), 100)
        return self.add("Gemm", name, [source, weight, bias], channels=outputs, alpha=1.0, beta=1.0, transB=1)

    def model(
        self, inputs: Mapping[str, Shape], output: str, shape: Shape, more: Mapping[str, tuple[str, Shape]] = NO_MORE
    ) -> onnx.ModelProto:
        """The finished network.

        Args:
            inputs: shape of each graph input.    output, shape: the tensor that leaves under the name "output".
            more:   further outputs by the name that they leave under: tensor and shape.
        """
        outputs = {"output": (output, shape), **more}
        renamed = {tensor: name for name, (tensor, _) in outputs.items()}
        graph = self.onnx.graph
        for node in graph.node:
            node.output[:] = [renamed.get(name, name) for name in node.output]
            node.input[:] = [renamed.get(name, name) for name in node.input]
        value = helper.make_tensor_value_info
        graph.input.extend(value(name, TensorProto.FLOAT, size) for name, size in inputs.items())
        graph.output.extend(value(name, TensorProto.FLOAT, size) for name, (_, size) in outputs.items())
        return self.onnx
