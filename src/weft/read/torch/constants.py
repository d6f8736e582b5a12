"""Tensors that aten makes from nothing (zeros, full, arange) as ONNX initializers."""

from __future__ import annotations

import math

import numpy as np

from weft.read.torch.net import Build, Net, numpy_type
from weft.read.torch.program import Call

_LIMIT = 1 << 20
"""Elements up to which values are made."""


def filled(value: float | None = None, argument: str = "fill_value") -> Build:
    """A builder of a constant that holds one number everywhere: `value`, or what `argument` says."""

    def build(net: Net, call: Call) -> None:
        number = net.number(call, argument) if value is None else value
        meta = net.meta(net.output(call))
        many = math.prod(meta.shape) > _LIMIT
        _add(net, call, None if many else np.full(meta.shape, number, dtype=numpy_type(meta.dtype)))

    return build


def counted(net: Net, call: Call) -> None:
    """arange: numbers from start in steps."""
    start, step = net.number(call, "start", 0), net.number(call, "step", 1)
    meta = net.meta(net.output(call))
    many = math.prod(meta.shape) > _LIMIT
    values = None if many else start + step * np.arange(meta.shape[0])
    _add(net, call, None if values is None else values.astype(numpy_type(meta.dtype)))


def _add(net: Net, call: Call, values: np.typing.NDArray[np.generic] | None) -> None:
    out = net.output(call)
    net.initializers[out] = net.tensor_proto(out, values)
    net.note(call, f"{call.op} read as a constant of {list(net.shape(out))}")
