"""A graph under construction: each method adds one node and returns the name of its output."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

OPSET = 17
"""Read by ONNX Runtime 1.12 and later; all operators used here have their present form in it."""

Pads = tuple[int, int, int, int]


class Net:
    """Nodes and weights in the order they are added.

    Weights are uniform with the variance that keeps activations of one size through ReLU (2 / fan-in), from one
    seeded generator, so that a network is the same bytes every time.
    """

    def __init__(self, name: str, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.channels: dict[str, int] = {}
        # built in place: the helper's make_graph would copy AlexNet's 244 MB twice
        self.onnx = onnx.ModelProto(ir_version=8, opset_import=[helper.make_opsetid("", OPSET)])
        self.onnx.graph.name = name

    def input(self, name: str, channels: int) -> str:
        """Name of the graph input; its shape is given to `model`."""
        self.channels[name] = channels
        return name

    def weight(self, name: str, shape: tuple[int, ...], fan_in: int) -> str:
        """A random initializer; `fan_in` is how many products one output sums."""
        values = self.rng.random(shape, dtype=np.float32)
        values -= np.float32(0.5)
        values *= np.float32(math.sqrt(12 * 2.0 / fan_in))  # a uniform width-1 variable has variance 1/12
        return self._initializer(name, values)

    def constant(self, name: str, value: float) -> str:
        """A scalar initializer, made once."""
        if any(tensor.name == name for tensor in self.onnx.graph.initializer):
            return name
        return self._initializer(name, np.asarray(value, dtype=np.float32))

    def _initializer(self, name: str, values: npt.NDArray[np.float32]) -> str:
        tensor = self.onnx.graph.initializer.add()
        tensor.name = name
        tensor.data_type = TensorProto.FLOAT
        tensor.dims.extend(values.shape)
        tensor.raw_data = values.tobytes()
        return name

    def add(
        self, op: str, name: str, inputs: list[str], channels: int | None = None, **attributes: int | list[int] | float
    ) -> str:
        """Any node; its output is `<name>_output_0` and keeps the channels of its first input unless told."""
        output = f"{name}_output_0"
        self.onnx.graph.node.append(helper.make_node(op, inputs, [output], name=name, **attributes))
        self.channels[output] = self.channels[inputs[0]] if channels is None else channels
        return output

    def conv(
        self,
        name: str,
        source: str,
        outputs: int,
        kernel: int,
        stride: int = 1,
        pads: int | Pads = 0,
        groups: int = 1,
    ) -> str:
        """Conv with a square kernel and a bias (where an exporter folds its batch normalisation)."""
        inputs = self.channels[source] // groups
        weight = self.weight(f"{name}.weight", (outputs, inputs, kernel, kernel), inputs * kernel * kernel)
        bias = self.weight(f"{name}.bias", (outputs,), 100)
        return self.add(
            "Conv",
            name,
            [source, weight, bias],
            channels=outputs,
            dilations=[1, 1],
            group=groups,
            kernel_shape=[kernel, kernel],
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
        self, inputs: dict[str, tuple[int, ...]], output: str, shape: tuple[int, ...], rename: str = "output"
    ) -> onnx.ModelProto:
        """The finished network: `output` leaves it under the name `rename`."""
        graph = self.onnx.graph
        for node in graph.node:
            node.output[:] = [rename if name == output else name for name in node.output]
            node.input[:] = [rename if name == output else name for name in node.input]
        graph.input.extend(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in inputs.items()
        )
        graph.output.append(helper.make_tensor_value_info(rename, TensorProto.FLOAT, shape))
        return self.onnx
