"""What the ops of a workload stand for: their nodes with attributes, the constants, and what integers mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx.helper

from weft.execute.nodes import Evaluator, NoArithmetic
from weft.execute.values import Array
from weft.model.workload import Op, View, Workload
from weft.read.dtypes import type_of
from weft.read.onnx.graph import Graph, Node
from weft.read.onnx.proto import elem_type
from weft.read.onnx.qoperator import as_twin, twin_of


@dataclass(frozen=True, slots=True)
class Grid:
    """real = scale x (integer - zero point), the integers from `low` to `high`; several scales stand along `axis`."""

    scale: Array
    zero: Array
    axis: int | None
    low: int
    high: int
    dtype: npt.DTypeLike

    def along(self, parameter: Array, rank: int, start: int, stop: int) -> Array:
        """The scales or zero points of an axis from `start` to `stop`, so that they broadcast over a tensor."""
        if self.axis is None:
            return parameter.reshape(())
        return parameter.reshape(-1)[start:stop].reshape([-1 if i == self.axis else 1 for i in range(rank)])

    def same(self, other: Grid | None) -> bool:
        """Whether equal integers mean equal numbers in both."""
        return (
            other is not None
            and (self.axis, self.low, self.high) == (other.axis, other.low, other.high)
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero, other.zero)
        )


class Meaning:
    """A workload together with the graph that it was made from."""

    def __init__(self, workload: Workload, graph: Graph, given: Mapping[str, Array] | None = None) -> None:
        """`given` are the network's inputs: one that no op reads (the axis of a CumSum) is in an instruction."""
        self.workload, self.graph = workload, graph
        read = {workload.root(operand.tensor) for op in workload.ops for operand in op.inputs}
        self._parameters = {name: value for name, value in (given or {}).items() if name not in read}
        self.held: set[str] = set()
        self.nodes = {node.name: node for node in graph.nodes}
        self.tensors = {tensor.name: tensor for tensor in workload.tensors}
        self.source = {view.tensor: view.source for view in workload.views}
        self._grids: dict[str, Grid | None] = {}
        self._twins: dict[str, Node] = {}
        self._ahead = dict(self._quantised_ahead())

    def node(self, op: Op) -> Node:
        """The node that an op stands for; of an operator on integers, its float twin."""
        name = op.nodes[0]
        if name not in self._twins:
            twin = twin_of(self.nodes[name])
            self._twins[name] = self.nodes[name] if twin is None else as_twin(self.nodes[name], twin)
        return self._twins[name]

    def own_node(self, op: Op) -> Node:
        """The node as the file has it."""
        return self.nodes[op.nodes[0]]

    def constant(self, name: str) -> Array | None:
        """The values of a constant, or of an input that the schedule does not move."""
        if name in self._parameters:
            self.held.add(name)
            return self._parameters[name]
        return self.graph.value(name) if name else None

    def real(self, name: str) -> Array | None:
        """The numbers that a constant stands for."""
        value, scaling = self.constant(name), self.graph.scalings.get(name)
        if value is None or scaling is None or value.dtype.kind not in "iu":
            return value
        return self.numbers(name, value)

    def numbers(self, tensor: str, integers: Array) -> Array:
        """What the integers of a whole tensor stand for; floats, and integers without a grid, as they are."""
        grid = self.grid(tensor)
        if grid is None or integers.dtype.kind not in "iu":
            return integers
        zero, scale = (grid.along(item, integers.ndim, 0, item.size) for item in (grid.zero, grid.scale))
        return np.asarray((integers.astype(np.int32) - zero).astype(np.float32) * scale)

    def dtype(self, tensor: str) -> npt.DTypeLike:
        """numpy's type of a tensor's elements as they are executed."""
        return dtype_of(self.tensors[tensor].dtype)

    def grid(self, tensor: str) -> Grid | None:
        """What the integers of a tensor stand for; None where they, or floats, stand for themselves.

        Errors: NoArithmetic where that is known at run time only, or differs between readers.
        """
        if tensor not in self._grids:
            self._grids[tensor] = self._found(tensor)
        return self._grids[tensor]

    def _quantised_ahead(self) -> Iterator[tuple[str, str]]:
        """(tensor, quantised tensor) where an op does on its way out what a quantiser does behind views of its output.

        What is written, and the views on the way, then hold the integers of the quantised tensor.
        """
        for op in self.workload.ops:
            nodes = [self.nodes[name] for name in op.folded if name in self.nodes]
            last = next((node.outputs[0] for node in reversed(nodes) if node.op_type == "QuantizeLinear"), "")
            name = last
            while name in self.source and name != op.output.tensor:
                name = self.source[name]
                yield name, last

    def _found(self, tensor: str) -> Grid | None:
        if tensor in self._ahead:
            return self.grid(self._ahead[tensor])
        name, viewed = tensor, False
        while name not in self.graph.scalings and name in self.source:
            name, viewed = self.source[name], True
        if name not in self.graph.scalings:
            later = self._quantised_early(tensor)
            return self.grid(later) if later else None
        grid = self.rounded_to(name)
        if viewed and grid.axis is not None:
            raise NoArithmetic("a view of a tensor with a scale for each channel")
        return grid

    def on_integers(self, node: Node) -> bool:
        """Whether the file has a node between a quantiser and its inverse: it works on integers as they are."""
        name = node.outputs[0]
        if self.graph.scalings.get(name) is None or self.nodes.get(node.name) is not node:
            return False
        declared = [self.graph.infos[item].dtype for item in (node.proto.input[0], name) if item in self.graph.infos]
        return len(declared) == 2 and all(dtype.startswith(("int", "uint")) for dtype in declared)

    def rounded_to(self, name: str) -> Grid:
        """The grid of what a quantiser makes, whatever is done with it before it is written.

        Errors: NoArithmetic where it is known at run time only, or differs between readers.
        """
        scaling = self.graph.scalings.get(name)
        if scaling is None:
            raise NoArithmetic("read at other scales than it was written at")
        if scaling.block:
            raise NoArithmetic("scales in blocks")
        scale, zero = self.constant(scaling.scale), self.constant(scaling.zero)
        if scale is None or (scaling.zero and zero is None):
            raise NoArithmetic("scales known only at run time")
        dtype = self.graph.infos[name].dtype
        type_ = self.graph.types.get(name) or type_of(dtype)
        if type_.kind != "int":
            raise NoArithmetic(f"quantised to {type_}")
        if not dtype.startswith(("int", "uint")):  # what shows a quantised tensor is declared float
            dtype = f"{'' if type_.signed else 'u'}int{max(8, type_.bits)}"
        low = int(-(1 << (type_.bits - 1)) + type_.narrow if type_.signed else 0)
        high = int((1 << (type_.bits - type_.signed)) - 1)
        if scaling.bounds is not None:
            low, high = max(low, scaling.bounds[0]), min(high, scaling.bounds[1])
        shift = np.zeros(scale.shape, np.int32) if zero is None else zero.astype(np.int32)
        return Grid(scale.astype(np.float32), shift, scaling.axis, low, high, dtype_of(dtype))

    def _quantised_early(self, tensor: str) -> str | None:
        """What tells the grid of a tensor that folding has moved a quantiser in front of; None for every other tensor.

        That is what is made of it: a view, or the result of an op that commutes with rounding.
        """
        type_ = self.tensors[tensor].type if tensor in self.tensors else None
        if type_ is None or not type_.scaled or self.graph.types.get(tensor) == type_:
            return None
        for view in self.workload.views:
            if view.source == tensor:
                return view.tensor
        for op in self.workload.ops:
            if op.inputs[0].tensor == tensor:
                return op.output.tensor
        return None

    def is_stored_as_declared(self, tensor: str) -> bool:
        """Whether a tensor holds what the network says, and no integers in place of its floats."""
        name = tensor
        if name in self._ahead:
            return False
        while name not in self.graph.scalings and name in self.source:
            name = self.source[name]
        if name in self.graph.scalings:
            return self.graph.infos[name].dtype.startswith(("int", "uint"))
        return self._quantised_early(tensor) is None

    def stored(self, tensor: str) -> npt.DTypeLike:
        """numpy's type of a tensor's elements as they lie in memory."""
        grid = self.grid(tensor)
        return self.dtype(tensor) if grid is None else grid.dtype

    def viewed(self, view: View, array: Array) -> Array:
        """The elements of a view's source as the view has them: a Cast changes the type, a DequantizeLinear scales."""
        node = self.nodes.get(view.node)
        kind = node.op_type if node else ""
        if kind == "BitCast":
            return array.view(self.dtype(view.tensor))
        if node is not None and kind == "Cast":
            if array.dtype == np.dtype(self.dtype(view.tensor)):
                return array
            return next(iter(Evaluator(node)([array]).values()))
        if kind == "DequantizeLinear" and self.tensors[view.tensor].dtype.startswith("float"):
            return self.numbers(view.source, array)
        return array

    @cached_property
    def quantised(self) -> bool:
        """Whether any op works on integers that stand for other numbers."""
        return any(op.output.tensor in self.graph.scalings for op in self.workload.ops)


def dtype_of(name: str) -> npt.DTypeLike:
    """numpy's type of an element type ("bfloat16")."""
    made: np.dtype[Any] = onnx.helper.tensor_dtype_to_np_dtype(elem_type(name))
    return made
