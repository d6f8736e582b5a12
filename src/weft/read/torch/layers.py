"""Convolutions, pools, resizing, normalisations and softmax of aten as ONNX nodes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.read.torch.net import Net, dtype_of
from weft.read.torch.program import Call


def _spatial(net: Net, call: Call, op_type: str, inputs: Sequence[str], rank: int, **attributes: Any) -> None:
    """A node over images of `rank` axes; an image without a batch axis gets one and loses it again."""
    shape = net.shape(inputs[0])
    if len(shape) == rank + 1:
        inputs = [net.reshaped(call, inputs[0], (1, *shape), "input"), *inputs[1:]]
        net.shaped(call, op_type, inputs, (1, *net.shape(net.output(call))), **attributes)
    else:
        net.emit(call, op_type, inputs, **attributes)


def conv(net: Net, call: Call) -> None:
    """conv1d to conv3d, their transposes, and aten.convolution, which is either.

    Padding "same" has the odd element at the end.
    """
    transposed = "transpose" in call.op or net.flag(call, "transposed")
    weight = net.tensor(call, "weight")
    kernel = net.shape(weight)[2:]
    rank = len(kernel)
    dilations = net.ints(call, "dilation", (1,), rank)
    if net.given(call, "padding") in ("same", "valid"):
        same = net.given(call, "padding") == "same"
        total = [d * (k - 1) if same else 0 for d, k in zip(dilations, kernel, strict=True)]
        begins, ends = [n // 2 for n in total], [n - n // 2 for n in total]
    else:
        begins = ends = list(net.ints(call, "padding", (0,), rank))
    more = {"output_padding": net.ints(call, "output_padding", (0,), rank)} if transposed else {}
    _spatial(
        net,
        call,
        "ConvTranspose" if transposed else "Conv",
        [net.tensor(call, "input"), weight, net.optional(call, "bias")],
        rank,
        kernel_shape=kernel,
        strides=net.ints(call, "stride", (1,), rank),
        dilations=dilations,
        pads=[*begins, *ends],
        group=net.integer(call, "groups", 1),
        **more,
    )


def pool(net: Net, call: Call) -> None:
    """max_pool and avg_pool, 1 to 3 axes; the stride is the kernel's size where none is given."""
    rank = _rank(call)
    kernel = net.ints(call, "kernel_size", count=rank)
    pads = net.ints(call, "padding", (0,), rank)
    attributes: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": net.ints(call, "stride", (), rank) or kernel,
        "pads": [*pads, *pads],
        "ceil_mode": int(net.flag(call, "ceil_mode")),
    }
    if ".max_pool" in call.op:
        attributes["dilations"] = net.ints(call, "dilation", (1,), rank)
    else:
        attributes["count_include_pad"] = int(net.flag(call, "count_include_pad", True))
    op_type = "MaxPool" if ".max_pool" in call.op else "AveragePool"
    _spatial(net, call, op_type, [net.tensor(call)], rank, **attributes)


