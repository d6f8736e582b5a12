"""One tile of an op: its ranges, the boxes that it read, and how to see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from weft.execute.meaning import Grid, Meaning
from weft.execute.nodes import NoArithmetic
from weft.execute.unfold import fold_back, unfold
from weft.execute.values import Array
from weft.model.workload import Box, Op, Operand, Range, volume
from weft.read.onnx.graph import Node


@dataclass(frozen=True, slots=True)
class Tile:
    """What a task has before it computes.

    Args:
        ranges: of each loop.   read: the box of each input, by the operand's letter, as it is stored.
        node:   what the op stands for; of an operator on integers, its float twin.
    """

    op: Op
    ranges: dict[str, Range]
    read: dict[str, Array]
    node: Node
    meaning: Meaning

    @property
    def box(self) -> Box:
        """The box of the output that it makes."""
        return self.op.output.box(self.ranges)

    @property
    def node_output(self) -> str:
        """The output of the node that this op makes, before what is folded into it."""
        name = self.op.output.tensor
        return name if name in self.node.outputs else next(filter(None, self.node.outputs))

    def operand(self, tensor: str) -> Operand | None:
        """The input that is a tensor; None where that is none (a scalar in the instruction, a bias)."""
        return next((item for item in self.op.inputs if item.tensor == tensor), None)

    def grid(self, operand: Operand) -> Grid | None:
        """What the integers of an operand stand for."""
        return self.meaning.grid(operand.tensor)

    def shifted(self, operand: Operand) -> Array:
        """A quantised input less its zero points, in whole numbers."""
        grid = self.grid(operand)
        assert grid is not None
        array = self.read[operand.name]
        return array.astype(np.int32) - self._along(grid, grid.zero, operand)

    def real(self, operand: Operand) -> Array:
        """An input as the numbers that it stands for."""
        grid = self.grid(operand)
        if grid is None:
            return self.read[operand.name]
        return np.asarray(self.shifted(operand).astype(np.float32) * self._along(grid, grid.scale, operand))

    def _along(self, grid: Grid, parameter: Array, operand: Operand) -> Array:
        start, stop = operand.box(self.ranges)[grid.axis] if grid.axis is not None else (0, 0)
        return grid.along(parameter, len(operand.axes), start, stop)

    def loops(self, operand: Operand, array: Array, dims: Sequence[str], fill: Any = 0) -> Array:
        """An input's box seen from loops; `fill` stands outside the tensor."""
        return unfold(operand, self.ranges, array, dims, fill)

    def written(self, values: Array, dims: Sequence[str]) -> Array:
        """Values indexed by loops as the box of the output.

        Errors: NoArithmetic where the tile leaves out elements of its box.
        """
        output = self.op.output
        if values.size and np.prod([self.size(dim) for dim in dims], dtype=np.int64) != volume(self.box):
            raise NoArithmetic("cut so that a tile's output is no box")
        return fold_back(output, self.ranges, values, dims)

    def size(self, dim: str) -> int:
        start, stop = self.ranges[dim]
        return stop - start

    @property
    def output_dims(self) -> list[str]:
        """Loops that index the output, in canonical order."""
        return [name for name, _ in self.op.dims if name in self.op.output.dims]

    @property
    def summed_dims(self) -> list[str]:
        """The other loops."""
        return [name for name, _ in self.op.dims if name not in self.op.output.dims]

    def constant(self, position: int) -> Array | None:
        """The constant at an input of the node; None where it is left out.

        Errors: NoArithmetic where it is known at run time only.
        """
        name = self.node.given(position)
        value = self.meaning.constant(name)
        if name and value is None:
            raise NoArithmetic(f"{self.node.op_type} reads '{name}', which is no operand")
        return value

    def part_of(self, array: Array, box: Box) -> Array:
        """The part of a constant that broadcasts over `box` of the output: axes of its size are cut as that is."""
        shape = [axis.size for axis in self.op.output.axes]
        ahead = len(shape) - array.ndim
        place = tuple(
            slice(*box[ahead + i]) if size == shape[ahead + i] else slice(None) for i, size in enumerate(array.shape)
        )
        return array[place]
