"""Element by element, and reductions: aten as ONNX nodes, operands cast to the type that PyTorch promotes to."""

from __future__ import annotations

import math
from collections.abc import Sequence

from weft.read.torch.net import Build, Net
from weft.read.torch.program import Call

_FLOATS = ("float16", "bfloat16", "float32", "float64")


def unary(op_type: str, **attributes: float | str) -> Build:
    """A builder of one node with one input; attributes are fixed."""

    def build(net: Net, call: Call) -> None:
        data = net.data(call)
        kept = net.dtype(net.output(call)) if net.dtype(net.output(call)) in _FLOATS else net.dtype(data)
        net.emit(call, op_type, [net.cast(call, data, kept, "input")], **attributes)

    return build


def with_number(op_type: str, **names: tuple[str, float]) -> Build:
    """A builder of one node whose attributes are numbers of the call: attribute = (argument, default)."""

    def build(net: Net, call: Call) -> None:
        attributes = {key: float(net.number(call, name, default)) for key, (name, default) in names.items()}
        net.emit(call, op_type, [net.tensor(call)], **attributes)

    return build


def elu(net: Net, call: Call) -> None:
    """elu; selu is its decomposition, with a scale behind it."""
    if net.number(call, "input_scale", 1) != 1:
        raise net.refuse(call, "elu must leave its input unscaled", "write it as what it computes")
    scale = net.number(call, "scale", 1)
    alpha, data = float(net.number(call, "alpha", 1)), net.tensor(call)
    if scale == 1:
        net.emit(call, "Elu", [data], alpha=alpha)
        return
    made = net.part(call, "unscaled", "Elu", [data], net.shape(data), alpha=alpha)
    net.emit(call, "Mul", [made, net.scalar(call, "scale", scale, net.dtype(data))])


def softplus(net: Net, call: Call) -> None:
    """softplus of beta 1, which is the only one that ONNX has."""
    if net.number(call, "beta", 1) != 1:
        raise net.refuse(call, "softplus must have beta 1", "scale its input and output")
    net.emit(call, "Softplus", [net.tensor(call)])


def gelu(net: Net, call: Call) -> None:
    """gelu, exact or by tanh."""
    tanh = net.given(call, "approximate") == "tanh"
    net.emit(call, "Gelu", [net.tensor(call)], approximate="tanh" if tanh else "none")


def prelu(net: Net, call: Call) -> None:
    """A slope per channel, the second axis."""
    data, weight = net.tensor(call), net.tensor(call, "weight")
    rank = len(net.shape(data))
    if math.prod(net.shape(weight)) > 1 and rank > 2:
        weight = net.reshaped(call, weight, (*net.shape(weight), *(1,) * (rank - 2)), "slope")
    net.emit(call, "PRelu", [data, weight])


def glu(net: Net, call: Call) -> None:
    """One half gated by the sigmoid of the other."""
    data, out = net.tensor(call), net.output(call)
    axis = net.axis(call, "dim", len(net.shape(data)), -1)
    halves = [net.declare(call, name, net.meta(out)) for name in ("value", "gate")]
    length = net.shape(out)[axis]
    net.emit_all(call, "Split", [data, net.whole(call, "lengths", (length, length))], halves, "halves", axis=axis)
    sigmoid = net.part(call, "sigmoid", "Sigmoid", [halves[1]], net.shape(out))
    net.emit(call, "Mul", [halves[0], sigmoid])


def clip(low: str, high: str, defaults: tuple[float | None, float | None] = (None, None)) -> Build:
    """A builder of Clip with the bounds that arguments `low` and `high` give, numbers or tensors."""

    def build(net: Net, call: Call) -> None:
        data = net.tensor(call)
        tensors = [net.optional(call, name) for name in (low, high)]
        if any(tensors):
            for name, op_type in zip(tensors, ("Max", "Min"), strict=True):
                if name and data and all(tensors) and op_type == "Max":
                    data = net.part(call, "low", op_type, [data, name], net.shape(data))
                elif name:
                    net.emit(call, op_type, [data, name])
            return
        bounds = []
        for name, default in zip((low, high), defaults, strict=True):
            given = net.given(call, name)
            value = default if given is None else net.number(call, name)
            bounds.append("" if value is None else net.scalar(call, name, value, net.dtype(data)))
        net.emit(call, "Clip", [data, *bounds])

    return build