def adaptive_pool(net: Net, call: Call) -> None:
    """Adaptive pools whose windows are all alike: of one output, or where the output's size divides the input's."""
    rank = _rank(call)
    data = net.tensor(call)
    sizes, outs = net.shape(data)[-rank:], net.shape(net.output(call))[-rank:]
    kind = "Max" if "max" in call.op else "Average"
    if all(out == 1 for out in outs):
        _spatial(net, call, f"Global{kind}Pool", [data], rank)
        return
    if any(size % out for size, out in zip(sizes, outs, strict=True)):
        raise net.refuse(
            call,
            f"an adaptive pool must have an output size that divides its input's, not {list(outs)} of {list(sizes)}",
            "use a pool with a kernel size, or Resize in front of it",
        )
    kernel = [size // out for size, out in zip(sizes, outs, strict=True)]
    _spatial(net, call, f"{kind}Pool", [data], rank, kernel_shape=kernel, strides=kernel)


def _rank(call: Call) -> int:
    """Spatial axes that an operator's name states."""
    return next((n for n in (1, 2, 3) if f"{n}d" in call.op), 2)


def upsample(net: Net, call: Call) -> None:
    """upsample_*: a Resize to the size of the output."""
    data = net.data(call)
    mode = "nearest" if "nearest" in call.op else "cubic" if "bicubic" in call.op else "linear"
    exact = "exact" in call.op
    corners = "align_corners" if net.flag(call, "align_corners") else "half_pixel"
    aligned = "asymmetric" if mode == "nearest" and not exact else corners
    sizes = net.whole(call, "sizes", net.shape(net.output(call)))
    attributes: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": aligned}
    if mode == "nearest":
        attributes["nearest_mode"] = "round_prefer_ceil" if exact else "floor"
    net.emit(call, "Resize", [data, "", "", sizes], **attributes)


def batch_norm(net: Net, call: Call) -> None:
    """Batch normalisation with stored statistics; with those of one sample it is instance normalisation."""
    data = net.tensor(call, "input")
    channels = (net.shape(data)[1],) if len(net.shape(data)) > 1 else (1,)
    if net.flag(call, "training"):
        if net.shape(data)[0] != 1:
            raise net.refuse(
                call, "batch normalisation must use stored statistics, not the batch's", "call eval() before exporting"
            )
        instance_norm(net, call)
        return
    dtype = net.dtype(data)
    inputs = [
        net.optional(call, name) or net.constant(call, name, np.full(channels, value, np.float32), dtype)
        for name, value in (("weight", 1), ("bias", 0), ("running_mean", 0), ("running_var", 1))
    ]
    net.emit(call, "BatchNormalization", [data, *inputs], epsilon=net.number(call, "eps", 1e-5))


def instance_norm(net: Net, call: Call) -> None:
    """Normalisation of each channel of each sample by its own statistics."""
    data, weight, bias = (net.tensor(call, "input"), net.optional(call, "weight"), net.optional(call, "bias"))
    if net.has(call, "running_mean") and not net.flag(call, "use_input_stats", True):
        batch_norm(net, call)
    elif weight and bias:
        net.emit(call, "InstanceNormalization", [data, weight, bias], epsilon=net.number(call, "eps", 1e-5))
    else:
        net.emit(call, "MeanVarianceNormalization", [data], axes=list(range(2, len(net.shape(data)))))


def layer_norm(net: Net, call: Call) -> None:
    """Normalisation over the last axes, with or without scale and shift."""
    data, weight, bias = (net.tensor(call, "input"), net.optional(call, "weight"), net.optional(call, "bias"))
    rank, count = len(net.shape(data)), len(net.ints(call, "normalized_shape"))
    if weight:
        epsilon = net.number(call, "eps", 1e-5)
        net.emit(call, "LayerNormalization", [data, weight, bias], axis=rank - count, epsilon=epsilon)
    else:
        net.emit(call, "MeanVarianceNormalization", [data], axes=list(range(rank - count, rank)))


def group_norm(net: Net, call: Call) -> None:
    """Normalisation over groups of channels; without scale and shift, of an image whose channels are the groups."""
    data, weight, bias = (net.tensor(call, "input"), net.optional(call, "weight"), net.optional(call, "bias"))
    groups = net.integer(call, "num_groups" if "num_groups" in call.arguments else "group")
    if weight and bias:
        epsilon = net.number(call, "eps", 1e-5)
        net.emit(call, "GroupNormalization", [data, weight, bias], num_groups=groups, epsilon=epsilon)
        return
    shape = net.shape(data)
    grouped = net.reshaped(call, data, (shape[0], groups, math.prod(shape[1:]) // groups), "groups")
    net.shaped(call, "MeanVarianceNormalization", [grouped], net.shape(grouped), axes=[2])


def rms_norm(net: Net, call: Call) -> None:
    """Root-mean-square normalisation over the last axes."""
    data = net.tensor(call, "input")
    rank, count = len(net.shape(data)), len(net.ints(call, "normalized_shape"))
    weight = net.optional(call, "weight") or net.scalar(call, "weight", 1, net.dtype(data))
    # PyTorch's default is the type's own epsilon: the one of float32 here
    epsilon = net.number(call, "eps", float(np.finfo(np.float32).eps))
    net.emit(call, "RMSNormalization", [data, weight], axis=rank - count, epsilon=epsilon)


def softmax(net: Net, call: Call) -> None:
    """softmax and log_softmax, in the type that they compute in."""
    data = net.tensor(call)
    wanted = dtype_of(net.given(call, "dtype")) or net.dtype(net.output(call))
    source = net.cast(call, data, wanted, "input")
    op_type = "LogSoftmax" if "log_softmax" in call.op else "Softmax"
    net.emit(call, op_type, [source], axis=net.axis(call, "dim", len(net.shape(data))))


def dropout(net: Net, call: Call) -> None:
    """Dropout, which does nothing at inference."""
    if net.flag(call, "train") or net.flag(call, "training"):
        raise net.refuse(call, "dropout must be off", "call eval() before exporting")
    net.emit(call, "Dropout", [net.data(call)])
