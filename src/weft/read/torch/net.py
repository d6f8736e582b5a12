"""What a builder writes to: ONNX nodes, constants and shapes of a network that is being translated."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from weft.errors import ModelError
from weft.model.workload import Note
from weft.read.torch.program import Call, Dtype, Meta, Program, Ref, Value

OPSET = 24
"""ONNX's operator set that is written: the first with Swish."""

_VALUES_LIMIT = 1 << 20
"""Elements of a constant whose values are kept, so that what follows from it can be computed while reading."""

Build = Callable[["Net", Call], None]


class Net:
    """An ONNX graph that grows call by call; tensors keep the names that the program gives them.

    Builders ask for arguments (`tensor`, `ints`, `number`), for shapes, and `emit` nodes: the one that does the call's
    work carries the call's name, others `<call>.<part>`.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.nodes: list[Any] = []
        self.initializers: dict[str, Any] = {}
        self.metas: dict[str, Meta] = dict(program.metas)
        self.notes: list[Note] = []

    # what a call says

    def refuse(self, call: Call, message: str, remedy: str = "export the network again") -> ModelError:
        """The error that `message` is of this call."""
        return ModelError(message, where=self.program.at(call), remedy=remedy)

    def given(self, call: Call, name: str) -> Value:
        """Argument `name`; None where it is left out."""
        return call.arguments.get(name)

    def has(self, call: Call, name: str) -> bool:
        """Whether argument `name` is a tensor."""
        return isinstance(call.arguments.get(name), Ref)

    def tensor(self, call: Call, name: str = "self") -> str:
        """Argument `name`, which is a tensor."""
        value = call.arguments.get(name)
        if not isinstance(value, Ref):
            raise self._bad(call, name, "a tensor")
        return value.name

    def data(self, call: Call) -> str:
        """The tensor that a call works on: `input`, or `self` as variants name it."""
        return self.tensor(call, "input" if self.has(call, "input") else "self")

    def tensors(self, call: Call, name: str) -> tuple[str, ...]:
        """Argument `name`, which is a list of tensors."""
        value = call.arguments.get(name)
        if not isinstance(value, tuple) or not value:
            raise self._bad(call, name, "a list of tensors")
        names = tuple(item.name for item in value if isinstance(item, Ref))
        if len(names) < len(value):
            raise self._bad(call, name, "a list of tensors")
        return names

    def optional(self, call: Call, name: str) -> str:
        """Argument `name` where it is a tensor, else "" as ONNX leaves inputs out."""
        return self.tensor(call, name) if self.has(call, name) else ""

    def integer(self, call: Call, name: str, default: int | None = None) -> int:
        """Argument `name`, which is a whole number."""
        value = call.arguments.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, int):
            raise self._bad(call, name, "a whole number")
        return int(value)

    def ints(self, call: Call, name: str, default: Sequence[int] | None = None, count: int = 0) -> tuple[int, ...]:
        """Argument `name`, which is a list of whole numbers; a single one stands for `count` of them."""
        value = call.arguments.get(name)
        if value is None and default is not None:
            value = tuple(default)
        if isinstance(value, int) and not isinstance(value, bool):
            value = (value,)
        if not isinstance(value, tuple):
            raise self._bad(call, name, "a list of whole numbers")
        numbers = tuple(item for item in value if isinstance(item, int))
        if len(numbers) < len(value):
            raise self._bad(call, name, "a list of whole numbers")
        return numbers * count if len(numbers) == 1 and count else numbers

    def number(self, call: Call, name: str, default: float | None = None) -> float:
        """Argument `name`, which is a number."""
        value = call.arguments.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, int | float):
            raise self._bad(call, name, "a number")
        return value

    def flag(self, call: Call, name: str, default: bool = False) -> bool:
        """Argument `name` as yes or no."""
        value = call.arguments.get(name)
        return default if value is None else bool(value)

    def axis(self, call: Call, name: str, rank: int, default: int | None = None) -> int:
        """Argument `name`, an axis of a tensor of `rank`, counted from the front."""
        return self._axis(call, self.integer(call, name, default), rank)

    def axes(self, call: Call, name: str, rank: int) -> tuple[int, ...]:
        """Argument `name`, axes of a tensor of `rank`; all of them where it is left out or empty."""
        stated = self.ints(call, name, ())
        return tuple(self._axis(call, i, rank) for i in stated) or tuple(range(rank))

    def _axis(self, call: Call, index: int, rank: int) -> int:
        if not -max(rank, 1) <= index < max(rank, 1):
            raise self.refuse(call, f"an axis must be one of {rank}, not {index}")
        return index % max(rank, 1)

    def _bad(self, call: Call, name: str, kind: str) -> ModelError:
        value = call.arguments.get(name)
        given = "left out" if value is None else f"{value!r}"
        return self.refuse(call, f"argument '{name}' of {call.op} must be {kind}, not {given}")

    # what is known of tensors

    def meta(self, tensor: str) -> Meta:
        """Shape and type of a tensor.

        Errors: ModelError where the program states none.
        """
        if tensor not in self.metas:
            raise ModelError(
                f"every tensor must have a shape, and '{tensor}' has none",
                where=self.program.where,
                remedy="save the program again with torch.export.save",
            )
        return self.metas[tensor]

    def shape(self, tensor: str) -> tuple[int, ...]:
        return self.meta(tensor).shape

    def dtype(self, tensor: str) -> str:
        return self.meta(tensor).dtype

    def output(self, call: Call, position: int = 0) -> str:
        """Output `position` of a call."""
        if position >= len(call.outputs):
            raise self.refuse(call, f"{call.op} must have {position + 1} output(s), not {len(call.outputs)}")
        return call.outputs[position]

    # what a builder adds

    def emit(self, call: Call, op_type: str, inputs: Sequence[str], output: str = "", /, **attributes: Any) -> str:
        """A node that makes `output`, by default the call's own; its name is the call's.

        A node that makes another of the call's tensors is named `<call>.<n>` by the output's number.
        """
        target = output or self.output(call)
        name = call.name
        if target != self.output(call):
            known = target in call.outputs
            name = f"{call.name}.{call.outputs.index(target)}" if known else target
        return self._add(op_type, inputs, (target,), name, attributes)

    def emit_all(
        self, call: Call, op_type: str, inputs: Sequence[str], outputs: Sequence[str], part: str = "", **given: Any
    ) -> None:
        """A node that makes several tensors: the call's outputs, or on the way to them, with the name of a `part`."""
        self._add(op_type, inputs, outputs, f"{call.name}.{part}" if part else call.name, given)

    def shaped(self, call: Call, op_type: str, inputs: Sequence[str], shape: Sequence[int], **given: Any) -> None:
        """The call's own node, which makes its output in another `shape`, and the reshape to the output's."""
        out = self.output(call)
        if self.shape(out) == tuple(shape):
            self.emit(call, op_type, inputs, **given)
            return
        made = self.declare(call, "result", Meta(tuple(shape), self.dtype(out)))
        self._add(op_type, inputs, (made,), call.name, given)
        self._add("Reshape", [made, self.whole(call, "shape", self.shape(out))], (out,), f"{call.name}.view", {})

    def view(self, call: Call, op_type: str, inputs: Sequence[str], output: str) -> str:
        """A node that makes one of the call's outputs from a piece of it, named after what it makes."""
        return self._add(op_type, inputs, (output,), f"{call.name}.{output}", {})

    def part(
        self, call: Call, part: str, op_type: str, inputs: Sequence[str], meta: Meta | tuple[int, ...], **given: Any
    ) -> str:
        """A node on the way to the call's output: named `<call>.<part>`, as is what it makes.

        Args: meta: of what it makes; a shape alone where the type is that of the first input.
        """
        name = self.declare(call, part, meta if isinstance(meta, Meta) else Meta(meta, self.dtype(inputs[0])))
        return self._add(op_type, inputs, (name,), name, given)

    def declare(self, call: Call, part: str, meta: Meta) -> str:
        """A tensor of the call's that the program does not have, named `<call>.<part>`."""
        name = f"{call.name}.{part}"
        while name in self.metas:
            name += "_"
        self.metas[name] = meta
        return name

    def _add(
        self, op_type: str, inputs: Sequence[str], outputs: Sequence[str], name: str, given: dict[str, Any]
    ) -> str:
        trimmed = list(inputs)
        while trimmed and not trimmed[-1]:
            trimmed.pop()
        self.nodes.append(onnx.helper.make_node(op_type, trimmed, list(outputs), name=name, **given))
        return outputs[0]

    def whole(self, call: Call, part: str, values: Sequence[int]) -> str:
        """A constant of whole numbers (a shape, axes), named `<call>.<part>`."""
        return self.constant(call, part, np.asarray(values, dtype=np.int64))

    def scalar(self, call: Call, part: str, value: float, dtype: str) -> str:
        """A constant number of type `dtype`."""
        return self.constant(call, part, np.asarray(value, dtype=numpy_type(dtype)), dtype)

    def constant(self, call: Call, part: str, values: np.typing.NDArray[Any], dtype: str = "") -> str:
        """A constant with values; a type that numpy lacks is filled from float32."""
        name = self.declare(call, part, Meta(tuple(values.shape), dtype or str(values.dtype)))
        self.initializers[name] = self.tensor_proto(name, values)
        return name

    def tensor_proto(self, name: str, values: np.typing.NDArray[Any] | None) -> Any:
        """The initializer of a declared tensor; without values it has a shape and no data."""
        meta = self.meta(name)
        proto = onnx.TensorProto(name=name, data_type=self.elem_type(name), dims=meta.shape)
        if values is None or math.prod(meta.shape) > _VALUES_LIMIT or meta.dtype.startswith("float8"):
            return proto
        if meta.dtype == "bfloat16":
            # the upper half of a float32
            proto.raw_data = (np.asarray(values, np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
        else:
            proto.raw_data = np.asarray(values, dtype=np.dtype(meta.dtype).newbyteorder("<")).tobytes()
        return proto

    def elem_type(self, tensor: str) -> int:
        """ONNX's number of the tensor's type.

        Errors: ModelError for types that ONNX lacks.
        """
        dtype = self.dtype(tensor)
        names = {"float32": "FLOAT", "float64": "DOUBLE", "float8e8m0": "FLOAT8E8M0"}
        try:
            if dtype.startswith("complex"):
                raise ValueError(dtype)
            return int(onnx.TensorProto.DataType.Value(names.get(dtype, dtype.upper())))
        except ValueError:
            raise ModelError(
                f"a tensor must hold real numbers of a type that ONNX defines, not {dtype}",
                where=f"{self.program.where}: tensor '{tensor}'",
                remedy="export the part of the network without it",
            ) from None

    def cast(self, call: Call, tensor: str, dtype: str, part: str) -> str:
        """The tensor as `dtype`: itself, or what a Cast makes of it."""
        if self.dtype(tensor) == dtype:
            return tensor
        name = self.declare(call, part, Meta(self.shape(tensor), dtype))
        return self._add("Cast", [tensor], (name,), name, {"to": self.elem_type(name)})

    def reshaped(self, call: Call, tensor: str, shape: Sequence[int], part: str) -> str:
        """The tensor in another shape: itself, or what a Reshape makes of it."""
        if self.shape(tensor) == tuple(shape):
            return tensor
        return self.part(call, part, "Reshape", [tensor, self.whole(call, f"{part}.shape", shape)], tuple(shape))

    def note(self, call: Call, text: str) -> None:
        self.notes.append(Note(call.name, text))


def numpy_type(dtype: str) -> Any:
    """The numpy type that holds values of `dtype` while they are made: float32 for those that numpy lacks."""
    return np.float32 if dtype.startswith(("bfloat", "float8")) else np.dtype(dtype)


def dtype_of(value: Value) -> str:
    """The name of a type argument; "" where it is left out."""
    return value.name if isinstance(value, Dtype) else ""