def _operand(net: Net, call: Call, name: str, dtype: str) -> str:
    """Argument `name`, a tensor or a number, as a tensor of type `dtype`."""
    if net.has(call, name):
        return net.cast(call, net.tensor(call, name), dtype, name)
    return net.scalar(call, name, net.number(call, name), dtype)


def _common(net: Net, call: Call, names: Sequence[str]) -> str:
    """The type that operands are compared in: of the widest tensor with axes, of all where none has any."""
    tensors = [net.tensor(call, name) for name in names if net.has(call, name)]
    shaped = [name for name in tensors if net.shape(name)] or tensors
    types = {net.dtype(name) for name in shaped}
    floats = [dtype for dtype in _FLOATS if dtype in types]
    if any(isinstance(net.given(call, name), float) for name in names) and not floats:
        return "float32"
    if floats:
        return "float32" if {"float16", "bfloat16"} <= types else floats[-1]
    return max(types, key=lambda dtype: (dtype != "bool", int("".join(filter(str.isdigit, dtype)) or 0)))


def binary(op_type: str, first: str = "self", second: str = "other", **attributes: int) -> Build:
    """A builder of one node with two operands, in the type of the result."""

    def build(net: Net, call: Call) -> None:
        dtype = net.dtype(net.output(call))
        inputs = [_operand(net, call, name, dtype) for name in (first, second)]
        net.emit(call, op_type, inputs, **attributes)

    return build


def add(op_type: str, swapped: bool = False) -> Build:
    """A builder of add, sub and rsub, whose second operand may be scaled by `alpha`."""

    def build(net: Net, call: Call) -> None:
        dtype = net.dtype(net.output(call))
        left, right = (_operand(net, call, name, dtype) for name in ("self", "other"))
        alpha = net.number(call, "alpha", 1)
        if alpha != 1:
            factor = net.scalar(call, "alpha", alpha, dtype)
            right = net.part(call, "scaled", "Mul", [right, factor], net.shape(right))
        net.emit(call, op_type, [right, left] if swapped else [left, right])

    return build


def divide(net: Net, call: Call) -> None:
    """A division, rounded down or towards zero where that is asked for."""
    dtype = net.dtype(net.output(call))
    inputs = [_operand(net, call, name, dtype) for name in ("self", "other")]
    mode = net.given(call, "rounding_mode") or ("floor" if "floor_divide" in call.op else None)
    if mode is None or (mode == "trunc" and dtype not in _FLOATS):  # ONNX divides whole numbers towards zero
        net.emit(call, "Div", inputs)
    elif dtype in _FLOATS:
        made = net.part(call, "quotient", "Div", inputs, net.meta(net.output(call)))
        if mode == "floor":
            net.emit(call, "Floor", [made])
            return
        _towards_zero(net, call, made)
    else:
        # what the remainder, which has the divisor's sign, leaves can be divided
        rest = net.part(call, "rest", "Mod", inputs, net.meta(net.output(call)))
        net.emit(call, "Div", [net.part(call, "less", "Sub", [inputs[0], rest], net.meta(rest)), inputs[1]])


def remainder(net: Net, call: Call) -> None:
    """What a division rounded down leaves; of floats, which ONNX has only for one rounded towards zero, spelt out."""
    meta = net.meta(net.output(call))
    left, right = (_operand(net, call, name, meta.dtype) for name in ("self", "other"))
    if meta.dtype not in _FLOATS:
        net.emit(call, "Mod", [left, right])
        return
    times = net.part(call, "times", "Floor", [net.part(call, "quotient", "Div", [left, right], meta)], meta)
    net.emit(call, "Sub", [left, net.part(call, "whole", "Mul", [times, right], meta)])


