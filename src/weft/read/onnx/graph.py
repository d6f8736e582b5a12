"""The reader's own nouns: an ONNX graph with every shape known, and what one node turns into."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from weft.errors import ModelError
from weft.model.tensor_type import TensorType
from weft.model.workload import Axis, Note, Op, Operand, Slot, Tensor, Term, View

Array = npt.NDArray[np.generic]

Lazy = Callable[[], Array | None]
"""A way to the values of a constant; they are None where the file has none."""

DEFAULT_DOMAINS = ("", "ai.onnx")
"""Names of the standard operator set."""

Attribute = Any
"""An ONNX attribute as Python holds it: int, float, bytes, list of them, or a TensorProto."""


@dataclass(frozen=True, slots=True)
class Node:
    """One ONNX node: `name` is unique in the graph, `proto` is the node as onnx keeps it.

    `opset` is the version of the default operator set that it is written in: a function may have its own.
    """

    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]
    proto: Any
    opset: int

    @property
    def domain(self) -> str:
        """Its operator set; "" for the standard one."""
        return "" if self.proto.domain in DEFAULT_DOMAINS else str(self.proto.domain)

    @property
    def key(self) -> str:
        """Its operator as tables name it: "Conv", "com.microsoft::FusedConv"."""
        return f"{self.domain}::{self.op_type}" if self.domain else self.op_type

    def given(self, position: int) -> str:
        """The tensor at input `position`; "" where it is left out."""
        return self.inputs[position] if position < len(self.inputs) else ""

    def ints(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """Attribute `name` as a tuple of integers."""
        value = self.attributes.get(name)
        if value is not None and not (isinstance(value, list) and all(isinstance(item, int) for item in value)):
            raise self._wrong(name, "a list of whole numbers")
        return default if value is None else tuple(value)

    def integer(self, name: str, default: int) -> int:
        """Attribute `name` as an integer."""
        value = self.attributes.get(name)
        if value is not None and not isinstance(value, int):
            raise self._wrong(name, "a whole number")
        return default if value is None else int(value)

    def number(self, name: str, default: float) -> float:
        """Attribute `name` as a real number."""
        value = self.attributes.get(name)
        if value is not None and not isinstance(value, int | float):
            raise self._wrong(name, "a number")
        return default if value is None else float(value)

    def text(self, name: str, default: str) -> str:
        """Attribute `name` as text."""
        value = self.attributes.get(name)
        if value is not None and not isinstance(value, bytes | str):
            raise self._wrong(name, "text")
        return default if value is None else value.decode(errors="replace") if isinstance(value, bytes) else str(value)

    def _wrong(self, name: str, kind: str) -> ModelError:
        """The complaint about an attribute of another type; whoever reads the node says where it is."""
        return ModelError(
            f"attribute '{name}' of {self.op_type} must be {kind}, not {_shown(self.attributes[name])}",
            remedy="export the network again",
        )


def _shown(value: Attribute) -> str:
    if isinstance(value, int | float):
        return str(value)
    return "text" if isinstance(value, bytes | str) else "a list" if isinstance(value, list) else "a tensor or graph"


@dataclass(frozen=True, slots=True)
class Info:
    """Shape and element type of a tensor; `dtype` is numpy's name ("float32")."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Raw:
    """A checked graph before shapes are known: nodes in topological order, weights set aside.

    Args:
        where:     what errors point at (the file as the user gave it).
        functions: model-local functions, by domain and name.
        inputs:    graph inputs that are no constants, with their shapes.
        constants: TensorProto of every initializer.
        declared:  shapes that the file states for its tensors, where they are complete.
    """

    name: str
    where: str
    nodes: tuple[Node, ...]
    functions: Mapping[tuple[str, str], Any]
    inputs: Mapping[str, Info]
    outputs: tuple[str, ...]
    constants: Mapping[str, Any]
    declared: Mapping[str, Info]
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class Scaling:
    """What the integers of a quantised tensor stand for: scale x (integer - zero point).

    Args:
        scale, zero: the tensors that hold them; "" for a zero point of 0.
        axis:  along which there are several.   block: elements along it that share one (0: not in blocks).
        bounds: what a Clip behind the quantiser leaves of the integers, where there is one.
    """

    scale: str
    zero: str
    axis: int | None
    block: int = 0
    bounds: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph with every shape known and every constant chain folded.

    Args:
        nodes:  in topological order; each contributes to an output.
        infos:  shape and type of every tensor.
        known:  tensors that are constants, with a way to their values (None where the file has none).
        read:   name and operator of every node of the file, folded and dead ones too.
        types:  formats of the tensors that quantisers are about.
        scales: for constants scaled in blocks, the constants that hold their scales and zero points.
        scalings: of quantised tensors; None where a reader takes them for other numbers than were written.
    """

    name: str
    where: str
    nodes: tuple[Node, ...]
    infos: Mapping[str, Info]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    known: Mapping[str, Lazy]
    notes: tuple[Note, ...]
    read: tuple[tuple[str, str], ...] = ()
    types: Mapping[str, TensorType] = field(default_factory=dict)
    scales: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scalings: Mapping[str, Scaling | None] = field(default_factory=dict)

    def shape(self, tensor: str) -> tuple[int, ...]:
        return self.infos[tensor].shape

    def is_constant(self, tensor: str) -> bool:
        return tensor in self.known

    def is_used(self, tensor: str) -> bool:
        """Whether a node or the network's user reads a tensor."""
        return bool(tensor) and (tensor in self.outputs or any(tensor in node.inputs for node in self.nodes))

    def value(self, tensor: str) -> Array | None:
        """The values of a constant; None where it is no constant, or the file does not hold its data."""
        return self.known[tensor]() if tensor in self.known else None

    def at(self, node: Node) -> str:
        """Where `node` is, for error messages."""
        return f"{self.where}: node '{node.name}'"

    def check_rank(self, node: Node, position: int, rank: int) -> None:
        """Refuse a node whose input `position`, if given, has another rank.

        Errors: ModelError for it.
        """
        name = node.given(position)
        if name and len(self.shape(name)) != rank:
            raise ModelError(
                f"input {position} of {node.op_type} must have rank {rank}, not {len(self.shape(name))}",
                where=self.at(node),
                remedy="export the network again",
            )

    def constant_ints(self, node: Node, position: int, what: str) -> tuple[int, ...] | None:
        """Input `position` of `node` as integers; None where it is left out.

        Errors: ModelError where it is known only at run time.
        """
        if position >= len(node.inputs) or not node.inputs[position]:
            return None
        value = self.value(node.inputs[position])
        if value is None:
            raise ModelError(
                f"{what} of {node.op_type} must be a constant, not '{node.inputs[position]}'",
                where=self.at(node),
                remedy="simplify the model (for example with onnxslim) so that it is one",
            )
        return tuple(int(v) for v in value.reshape(-1))


