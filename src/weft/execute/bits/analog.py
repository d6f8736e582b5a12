"""An analog in-memory array: ternary weights, row groups that are converted one by one, floor and clip throughout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from weft.execute.bits.noise import Noise
from weft.execute.bits.window import Array, Pads, windows

ROWS = 1152
"""Rows of DIANA's array."""

MOST = 63
"""Inputs and outputs are sign and six bits."""

ADC = (-32, 31)
"""Codes of the converters."""

SCALE = (-128, 127)
"""What batch normalisation may multiply by and add."""


@dataclass(frozen=True, eq=False)
class AnalogConv:
    """A convolution as the array does it.

    Args:
        weights: [K, C, FY, FX], of -1, 0, 1.
        div:     what sums are divided by before they are converted; a whole number, at least 1.
        mul, add: [K]: what a channel's converted sums are multiplied by, and what is added.
        n:       bits that are shifted out then.
        relu:    whether the output is at least 0.
        shift:   bits that are shifted out of the input first (a tensor that a digital core reads, too, has 8).
        rows:    of the array.
    """

    weights: Array
    div: int
    mul: Array
    add: Array
    n: int
    relu: bool = True
    shift: int = 0
    strides: tuple[int, int] = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    rows: int = ROWS

    def __post_init__(self) -> None:
        if not np.isin(self.weights, (-1, 0, 1)).all():
            raise ValueError("weights must be -1, 0 or 1")
        if self.div < 1 or self.n < 0 or self.shift < 0:
            raise ValueError(f"div must be at least 1, n and shift at least 0, not {self.div}, {self.n}, {self.shift}")
        _check_scales(self.mul, self.add)
        if self.group < 1:
            height, width = self.weights.shape[2:]
            raise ValueError(f"a {height}x{width} kernel must fit in the array's {self.rows} rows")

    @property
    def group(self) -> int:
        """Channels whose windows lie in the array's rows together."""
        return int(self.rows // (self.weights.shape[2] * self.weights.shape[3]))

    def groups(self) -> Iterator[tuple[int, int]]:
        """Channels of each row group: as many as fit, the rest in the last. Tiling has no say in it."""
        channels = self.weights.shape[1]
        for start in range(0, channels, self.group):
            yield start, min(channels, start + self.group)


def analog_conv(x: Array, layer: AnalogConv, noise: Noise | None = None, name: str = "") -> Array:
    """What the array makes of [batch, C, height, width] int8: [batch, K, rows, columns], int8.

    Each group's sums are exact; divided, rounded down and clipped to the converter's codes; then added up, scaled,
    shifted and clipped.

    Args:    noise: of the device, before conversion; none by default.   name: of the op, by which noise is drawn.
    """
    codes = np.clip(x.astype(np.int32) >> layer.shift, -MOST, MOST)
    kernel = (layer.weights.shape[2], layer.weights.shape[3])
    seen = windows(codes, kernel, layer.strides, layer.pads)
    total = np.zeros((*seen.shape[:3], len(layer.weights)), np.int32)
    for number, (start, stop) in enumerate(layer.groups()):
        # at most 63 x 1152: exact in float32
        inputs = seen[:, :, :, start:stop].reshape(*seen.shape[:3], -1).astype(np.float32)
        cells = layer.weights[:, start:stop].reshape(len(layer.weights), -1).astype(np.float32)
        sums = inputs @ cells.T
        if noise is None:
            code = np.floor_divide(sums.astype(np.int64), layer.div)
        else:
            code = np.floor(noise.of(sums.astype(np.float64) / layer.div, name, number)).astype(np.int64)
        total += np.clip(code, *ADC).astype(np.int32)
    low = 0 if layer.relu else -MOST
    scaled = total.astype(np.int64) * layer.mul.astype(np.int64) + layer.add.astype(np.int64)
    made: Array = np.clip(scaled >> layer.n, low, MOST).astype(np.int8).transpose(0, 3, 1, 2)
    return made


def analog_add(a: Array, b: Array, mul_a: Array, mul_b: Array, add: Array, n: int, relu: bool = True) -> Array:
    """A residual, the step after a convolution without ReLU: clip((a mul_a + b mul_b + add) >> n), int8.

    Args:    a, b: [batch, K, rows, columns].   mul_a, mul_b, add: [K].
    """
    _check_scales(np.concatenate([mul_a, mul_b]), add)
    wide = [item.astype(np.int64)[:, None, None] for item in (mul_a, mul_b, add)]
    total = a.astype(np.int64) * wide[0] + b.astype(np.int64) * wide[1] + wide[2]
    made: Array = np.clip(total >> n, 0 if relu else -MOST, MOST).astype(np.int8)
    return made


def _check_scales(*scales: Array) -> None:
    for scale in scales:
        if scale.size and not (SCALE[0] <= scale.min() and scale.max() <= SCALE[1]):
            raise ValueError(f"mul and add must be from {SCALE[0]} to {SCALE[1]}, not {scale.min()} to {scale.max()}")