def compare(op_type: str, negated: bool = False) -> Build:
    """A builder of a comparison, its operands in one type."""

    def build(net: Net, call: Call) -> None:
        dtype = _common(net, call, ("self", "other"))
        inputs = [_operand(net, call, name, dtype) for name in ("self", "other")]
        if negated:
            made = net.part(call, "equal", op_type, inputs, net.meta(net.output(call)))
            net.emit(call, "Not", [made])
        else:
            net.emit(call, op_type, inputs)

    return build


def logical(op_type: str) -> Build:
    """A builder of and, or, xor of booleans; of whole numbers bit by bit."""

    def build(net: Net, call: Call) -> None:
        dtype = net.dtype(net.output(call))
        inputs = [_operand(net, call, name, dtype) for name in ("self", "other")]
        net.emit(call, op_type if dtype == "bool" else f"Bitwise{op_type}", inputs)

    return build


def negate(net: Net, call: Call) -> None:
    """logical_not and bitwise_not."""
    if net.dtype(net.output(call)) == "bool":
        net.emit(call, "Not", [net.cast(call, net.tensor(call), "bool", "input")])
    else:
        net.emit(call, "BitwiseNot", [net.tensor(call)])


def power(net: Net, call: Call) -> None:
    """A power; base and exponent are tensors or numbers."""
    dtype = net.dtype(net.output(call))
    net.emit(call, "Pow", [_operand(net, call, name, dtype) for name in ("self", "exponent")])


def composed(*steps: tuple[str, float | None]) -> Build:
    """A builder of one input after another: ONNX operators, each with the number that is its other operand, if any."""

    def build(net: Net, call: Call) -> None:
        meta = net.meta(net.output(call))
        value = net.cast(call, net.data(call), meta.dtype, "input")
        for n, (op_type, number) in enumerate(steps):
            inputs = [value] if number is None else [value, net.scalar(call, f"number{n}", number, meta.dtype)]
            if n == len(steps) - 1:
                net.emit(call, op_type, inputs)
            else:
                value = net.part(call, f"step{n}", op_type, inputs, meta)

    return build


def truncate(net: Net, call: Call) -> None:
    """Rounding towards zero."""
    _towards_zero(net, call, net.data(call))


def _towards_zero(net: Net, call: Call, data: str) -> None:
    """The magnitude rounded down, with its sign."""
    meta = net.meta(data)
    down = net.part(call, "down", "Floor", [net.part(call, "size", "Abs", [data], meta)], meta)
    net.emit(call, "Mul", [down, net.part(call, "sign", "Sign", [data], meta)])


def add_combined(op_type: str) -> Build:
    """A builder of addcmul and addcdiv: what two tensors make, scaled and added."""

    def build(net: Net, call: Call) -> None:
        meta = net.meta(net.output(call))
        made = net.part(call, "made", op_type, [net.tensor(call, "tensor1"), net.tensor(call, "tensor2")], meta)
        factor = net.number(call, "value", 1)
        if factor != 1:
            made = net.part(call, "scaled", "Mul", [made, net.scalar(call, "value", factor, meta.dtype)], meta)
        net.emit(call, "Add", [net.tensor(call), made])

    return build


def lerp(net: Net, call: Call) -> None:
    """A way from one tensor to another, by a weight."""
    meta = net.meta(net.output(call))
    apart = net.part(call, "apart", "Sub", [net.tensor(call, "end"), net.tensor(call)], meta)
    step = net.part(call, "step", "Mul", [apart, _operand(net, call, "weight", meta.dtype)], meta)
    net.emit(call, "Add", [net.tensor(call), step])


def where(net: Net, call: Call) -> None:
    """A choice by a mask; either branch a tensor or a number."""
    dtype = net.dtype(net.output(call))
    branches = [_operand(net, call, name, dtype) for name in ("self", "other")]
    net.emit(call, "Where", [net.tensor(call, "condition"), *branches])


def masked_fill(net: Net, call: Call) -> None:
    """A value where the mask holds."""
    dtype = net.dtype(net.output(call))
    net.emit(call, "Where", [net.tensor(call, "mask"), _operand(net, call, "value", dtype), net.tensor(call)])