@dataclass(frozen=True, slots=True)
class Emitted:
    """What a node turns into. `tensors` are those the graph does not have (parts of a product, say)."""

    ops: tuple[Op, ...] = ()
    views: tuple[View, ...] = ()
    tensors: tuple[Tensor, ...] = ()
    notes: tuple[Note, ...] = ()


Builder = Callable[[Graph, Node], Emitted]


def axis(size: int, *terms: tuple[str, int] | str, offset: int = 0) -> Axis:
    """An axis of `size` indexed by `terms`: names, or (name, coefficient).

    >>> axis(8, ("OY", 2), "FY", offset=-1).terms
    (Term(dim='OY', coefficient=2), Term(dim='FY', coefficient=1))
    """
    made = tuple(Term(term) if isinstance(term, str) else Term(*term) for term in terms)
    return Axis(size, made, offset)


def operand(name: str, slot: Slot, tensor: str, axes: list[Axis] | tuple[Axis, ...]) -> Operand:
    """An operand from a list of axes."""
    return Operand(name, slot, tensor, tuple(axes))


def elements(shape: tuple[int, ...]) -> int:
    """Elements of a tensor of `shape`."""
    return math.prod(shape)


MOST_ELEMENTS = 2**40
"""Elements of one tensor: a hundred times the largest that networks have; sizes beyond are mistakes."""


def check_size(subject: str, shape: tuple[int, ...], at: str | None = None) -> None:
    """Refuse a tensor that is larger than any can be.

    Errors: ModelError; `subject` is what the sentence calls the tensor.
    """
    if elements(shape) > MOST_ELEMENTS:
        raise ModelError(
            f"a tensor must have at most 2^40 elements, and {subject} is {list(shape)}",
            where=at,
            remedy="check the sizes",
        )


SPATIAL = ("X", "Y", "Z")


def spatial(rank: int, prefix: str) -> tuple[str, ...]:
    """Letters of `rank` spatial axes, outermost first.

    >>> spatial(2, "O"), spatial(1, "F"), spatial(4, "O")
    (('OY', 'OX'), ('FX',), ('O3', 'OZ', 'OY', 'OX'))
    """
    return tuple(prefix + (SPATIAL[i] if i < len(SPATIAL) else str(i)) for i in reversed(range(rank)))


def letters(rank: int) -> tuple[str, ...]:
    """Loop letters of a tensor's axes, by rank: batch, channel, spatial.

    >>> letters(1), letters(2), letters(4)
    (('G',), ('B', 'G'), ('B', 'G', 'OY', 'OX'))
    """
    return ("G",) if rank == 1 else ("B", "G", *spatial(rank - 2, "O")) if rank >= 2 else ()
