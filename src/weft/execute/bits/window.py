"""Convolutions as matrix products: every output position's window as a row."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Pads = tuple[int, int, int, int]
"""Top, left, bottom, right."""


def windows(x: Array, kernel: tuple[int, int], strides: tuple[int, int], pads: Pads) -> Array:
    """[batch, rows, columns, channels, FY, FX]: what each output position sees; 0 outside the image.

    Args:    x: [batch, channels, height, width].
    """
    top, left, bottom, right = pads
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    seen = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(2, 3))
    return seen[:, :, :: strides[0], :: strides[1]].transpose(0, 2, 3, 1, 4, 5)