def convert(net: Net, call: Call) -> None:
    """to, _to_copy, type_as, float, ...: a Cast where the type changes."""
    data, out = net.tensor(call), net.output(call)
    if net.dtype(data) == net.dtype(out):
        net.emit(call, "Identity", [data])
    else:
        net.emit(call, "Cast", [data], to=net.elem_type(out))


def reduce(op_type: str, argument: str = "dim") -> Build:
    """A builder of a reduction over the axes that `argument` names; over all where it names none."""

    def build(net: Net, call: Call) -> None:
        data = net.tensor(call)
        out = net.output(call)
        rank = len(net.shape(data))
        axes = net.axes(call, argument, rank) if net.given(call, argument) is not None else tuple(range(rank))
        keep = len(net.shape(out)) == rank
        kept = net.dtype(out) if net.dtype(out) in _FLOATS or op_type in ("ReduceSum", "ReduceProd") else ""
        source = net.cast(call, data, kept or net.dtype(data), "input")
        net.emit(call, op_type, [source, net.whole(call, "axes", axes)], keepdims=int(keep))

    return build


def extreme(kind: str) -> Build:
    """A builder of max and min: of two tensors, of a whole one, or along an axis with its position."""

    def build(net: Net, call: Call) -> None:
        if net.has(call, "other"):
            binary(kind)(net, call)
            return
        reduce(f"Reduce{kind}")(net, call)
        if len(call.outputs) > 1 and call.outputs[1] in net.program.metas:
            _position(net, call, kind, call.outputs[1])

    return build


def position(kind: str) -> Build:
    """A builder of argmax and argmin; without an axis, of the elements in a row."""

    def build(net: Net, call: Call) -> None:
        _position(net, call, kind, net.output(call))

    return build


def _position(net: Net, call: Call, kind: str, output: str) -> None:
    data = net.tensor(call)
    rank = len(net.shape(data))
    if net.given(call, "dim") is None:
        data = net.reshaped(call, data, (math.prod(net.shape(data)),), "row")
        net.emit(call, f"Arg{kind}", [data], output, axis=0, keepdims=0)
        return
    keep = int(len(net.shape(output)) == rank)
    net.emit(call, f"Arg{kind}", [data], output, axis=net.axis(call, "dim", rank), keepdims=keep)


def variance(root: bool) -> Build:
    """A builder of var and std: mean, differences, their squares summed, divided by the count less a correction."""

    def build(net: Net, call: Call) -> None:
        data, out = net.tensor(call), net.output(call)
        shape = net.shape(data)
        axes = net.axes(call, "dim", len(shape)) if net.given(call, "dim") is not None else tuple(range(len(shape)))
        over = net.whole(call, "axes", axes)
        kept = tuple(1 if i in axes else size for i, size in enumerate(shape))
        mean = net.part(call, "mean", "ReduceMean", [data, over], kept, keepdims=1)
        apart = net.part(call, "difference", "Sub", [data, mean], shape)
        keep = int(len(net.shape(out)) == len(shape))
        total = net.part(call, "squares", "ReduceSumSquare", [apart, over], net.meta(out), keepdims=keep)
        free = 1.0 if net.flag(call, "unbiased", True) else 0.0
        count = math.prod(shape[i] for i in axes) - net.number(call, "correction", free)
        factor = net.scalar(call, "factor", 1 / max(count, 1), net.dtype(out))
        if root:
            net.emit(call, "Sqrt", [net.part(call, "variance", "Mul", [total, factor], net.shape(out))])
        else:
            net.emit(call, "Mul", [total, factor])

    return build


def vector_norm(net: Net, call: Call) -> None:
    """The first or second norm along axes."""
    order = net.number(call, "ord" if "ord" in call.arguments else "p", 2)
    if order not in (1, 2):
        raise net.refuse(call, f"a norm must be the first or second, not {order:g}", "write it as what it computes")
    reduce("ReduceL1" if order == 1 else "ReduceL2")(net, call)


def cumulate(net: Net, call: Call) -> None:
    """A running sum along an axis."""
    data = net.cast(call, net.tensor(call), net.dtype(net.output(call)), "input")
    net.emit(call, "CumSum", [data, net.whole(call, "axis", [net.axis(call, "dim", len(net.shape(data)))])])
