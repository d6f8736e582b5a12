"""A digital array of bytes: sums in 32 bits, a bias, an arithmetic shift, a clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from weft.execute.bits.window import Array, Pads, windows

MOST_SHIFT = 31


@dataclass(frozen=True, eq=False)
class DigitalConv:
    """A convolution, or with windows of one element a matrix product.

    Args:
        weights: [K, C / groups, FY, FX], int8.     bias: [K], int32.
        shift:   bits that are shifted out of a sum, 0 to 31.
        relu:    whether the output is at least 0.
    """

    weights: Array
    bias: Array
    shift: int
    relu: bool = True
    strides: tuple[int, int] = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    groups: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.shift <= MOST_SHIFT:
            raise ValueError(f"shift must be from 0 to {MOST_SHIFT}, not {self.shift}")
        if len(self.weights) % self.groups:
            raise ValueError(f"{len(self.weights)} output channels must be a multiple of {self.groups} groups")


def digital_conv(x: Array, layer: DigitalConv) -> Array:
    """What the array makes of [batch, C, height, width] int8: [batch, K, rows, columns], int8.

    Errors: OverflowError where a sum with its bias does not fit in 32 bits: the array would wrap around.
    """
    kernel = (layer.weights.shape[2], layer.weights.shape[3])
    seen = windows(x, kernel, layer.strides, layer.pads).astype(np.float64)
    channels, outputs = layer.weights.shape[1], len(layer.weights) // layer.groups
    sums = []
    for group in range(layer.groups):
        inputs = seen[:, :, :, group * channels : (group + 1) * channels].reshape(*seen.shape[:3], -1)
        cells = layer.weights[group * outputs : (group + 1) * outputs].reshape(outputs, -1)
        sums.append(inputs @ cells.astype(np.float64).T)  # below 2^53: exact
    total = np.concatenate(sums, axis=-1).astype(np.int64) + layer.bias.astype(np.int64)
    return _out(_in_32_bits(total).transpose(0, 3, 1, 2), layer.shift, layer.relu)


def digital_add(a: Array, b: Array, shift: int, relu: bool = True) -> Array:
    """clip((a + b) >> shift), int8: both operands are on one scale."""
    return _out(a.astype(np.int64) + b.astype(np.int64), shift, relu)


def digital_average(x: Array) -> Array:
    """[batch, C, 1, 1]: the mean of each channel, rounded down."""
    mean: Array = x.astype(np.int64).sum(axis=(2, 3), keepdims=True) // (x.shape[2] * x.shape[3])
    return mean.astype(np.int8)


def _in_32_bits(total: Array) -> Array:
    limits = np.iinfo(np.int32)
    if total.size and (total.min() < limits.min or total.max() > limits.max):
        raise OverflowError(f"a sum must fit in 32 bits, not {int(np.abs(total).max()):,}; make the layer smaller")
    return total


def _out(total: Array, shift: int, relu: bool) -> Array:
    made: Array = np.clip(total >> shift, 0 if relu else -128, 127).astype(np.int8)
    return made
