"""A float network as a quantised one: QuantizeLinear and DequantizeLinear around every operator, weights in int8.

The ranges of the activations are measured once, by `tests/zoo/calibrate.py` in ONNX Runtime, and kept in
`qdq_ranges.json`; the scales follow from them here, those of the weights from the weights.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from weft.zoo._net import Net

RANGES = Path(__file__).with_name("qdq_ranges.json")

Floats = npt.NDArray[np.float32]

Integers = npt.NDArray[np.signedinteger | np.unsignedinteger]


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a network is quantised; weights are int8 around 0, biases int32.

    Args:
        activations: their integers, from the smallest value to the largest.
        per_channel: a scale for each output channel of the weights, or one for all.
    """

    activations: Literal["int8", "uint8"]
    per_channel: bool = False


@dataclass(frozen=True, slots=True)
class _Grid:
    """real = scale x (integer - zero point), one pair per tensor or per output channel; as wide as the zero point."""

    scale: Floats
    zero_point: Integers

    def integers(self, values: Floats) -> Integers:
        def along(parameter: npt.NDArray[Any]) -> npt.NDArray[Any]:
            return parameter.reshape(parameter.shape + (1,) * (values.ndim - 1)) if parameter.ndim else parameter

        limits = np.iinfo(self.zero_point.dtype)
        rounded = np.rint(values / along(self.scale)) + along(self.zero_point)
        integers: Integers = np.clip(rounded, limits.min, limits.max).astype(self.zero_point.dtype)
        return integers


def quantised(net: Net, build: Callable[[Net], onnx.ModelProto], scheme: Scheme) -> onnx.ModelProto:
    """The network that `build` makes, quantised.

    Its weights are drawn even where `net` has no values, since their scales follow from them.
    """
    name = net.onnx.graph.name
    return _Rewriting(build(Net(name)), scheme, _ranges()[name]).done()


def measured_tensors(model: onnx.ModelProto) -> tuple[str, ...]:
    """Activations that get a scale: all but those that only a Relu reads, which ends in the range of its output."""
    graph = model.graph
    readers = Counter(name for node in graph.node for name in node.input)
    to_relu = {node.input[0] for node in graph.node if node.op_type == "Relu" and readers[node.input[0]] == 1}
    made = [value.name for value in graph.input] + [name for node in graph.node for name in node.output]
    return tuple(name for name in made if name not in to_relu)


@cache
def _ranges() -> dict[str, dict[str, list[float]]]:
    kept: dict[str, dict[str, list[float]]] = json.loads(RANGES.read_text("utf-8"))
    return kept


class _Rewriting:
    """The quantised graph while it grows, in the order of the float one."""

    def __init__(self, model: onnx.ModelProto, scheme: Scheme, ranges: dict[str, list[float]]) -> None:
        self.float = model.graph
        self.scheme = scheme
        self.weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self.grids = {name: self._activation_grid(*ranges[name]) for name in measured_tensors(model)}
        for node in model.graph.node:
            if node.op_type == "Flatten":  # moves no value: one grid before and behind
                self.grids[node.output[0]] = self.grids[node.input[0]]
        self.model = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
        self.graph = self.model.graph
        self.graph.name = model.graph.name
        self.graph.input.extend(model.graph.input)
        self.graph.output.extend(model.graph.output)

    def done(self) -> onnx.ModelProto:
        """Every node between its quantisers."""
        (output,) = (value.name for value in self.float.output)
        for value in self.float.input:
            self._through_integers(value.name, value.name, f"{value.name}_dequantized")
        for node in self.float.node:
            made = node.output[0]
            if node.op_type in ("Conv", "Gemm"):
                inputs = [f"{node.input[0]}_dequantized", *self._weight_and_bias(*node.input)]
            else:
                inputs = [f"{name}_dequantized" if name in self.grids else name for name in node.input]
            new = self.graph.node.add()
            new.CopyFrom(node)
            new.input[:] = inputs
            new.output[:] = [f"{made}_float" if made == output else made]
            if made in self.grids:
                self._through_integers(made, new.output[0], made if made == output else f"{made}_dequantized")
        return self.model

    def _activation_grid(self, lowest: float, highest: float) -> _Grid:
        kind = np.dtype(self.scheme.activations)
        low, high = int(np.iinfo(kind).min), int(np.iinfo(kind).max)
        bottom, top = min(lowest, 0.0), max(highest, 0.0)  # 0 must be a number of the grid: padding is made of it
        scale = np.float32((top - bottom) / (high - low))
        return _Grid(np.asarray(scale), np.asarray(round(low - bottom / scale), kind))

    def _weight_grid(self, values: Floats) -> _Grid:
        axes = tuple(range(1, values.ndim)) if self.scheme.per_channel else None
        scale = np.asarray(np.abs(values).max(axis=axes) / np.float32(127), dtype=np.float32)
        return _Grid(scale, np.zeros(scale.shape, np.int8))

    def _weight_and_bias(self, source: str, weight: str, bias: str) -> Iterable[str]:
        """Both stored as integers; a bias has the scale of what it is added to."""
        grid = self._weight_grid(self.weights[weight])
        yield self._stored(weight, self.weights[weight], grid)
        scale = np.asarray(self.grids[source].scale * grid.scale)
        yield self._stored(bias, self.weights[bias], _Grid(scale, np.zeros(scale.shape, np.int32)))

    def _stored(self, name: str, values: Floats, grid: _Grid) -> str:
        self.graph.initializer.append(numpy_helper.from_array(grid.integers(values), f"{name}_quantized"))
        return self._dequantized(name, grid, f"{name}_dequantized")

    def _through_integers(self, name: str, source: str, result: str) -> None:
        scale, zero_point = self._scale(name, self.grids[name])
        node = f"{name}_QuantizeLinear"
        made = [f"{name}_quantized"]
        self.graph.node.append(helper.make_node("QuantizeLinear", [source, scale, zero_point], made, name=node))
        self._dequantized(name, self.grids[name], result)

    def _dequantized(self, name: str, grid: _Grid, result: str) -> str:
        scale, zero_point = self._scale(name, grid)
        inputs = [f"{name}_quantized", scale, zero_point]
        node = helper.make_node("DequantizeLinear", inputs, [result], name=f"{name}_DequantizeLinear")
        if grid.scale.ndim:
            node.attribute.append(helper.make_attribute("axis", 0))
        self.graph.node.append(node)
        return result

    def _scale(self, name: str, grid: _Grid) -> tuple[str, str]:
        """The names of the initializers that hold the scale and the zero point of tensor `name`."""
        scale, zero_point = f"{name}_scale", f"{name}_zero_point"
        if all(tensor.name != scale for tensor in self.graph.initializer):
            self.graph.initializer.append(numpy_helper.from_array(grid.scale, scale))
            self.graph.initializer.append(numpy_helper.from_array(grid.zero_point, zero_point))
        return scale, zero_point
