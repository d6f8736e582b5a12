"""An exported program as nouns: calls of aten operators, tensors with shapes; every size a number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, TypeAlias

from weft.errors import Gathered, ModelError, suggestion
from weft.model.workload import Note
from weft.read.torch.archive import Archive
from weft.read.torch.sizes import SizeError, symbols, value


@dataclass(frozen=True, slots=True)
class Ref:
    """A tensor as an argument, by name."""

    name: str


@dataclass(frozen=True, slots=True)
class Dtype:
    """An element type as an argument, by numpy's name."""

    name: str


@dataclass(frozen=True, slots=True)
class Unread:
    """An argument that no operator read here has: a graph, a custom object."""

    kind: str


Value: TypeAlias = "bool | int | float | str | Ref | Dtype | Unread | tuple[Value, ...] | None"


@dataclass(frozen=True, slots=True)
class Meta:
    """Shape and element type of a tensor; `dtype` is numpy's name ("bfloat16").

    `strides` are the program's, in elements; () of tensors that only the translation has.
    """

    shape: tuple[int, ...]
    dtype: str
    strides: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One call: `op` without torch's prefix ("aten.conv2d.default"); arguments left at their defaults are absent.

    `source` is file and line of the module that makes it, as far as the export recorded it ("net.py:12").
    """

    name: str
    op: str
    arguments: Mapping[str, Value]
    outputs: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Program:
    """A whole program, its symbols replaced by sizes.

    Args:
        where:     what errors point at.
        metas:     of every tensor that has one (results that nobody uses may have none).
        inputs:    tensors the user gives.   outputs: tensors the user gets.
        constants: parameters, buffers and constants: name in the graph -> name in the archive.
        parameters: those of them that are parameters.
        data:      raw bytes of a small constant by its name in the archive; None where there are none.
    """

    where: str
    metas: Mapping[str, Meta]
    inputs: tuple[str, ...]
    constants: Mapping[str, str]
    parameters: frozenset[str]
    calls: tuple[Call, ...]
    outputs: tuple[str, ...]
    data: Callable[[str], bytes | None]
    notes: tuple[Note, ...] = field(default=())

    def at(self, call: Call) -> str:
        """Where `call` is, for error messages."""
        return f"{self.where}: node '{call.name}'" + (f" ({call.source})" if call.source else "")


# numbers of torch's schema (ScalarType)
_DTYPES = {
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    9: "complex32",
    10: "complex64",
    11: "complex128",
    12: "bool",
    13: "bfloat16",
    28: "uint16",
    29: "float8e4m3fn",
    30: "float8e5m2",
    31: "float8e4m3fnuz",
    32: "float8e5m2fnuz",
    33: "float8e8m0",
    34: "uint32",
    35: "uint64",
}

_IGNORED = frozenset({"as_memory_format", "as_layout", "as_device"})
"""Arguments that say how memory is laid out, not what is computed."""


def parse(archive: Archive, dims: Mapping[str, int]) -> Program:
    """The program in an archive, its symbolic dims replaced by `dims`.

    Args:    dims: sizes by name: `<input>_<axis>` of the first input axis that has the symbol (PyTorch does not keep
             the names given to `Dim`).
    Errors:  ModelError where the JSON is not laid out as the schema says, or sizes are missing, unknown, out of range.
    """
    reader = _Reader()
    try:
        reader.read(archive.document)
        sizes = _checked_sizes(reader, dims, archive.where)
        metas = _metas(reader, sizes, archive.where)
        whole = {name: _size(size, sizes) for name, size in reader.sym_ints.items() if _known(size, sizes)}
        calls = tuple(reader.call(index, raw, whole) for index, raw in enumerate(reader.nodes))
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, StopIteration, OverflowError):
        raise ModelError(
            f"a program must be laid out as torch.export's schema says, and {reader.part} is not",
            where=archive.where,
            remedy="save it again with torch.export.save",
        ) from None
    return Program(
        archive.where,
        metas,
        tuple(reader.inputs),
        reader.constants,
        frozenset(reader.parameters),
        calls,
        tuple(dict.fromkeys(reader.outputs)),
        archive.constant,
        tuple(reader.notes),
    )


Size = int | str


class _Reader:
    """The JSON taken apart; `part` is what is being read, for the error."""

    def __init__(self) -> None:
        self.part = "the document"
        self.inputs: list[str] = []
        self.outputs: list[str] = []
        self.constants: dict[str, str] = {}
        self.parameters: list[str] = []
        self.nodes: list[Any] = []
        self.tensors: dict[str, tuple[str, tuple[Size, ...], tuple[Size, ...]]] = {}
        self.sym_ints: dict[str, Size] = {}
        self.sym_inputs: list[str] = []
        self.hints: dict[str, int] = {}
        self.ranges: dict[str, tuple[int | None, int | None]] = {}
        self.notes: list[Note] = []

    def read(self, document: Any) -> None:
        module = document["graph_module"]
        graph = module["graph"]
        self.nodes = _list(graph["nodes"])
        for name, meta in graph["tensor_values"].items():
            self.part = f"tensor '{name}'"
            dtype = _DTYPES.get(_whole(meta["dtype"]), "a type that is not known")
            shape, strides = (tuple(self._size(size) for size in _list(meta[key])) for key in ("sizes", "strides"))
            self.tensors[_text(name)] = (dtype, shape, strides)
        for name, size in graph["sym_int_values"].items():
            self.part = f"size '{name}'"
            self.sym_ints[_text(name)] = self._size(size)
        for name, limits in document["range_constraints"].items():
            self.part = f"the range of '{name}'"
            low, high = limits["min_val"], limits["max_val"]
            self.ranges[name] = (low if low is None else _whole(low), high if high is None else _whole(high))
        self.part = "the signature"
        for spec in _list(module["signature"]["input_specs"]):
            self._input(*_single(spec))
        for spec in _list(module["signature"]["output_specs"]):
            self._output(*_single(spec))

    def _size(self, raw: Any) -> Size:
        kind, inner = _single(raw)
        if kind == "as_int":
            return _whole(inner)
        text = _text(inner["expr_str"])
        hint = inner.get("hint")
        names = symbols(text)
        if hint and len(names) == 1 and text.startswith("Symbol("):
            self.hints.setdefault(names[0], _whole(hint["as_int"]))
        return text

    def _input(self, kind: str, spec: Any) -> None:
        if kind == "user_input":
            given, argument = _single(spec["arg"])
            if given == "as_tensor":
                self.inputs.append(_text(argument["name"]))
            elif given == "as_sym_int":
                self.sym_inputs.append(_text(argument["as_name"]))
        elif kind in ("parameter", "buffer", "tensor_constant"):
            name = _text(spec["arg"]["name"])
            self.constants[name] = _text(spec[f"{kind}_name"])
            if kind == "parameter":
                self.parameters.append(name)
        elif kind == "constant_input":
            self.notes.append(Note(_text(spec["name"]), "input fixed by the export to the value that it was given"))
        else:
            self.notes.append(Note("signature", f"{kind} left out: it holds no tensor"))

    def _output(self, kind: str, spec: Any) -> None:
        given, argument = _single(spec["arg"]) if kind == "user_output" else ("", spec.get("arg", {}))
        if given == "as_tensor":
            self.outputs.append(_text(argument["name"]))
        elif kind == "user_output":
            self.notes.append(Note("signature", "an output that is no tensor is left out"))
        else:
            name = next((str(spec[key]) for key in ("buffer_name", "user_input_name") if key in spec), "")
            self.notes.append(Note(name or "signature", f"{kind.replace('_', ' ')} left out: it is no output"))

    def call(self, index: int, raw: Any, sizes: Mapping[str, int]) -> Call:
        self.part = f"node {index}"
        outputs = tuple(self._outputs(_list(raw["outputs"])))
        op = _text(raw["target"]).removeprefix("torch.ops.")
        name = _text(raw.get("name") or (outputs[0] if outputs else f"{op}_{index}"))
        self.part = f"node '{name}'"
        arguments = {_text(item["name"]): _argument(*_single(item["arg"]), sizes) for item in _list(raw["inputs"])}
        return Call(name, op, arguments, outputs, _source(raw.get("metadata") or {}))

    def _outputs(self, raw: list[Any]) -> Iterator[str]:
        for item in raw:
            kind, inner = _single(item)
            if kind == "as_tensor":
                yield _text(inner["name"])
            elif kind == "as_tensors":
                yield from (_text(tensor["name"]) for tensor in inner)
            elif kind == "as_optional_tensors":
                for tensor in inner:
                    kept, part = _single(tensor)
                    yield _text(part["name"]) if kept == "as_tensor" else ""


def _checked_sizes(reader: _Reader, dims: Mapping[str, int], where: str) -> dict[str, int]:
    """Sizes by symbol. Every symbol of an input has one, and every size given has its symbol."""
    places = _places(reader)
    labels = {label: symbol for symbol, (label, _) in places.items()}
    problems = Gathered(ModelError)
    for name, size in dims.items():
        low, high = reader.ranges.get(labels.get(name, ""), (None, None))
        if name not in labels:
            remedy = "leave it out: every size of this model is fixed"
            if labels:
                remedy = f"{suggestion(name, list(labels))} (the names of torch.export.Dim are not in the file)"
            problems.add(
                ModelError(f"--dim must name a symbolic dim of the model, not '{name}'", where=where, remedy=remedy)
            )
        elif size < max(1, low or 1) or (high is not None and size > high):
            span = f"from {max(1, low or 1)} to {high}" if high is not None else f"at least {max(1, low or 1)}"
            problems.add(
                ModelError(
                    f"dim '{name}' must be {span}, as the program was exported, not {size}",
                    where=where,
                    remedy="give another size, or export with a wider range",
                )
            )
    for symbol, (label, place) in places.items():
        if label not in dims:
            exported = reader.hints.get(symbol)
            value = "1" if exported is None else f"{exported}, as exported"
            problems.add(
                ModelError(
                    f"every dim must have a size, and {place} has none",
                    where=where,
                    remedy=f"give --dim {label}={value}, or another size",
                )
            )
    problems.settle()
    return {symbol: dims[label] for symbol, (label, _) in places.items()}


def _places(reader: _Reader) -> dict[str, tuple[str, str]]:
    """Symbols of the inputs: what --dim calls them, and where they are; one that stands alone counts first."""
    places: dict[str, tuple[str, str]] = {}
    beside: dict[str, tuple[str, str]] = {}
    for name in reader.inputs:
        for i, size in enumerate(reader.tensors[name][1]):
            found = symbols(size) if isinstance(size, str) else ()
            for symbol in found:
                if isinstance(size, str) and size.startswith("Symbol("):
                    places.setdefault(symbol, (f"{name}_{i}", f"axis {i} of input '{name}'"))
                else:
                    beside.setdefault(symbol, (symbol, f"symbol '{symbol}' in axis {i} of input '{name}'"))
    for name in reader.sym_inputs:
        size = reader.sym_ints[name]
        for symbol in symbols(size) if isinstance(size, str) else ():
            places.setdefault(symbol, (name, f"input '{name}'"))
    return {**{symbol: place for symbol, place in beside.items() if symbol not in places}, **places}


def _metas(reader: _Reader, sizes: Mapping[str, int], where: str) -> dict[str, Meta]:
    metas = {}
    for name, (dtype, shape, strides) in reader.tensors.items():
        reader.part = f"the shape of '{name}'"
        for i, size in enumerate(shape):
            if not _known(size, sizes):
                raise ModelError(
                    f"a size must follow from the shapes of the inputs, and axis {i} of '{name}' does not",
                    where=where,
                    remedy="export the part of the network in front of it",
                )
        known = all(_known(size, sizes) for size in strides)
        steps = tuple(_size(size, sizes) for size in strides) if known else ()
        metas[name] = Meta(tuple(_size(size, sizes) for size in shape), dtype, steps)
    return metas


def _known(size: Size, sizes: Mapping[str, int]) -> bool:
    return isinstance(size, int) or all(symbol in sizes for symbol in symbols(size))


def _size(size: Size, sizes: Mapping[str, int]) -> int:
    found = size if isinstance(size, int) else value(size, sizes)
    if abs(found) >= 1 << 40:
        raise SizeError(f"{found} elements along an axis")
    return found


def _argument(kind: str, raw: Any, sizes: Mapping[str, int]) -> Value:
    """An argument as Python has it; a size that is not known (it serves a check of the export) is None."""
    if kind == "as_none" or kind in _IGNORED:
        return None
    if kind == "as_tensor":
        return Ref(_text(raw["name"]))
    if kind == "as_tensors":
        return tuple(Ref(_text(item["name"])) for item in raw)
    if kind in ("as_optional_tensor", "as_sym_int", "as_sym_float", "as_sym_bool"):
        inner, item = _single(raw)
        if inner != "as_name":
            return _argument(inner, item, sizes)
        return sizes.get(_text(item))
    if kind in ("as_optional_tensors", "as_sym_ints"):
        return tuple(
            sizes.get(_text(item)) if inner == "as_name" else _argument(inner, item, sizes)
            for inner, item in map(_single, _list(raw))
        )
    if kind == "as_scalar_type":
        return Dtype(_DTYPES.get(_whole(raw), "a type that is not known"))
    if kind in ("as_float", "as_floats"):
        return float(raw) if kind == "as_float" else tuple(float(item) for item in raw)
    if kind in ("as_bool", "as_bools"):
        return bool(raw) if kind == "as_bool" else tuple(bool(item) for item in raw)
    if kind in ("as_int", "as_ints"):
        return _whole(raw) if kind == "as_int" else tuple(_whole(item) for item in raw)
    if kind == "as_string":
        return _text(raw)
    return Unread(kind)


def _source(metadata: Any) -> str:
    """File and line of the user's module in a stack trace: the innermost frame that is not PyTorch's own."""
    trace = metadata.get("stack_trace")
    found = ""
    for line in trace.splitlines() if isinstance(trace, str) else ():
        head, _, rest = line.strip().partition('", line ')
        file = head.removeprefix('File "')
        number = rest.partition(",")[0]
        own = "torch" not in PurePath(file).parts and not file.startswith("<")
        if head.startswith('File "') and number.isdigit() and own:
            found = f"{PurePath(file).name}:{number}"
    return found


def _single(raw: Any) -> tuple[str, Any]:
    """Kind and content of a union, which the schema writes as an object with one key."""
    ((kind, inner),) = raw.items()
    return kind, inner


def _text(raw: Any) -> str:
    if not isinstance(raw, str):
        raise TypeError("a text")
    raw.encode()  # a lone surrogate is no text
    return raw


def _whole(raw: Any) -> int:
    if not isinstance(raw, int) or isinstance(raw, bool):
        raise TypeError("a whole number")
    return raw


def _list(raw: Any) -> list[Any]:
    if not isinstance(raw, list):
        raise TypeError("a list")
    return raw
