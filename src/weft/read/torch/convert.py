"""From an exported program to an ONNX model in memory, call by call; the ONNX reader then finds loops and maps."""

from __future__ import annotations

import math
from typing import Any

import onnx
import onnx.helper

from weft.errors import Gathered, ModelError
from weft.model.workload import Note
from weft.read.torch.archive import small_values
from weft.read.torch.net import OPSET, Net
from weft.read.torch.program import Call, Program, Ref
from weft.read.torch.table import BUILDERS, VIEWS

_CHECKS = (
    "aten._assert_tensor_metadata",
    "aten._assert_scalar",
    "aten._assert_async",
    "aten.sym_constrain_range",
    "aten._print",
)
"""Calls that check or print, and make nothing."""

_NAMESPACES = ("aten.", "quantized_decomposed.")

_VALUE_TYPES = frozenset({"int8", "int16", "int32", "int64", "uint8", "bool", "float16", "float32", "float64"})

_SMALL = 1 << 16
"""Elements of a constant or buffer whose values are read where the file has them: it may be an index, or a table that
the network prepares. Parameters are never read."""


def convert(program: Program) -> tuple[Any, tuple[Note, ...]]:
    """The ONNX model of a program, and what must be said of it.

    Errors: ModelError for operators that weft does not know, and calls that cannot be translated: all at once.
    """
    net = Net(program)
    problems = Gathered(ModelError)
    _refuse_unknown(program, problems)
    problems.settle()
    _refuse_lost_writes(program, problems)
    notes = list(program.notes)
    inputs = []
    with problems.go_on():
        inputs = [_value_info(net, name) for name in program.inputs]
    for name, stored in program.constants.items():
        with problems.go_on():
            meta = net.meta(name)
            wanted = name not in program.parameters and meta.dtype in _VALUE_TYPES and math.prod(meta.shape) <= _SMALL
            values = small_values(program.data(stored), meta.dtype, meta.shape) if wanted else None
            net.initializers[name] = net.tensor_proto(name, values)
    left_out = 0
    for call in program.calls:
        if _makes_nothing(call):
            left_out += 1
            continue
        with problems.go_on():
            _build(net, call)
    problems.settle()
    if left_out:
        notes.append(Note("program", f"{left_out} calls left out that compute sizes or check them"))
    # what is made has no shape here: what the reader finds is compared with what the program states
    graph = onnx.helper.make_graph(
        net.nodes,
        "program",
        inputs,
        [
            onnx.helper.make_tensor_value_info(name, net.elem_type(name), [None] * len(net.shape(name)))
            for name in program.outputs
        ],
        list(net.initializers.values()),
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)]), (*notes, *net.notes)


def base_name(op: str) -> tuple[str, bool]:
    """An operator without namespace, overload and the underscore of writing in place; whether it does so.

    >>> base_name("aten.add_.Tensor"), base_name("aten._softmax.default"), base_name("aten.__and__.Tensor")
    (('add', True), ('_softmax', False), ('__and__', False))
    """
    name = op.split(".")[1] if "." in op else op
    inplace = name.endswith("_") and not name.endswith("__")
    return (name[:-1], True) if inplace else (name, False)


def _makes_nothing(call: Call) -> bool:
    """Whether a call makes no tensor: arithmetic on sizes, a check."""
    return not call.outputs or call.op.rpartition(".")[0] in _CHECKS


def _known(call: Call) -> bool:
    return call.op.startswith(_NAMESPACES) and base_name(call.op)[0] in BUILDERS


def _refuse_unknown(program: Program, problems: Gathered[ModelError]) -> None:
    """One problem for each operator that weft does not know, pointing at the first call of it."""
    unknown: dict[str, list[Call]] = {}
    for call in program.calls:
        if not _makes_nothing(call) and not _known(call):
            unknown.setdefault(call.op, []).append(call)
    for op, calls in unknown.items():
        more = f" and {len(calls) - 1} more" if len(calls) > 1 else ""
        problems.add(
            ModelError(
                f"every operator must be one that weft knows, not {op}",
                where=program.at(calls[0]) + more,
                remedy="export the network without it, or split it by run_decompositions() before saving",
            )
        )


def _refuse_lost_writes(program: Program, problems: Gathered[ModelError]) -> None:
    """A call that writes in place changes what its tensor's other views show; such views must not be read later."""
    group: dict[str, int] = {}
    stale: dict[int, Call] = {}
    for number, call in enumerate(program.calls):
        read = [ref.name for value in call.arguments.values() for ref in _refs(value)]
        for name in read:
            _check_fresh(program, name, group, stale, problems)
        name, inplace = base_name(call.op)
        first = read[0] if read else ""
        shared = group.setdefault(first, number) if first else number
        if inplace and first and name not in VIEWS:
            stale[shared] = call
            shared = -1 - number
        for output in call.outputs:
            group[output] = shared if inplace or name in VIEWS else -1 - number
    for name in program.outputs:
        _check_fresh(program, name, group, stale, problems)


def _check_fresh(
    program: Program, name: str, group: dict[str, int], stale: dict[int, Call], problems: Gathered[ModelError]
) -> None:
    writer = stale.pop(group[name], None) if name in group else None
    if writer is not None:
        problems.add(
            ModelError(
                f"a tensor written in place must not be read through another view, and '{name}' is",
                where=program.at(writer),
                remedy="make it explicit by run_decompositions() before saving",
            )
        )


def _refs(value: Any) -> list[Ref]:
    if isinstance(value, Ref):
        return [value]
    return [ref for item in value for ref in _refs(item)] if isinstance(value, tuple) else []


def _build(net: Net, call: Call) -> None:
    try:
        BUILDERS[base_name(call.op)[0]](net, call)
    except (IndexError, ValueError, TypeError, OverflowError, ZeroDivisionError) as error:
        raise net.refuse(
            call, f"the arguments of {call.op} must fit its tensors, and they do not: {' '.join(str(error).split())}"
        ) from None


def _value_info(net: Net, name: str) -> Any:
    return onnx.helper.make_tensor_value_info(name, net.elem_type(name), net.shape(name))
