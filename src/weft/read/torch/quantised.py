"""Quantised programs as QuantizeLinear and DequantizeLinear, with a Clip where the range is narrower."""

from __future__ import annotations

import numpy as np

from weft.read.torch.net import Net
from weft.read.torch.program import Call, Meta


def quantize(net: Net, call: Call) -> None:
    """quantize_per_tensor and quantize_per_channel."""
    out = net.meta(net.output(call))
    inputs = [net.tensor(call, "input"), *_scales(net, call, out.dtype)]
    if _whole_range(net, call, out.dtype):
        net.emit(call, "QuantizeLinear", inputs, **_axis(net, call))
    else:
        made = net.part(call, "quantized", "QuantizeLinear", inputs, out, **_axis(net, call))
        net.emit(call, "Clip", [made, *_bounds(net, call, out.dtype)])


def dequantize(net: Net, call: Call) -> None:
    """dequantize_per_tensor and dequantize_per_channel."""
    data = net.tensor(call, "input")
    meta = net.meta(data)
    if not _whole_range(net, call, meta.dtype):
        data = net.part(call, "range", "Clip", [data, *_bounds(net, call, meta.dtype)], Meta(meta.shape, meta.dtype))
    net.emit(call, "DequantizeLinear", [data, *_scales(net, call, meta.dtype)], **_axis(net, call))


def _scales(net: Net, call: Call, dtype: str) -> tuple[str, str]:
    """Scale and zero point: numbers, or tensors with one for each position along an axis."""
    if "scales" not in call.arguments and not net.has(call, "scale"):
        scale = net.scalar(call, "scale", net.number(call, "scale"), "float32")
        return scale, net.scalar(call, "zero", net.integer(call, "zero_point"), dtype)
    name = "scales" if "scales" in call.arguments else "scale"
    zero = net.optional(call, "zero_points" if name == "scales" else "zero_point")
    scale = net.cast(call, net.tensor(call, name), "float32", "scale")
    return scale, net.cast(call, zero, dtype, "zero") if zero else net.constant(
        call, "zero", np.zeros(net.shape(scale), np.dtype(dtype)), dtype
    )


def _axis(net: Net, call: Call) -> dict[str, int]:
    return {"axis": net.integer(call, "axis")} if "axis" in call.arguments else {}


def _whole_range(net: Net, call: Call, dtype: str) -> bool:
    limits = np.iinfo(np.dtype(dtype))
    stated = net.integer(call, "quant_min", int(limits.min)), net.integer(call, "quant_max", int(limits.max))
    return stated[0] <= limits.min and stated[1] >= limits.max


def _bounds(net: Net, call: Call, dtype: str) -> list[str]:
    return [net.scalar(call, name, net.integer(call, name), dtype) for name in ("quant_min", "quant_max")]
