"""A network as text: YAML that says ops, tensors and index maps, and is the very `Workload` when read again.

```yaml
workload: small
tensors:
  x: {shape: [1, 3, 8, 8], bits: 8, role: input, dtype: int8}
  w: {shape: [4, 3, 3, 3], bits: 8, role: weight, dtype: int8}
  y: {shape: [1, 4, 4, 4], bits: 8, role: output, dtype: int8}
ops:
  conv:
    kind: conv
    onnx: Conv
    dims: {B: 1, K: 4, C: 3, OY: 4, OX: 4, FY: 3, FX: 3}
    operands:
      I: {tensor: x, slot: I, index: [B, C, 2*OY + FY - 1, 2*OX + FX - 1]}
      W: {tensor: w, slot: W, index: [K, C, FY, FX]}
      O: {tensor: y, slot: O, index: [B, K, OY, OX]}
```
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from weft.errors import Gathered, ModelError, suggestion, together
from weft.model.tensor_type import TensorType, parse_tensor_type
from weft.model.workload import (
    KINDS,
    SLOTS,
    Axis,
    Note,
    Op,
    Operand,
    Tensor,
    TensorRole,
    Term,
    View,
    Workload,
)
from weft.read.items import Item, ItemError, Part, load
from weft.read.yaml_text import Entry, listed, quoted, render

WHAT = "a network in weft's text form"
ENDING = ".workload.yaml"
ROLES: tuple[TensorRole, ...] = ("input", "weight", "intermediate", "output")
_VIEWS: tuple[Literal["reshape", "transpose"], ...] = ("reshape", "transpose")


def write_workload(workload: Workload) -> str:
    """The workload as text; `read_workload` gives it back.

    Errors: ModelError where two things of it have one name.
    """
    for what, names in (
        ("op", [op.name for op in workload.ops]),
        ("tensor", [tensor.name for tensor in workload.tensors]),
        ("view", [view.tensor for view in workload.views]),
    ):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ModelError(f"each {what} must have a name of its own, not '{twice}' again", where=workload.name)
    entries = [
        Entry("workload", quoted(workload.name)),
        Entry("tensors", tuple(Entry(quoted(tensor.name), _tensor_text(tensor)) for tensor in workload.tensors)),
    ]
    if workload.views:
        views = (Entry(quoted(view.tensor), _view_text(view)) for view in workload.views)
        entries.append(Entry("views", tuple(views)))
    shapes = {tensor.name: tensor.shape for tensor in workload.tensors}
    entries.append(Entry("ops", tuple(Entry(quoted(op.name), _op_entries(op, shapes)) for op in workload.ops)))
    text = render(entries)
    if workload.notes:
        text += "notes:\n" + "".join(
            f"  - {{subject: {quoted(note.subject)}, text: {quoted(note.text)}}}\n" for note in workload.notes
        )
    if workload.nodes:
        text += "nodes:\n" + "".join(f"  - [{quoted(name)}, {quoted(onnx)}]\n" for name, onnx in workload.nodes)
    return text


def _tensor_text(tensor: Tensor) -> str:
    words = [f"shape: {listed(map(str, tensor.shape))}", f"bits: {tensor.bits}", f"role: {tensor.role}"]
    words.append(f"dtype: {quoted(tensor.dtype)}")
    if tensor.type is not None:
        words.append(f"type: {quoted(str(tensor.type))}")
    return f"{{{', '.join(words)}}}"


def _view_text(view: View) -> str:
    words = [f"of: {quoted(view.source)}", f"kind: {view.kind}", f"node: {quoted(view.node)}"]
    if view.order:
        words.append(f"order: {listed(map(str, view.order))}")
    return f"{{{', '.join(words)}}}"


def _op_entries(op: Op, shapes: dict[str, tuple[int, ...]]) -> tuple[Entry, ...]:
    entries = [
        Entry("kind", op.kind),
        Entry("onnx", quoted(op.onnx)),
        Entry("dims", f"{{{', '.join(f'{quoted(name)}: {size}' for name, size in op.dims)}}}"),
        Entry("operands", tuple(Entry(quoted(it.name), _operand_text(it, shapes)) for it in op.operands)),
    ]
    if op.barrier:
        entries.append(Entry("barrier", listed(map(quoted, sorted(op.barrier)))))
    if op.folded:
        entries.append(Entry("folded", listed(map(quoted, op.folded))))
    if op.nodes:
        entries.append(Entry("nodes", listed(map(quoted, op.nodes))))
    return tuple(entries)


def _operand_text(operand: Operand, shapes: dict[str, tuple[int, ...]]) -> str:
    words = [f"tensor: {quoted(operand.tensor)}", f"slot: {operand.slot}"]
    words.append(f"index: {listed(index_text(axis) for axis in operand.axes)}")
    sizes = tuple(axis.size for axis in operand.axes)
    if sizes != shapes.get(operand.tensor):
        words.append(f"sizes: {listed(map(str, sizes))}")
    return f"{{{', '.join(words)}}}"


def index_text(axis: Axis) -> str:
    """An axis' index map.

    >>> index_text(Axis(8, (Term("OY", 2), Term("FY")), -1)), index_text(Axis(1)), index_text(Axis(9, scattered=True))
    ('2*OY + FY - 1', '0', 'any(0)')
    """
    parts = [term.dim if term.coefficient == 1 else f"{term.coefficient}*{term.dim}" for term in axis.terms]
    text = " + ".join(parts)
    if axis.offset or not parts:
        text = f"{text} {'-' if axis.offset < 0 else '+'} {abs(axis.offset)}" if parts else str(axis.offset)
    return f"any({text})" if axis.scattered else text


_TERM = re.compile(r"\s*([+-]?)\s*(?:([0-9]+)\s*\*\s*)?([A-Za-z_]\w*|[0-9]+)\s*")


def parse_index(text: str) -> tuple[tuple[Term, ...], int, bool]:
    """Terms, offset and whether it is scattered, of an axis whose map prints as `text`.

    >>> parse_index("2*OY + FY - 1")
    ((Term(dim='OY', coefficient=2), Term(dim='FY', coefficient=1)), -1, False)
    """
    inner = text.strip()
    scattered = inner.startswith("any(") and inner.endswith(")")
    if scattered:
        inner = inner[4:-1]
    terms: list[Term] = []
    offset = at = 0
    while at < len(inner):
        match = _TERM.match(inner, at)
        if match is None or (at > 0 and not match.group(1)):
            raise ValueError("no sum of terms")
        sign, coefficient, word = match.groups()
        if word.isdigit():
            offset += (-1 if sign == "-" else 1) * int(coefficient or 1) * int(word)
        elif sign == "-":
            raise ValueError("a negative coefficient")
        else:
            terms.append(Term(word, int(coefficient or 1)))
        at = match.end()
    if not inner:
        raise ValueError("nothing")
    return tuple(terms), offset, scattered


def read_workload(path: str | Path) -> Workload:
    """The network in a file of weft's text form.

    Errors: ModelError, naming file, line and thing, of all that does not hold at once.
    """
    try:
        item = load(Path(path), WHAT)
        if not isinstance(item.value, dict) or "workload" not in item.value:
            raise ItemError(
                f"the file must be {WHAT}, beginning with 'workload: NAME'",
                where=item.where(),
                remedy="a chip goes to --chip; other tools' files are read by weft import",
            )
        return _workload(item)
    except ItemError as error:
        raise together(
            [ModelError(it.message, where=it.where, remedy=it.remedy, order=it.order) for it in error.problems]
        ) from error


def _workload(item: Item) -> Workload:
    part = _part(item, "", ("workload", "tensors", "views", "ops", "notes", "nodes"))
    problems = Gathered(ItemError)
    tensors: dict[str, Tensor] = {}
    views: list[View] = []
    ops: list[Op] = []
    for name, entry in part.parts("tensors").items():
        with problems.go_on():
            tensors[name] = _tensor(name, entry)
    problems.settle()
    made = {name for name, tensor in tensors.items() if tensor.role in ("input", "weight")}
    sources: dict[str, str] = {}
    for name, entry in part.parts("views").items() if part.has("views") else ():
        with problems.go_on():
            views.append(_view(name, entry, tensors))
            sources[name] = views[-1].source
    for name, entry in part.parts("ops").items():
        with problems.go_on():
            op = _op(name, entry, tensors)
            for operand in op.inputs:
                root = operand.tensor
                for _ in sources:
                    root = sources.get(root, root)
                if root not in made:
                    raise ItemError(
                        f"an op must stand after those that make what it reads, and nothing before it makes '{root}'",
                        where=entry.where(f"op '{name}' operand '{operand.name}'"),
                    )
            made.add(op.output.tensor)
            ops.append(op)
    notes = []
    for entry in part.items("notes") if part.has("notes") else ():
        with problems.go_on():
            note = _part(entry, "note", ("subject", "text"))
            notes.append(Note(note.text("subject"), note.text("text")))
    nodes = []
    for entry in part.items("nodes") if part.has("nodes") else ():
        pair = [it.value for it in entry.value] if isinstance(entry.value, list) else []
        if len(pair) == 2 and all(isinstance(word, str) for word in pair):
            nodes.append((pair[0], pair[1]))
        else:
            problems.add(ItemError("a node must read [NAME, OPERATOR]", where=entry.where()))
    problems.settle()
    if not ops:
        raise part.error("ops", "a network must have at least one op, not none")
    return Workload(
        part.text("workload"), tuple(tensors.values()), tuple(ops), tuple(views), tuple(notes), tuple(nodes)
    )


def _part(item: Item, thing: str, known: Iterable[str]) -> Part:
    """A mapping whose keys stand once."""
    part = Part(item, thing, known)
    item.once(thing)
    return part


def _tensor(name: str, item: Item) -> Tensor:
    part = _part(item, f"tensor '{name}'", ("shape", "bits", "role", "dtype", "type"))
    shape = tuple(part.wholes("shape"))
    kind: TensorType | None = None
    if part.has("type"):
        try:
            kind = parse_tensor_type(part.text("type"))
        except ValueError as error:
            raise part.error(
                "type", f"type must be an element format such as int8, not '{part.text('type')}'"
            ) from error
    role = next(role for role in ROLES if role == part.text("role", ROLES))
    dtype = part.text("dtype") if part.has("dtype") else "float32"
    return Tensor(name, shape, part.whole("bits"), role, dtype, kind)


def _known(part: Part, key: str, tensors: dict[str, Tensor]) -> Tensor:
    name = part.text(key)
    if name not in tensors:
        raise part.error(key, f"{key} must be one of the tensors, not '{name}'", suggestion(name, list(tensors)))
    return tensors[name]


def _view(name: str, item: Item, tensors: dict[str, Tensor]) -> View:
    part = _part(item, f"view '{name}'", ("of", "kind", "node", "order"))
    if name not in tensors:
        raise ItemError(
            f"a view must be one of the tensors, not '{name}'",
            where=item.where(part.thing),
            remedy=suggestion(name, list(tensors)),
        )
    source = _known(part, "of", tensors)
    kind = next(kind for kind in _VIEWS if kind == part.text("kind", _VIEWS))
    order = tuple(part.wholes("order", 0)) if part.has("order") else ()
    shape = tensors[name].shape
    if kind == "reshape" and source.elements != tensors[name].elements:
        raise part.error("of", f"a reshape must keep {tensors[name].elements} elements, not be of {source.elements}")
    if kind == "transpose" and (
        sorted(order) != list(range(len(source.shape))) or shape != tuple(source.shape[axis] for axis in order)
    ):
        raise part.error("order", f"order must turn {list(source.shape)} into {list(shape)}, not be {list(order)}")
    return View(name, source.name, kind, part.text("node") if part.has("node") else "", order)


_OP_KEYS = ("kind", "onnx", "dims", "operands", "barrier", "folded", "nodes")


def _op(name: str, item: Item, tensors: dict[str, Tensor]) -> Op:
    part = _part(item, f"op '{name}'", _OP_KEYS)
    kind = next(kind for kind in KINDS if kind == part.text("kind", KINDS))
    sizes = part.get("dims")
    dims_part = _part(sizes, f"{part.thing} dims", sizes.value if isinstance(sizes.value, dict) else ())
    dims = tuple((dim, dims_part.whole(dim)) for dim in dims_part.item.value)
    operands = tuple(_operand(key, entry, part, dict(dims), tensors) for key, entry in part.parts("operands").items())
    if not operands or [operand.slot for operand in operands].count("O") != 1 or operands[-1].slot != "O":
        raise part.error("operands", "the last operand, and only that, must have slot O")
    barrier = part.words("barrier", dict(dims)) if part.has("barrier") else []
    return Op(
        name,
        kind,
        part.text("onnx") if part.has("onnx") else "",
        dims,
        operands,
        frozenset(barrier),
        tuple(part.words("folded")) if part.has("folded") else (),
        tuple(part.words("nodes")) if part.has("nodes") else (),
    )


def _operand(name: str, item: Item, op: Part, dims: dict[str, int], tensors: dict[str, Tensor]) -> Operand:
    part = _part(item, f"{op.thing} operand '{name}'", ("tensor", "slot", "index", "sizes"))
    tensor = _known(part, "tensor", tensors)
    sizes = tuple(part.wholes("sizes")) if part.has("sizes") else tensor.shape
    entries = part.items("index")
    if len(entries) != len(tensor.shape) or len(sizes) != len(tensor.shape):
        raise part.error(
            "index",
            f"index must have one map for each of the {len(tensor.shape)} axes of '{tensor.name}', not {len(entries)}",
        )
    axes = tuple(_axis(entry, size, part, dims) for entry, size in zip(entries, sizes, strict=True))
    used = [term.dim for axis in axes for term in axis.terms]
    twice = next((dim for dim in used if used.count(dim) > 1), None)
    if twice is not None:
        raise part.error("index", f"each dim must index one axis, not {twice} two")
    slot = next(slot for slot in SLOTS if slot == part.text("slot", SLOTS))
    return Operand(name, slot, tensor.name, axes)


def _axis(entry: Item, size: int, part: Part, dims: dict[str, int]) -> Axis:
    text = _scalar(entry.value)
    try:
        terms, offset, scattered = parse_index(text)
    except ValueError as error:
        raise ItemError(
            f"an index must be a sum such as 2*OY + FY - 1, not '{text}'", where=entry.where(part.thing)
        ) from error
    for term in terms:
        if term.dim not in dims:
            raise ItemError(
                f"an index must be over the op's dims, not '{term.dim}'",
                where=entry.where(part.thing),
                remedy=suggestion(term.dim, list(dims)),
            )
    return Axis(size, terms, offset, scattered)


def _scalar(value: Any) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else "nothing of the kind"
