"""Layers of an analog and a digital array told by loops over Python integers; layers at random; and their mutants."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from weft.execute.bits import AnalogConv, DigitalConv

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Rules:
    """How the loops do what may be done otherwise; each other way is a mistake that must show."""

    rounding: Callable[[int, int], int] = lambda value, by: value // by
    balanced: bool = False
    stages: bool = True
    least_input: int = -63


TRUE = Rules()


def nearest(value: int, by: int) -> int:
    """Rounded half up instead of down."""
    return (2 * value + by) // (2 * by)


def told_analog(x: Array, layer: AnalogConv, rules: Rules = TRUE) -> Array:
    """The analog convolution, one multiplication after another."""
    outputs, channels, height, width = layer.weights.shape
    fit = layer.rows // (height * width)
    count = -(-channels // fit)
    if rules.balanced:
        edges = [channels * number // count for number in range(count + 1)]
    else:
        edges = [min(channels, fit * number) for number in range(count + 1)]
    if not rules.stages:
        edges = [0, channels]
    rows, columns = _places(x, layer)
    made = np.zeros((len(x), outputs, rows, columns), np.int64)
    for b, k, oy, ox in np.ndindex(made.shape):
        total = 0
        for start, stop in itertools.pairwise(edges):
            acc = 0
            for c in range(start, stop):
                for fy in range(height):
                    for fx in range(width):
                        value = _at(
                            x,
                            b,
                            c,
                            oy * layer.strides[0] + fy - layer.pads[0],
                            ox * layer.strides[1] + fx - layer.pads[1],
                        )
                        code = max(rules.least_input, min(63, value // 2**layer.shift))
                        acc += code * int(layer.weights[k, c, fy, fx])
            total += max(-32, min(31, rules.rounding(acc, layer.div)))
        scaled = rules.rounding(total * int(layer.mul[k]) + int(layer.add[k]), 2**layer.n)
        made[b, k, oy, ox] = max(0 if layer.relu else -63, min(63, scaled))
    return made


def told_digital(x: Array, layer: DigitalConv, rounding: Callable[[int, int], int] = TRUE.rounding) -> Array:
    """The digital convolution likewise."""
    outputs, channels, height, width = layer.weights.shape
    rows, columns = _places(x, layer)
    made = np.zeros((len(x), outputs, rows, columns), np.int64)
    for b, k, oy, ox in np.ndindex(made.shape):
        first = k // (outputs // layer.groups) * channels
        acc = int(layer.bias[k])
        for c in range(channels):
            for fy in range(height):
                for fx in range(width):
                    y, z = oy * layer.strides[0] + fy - layer.pads[0], ox * layer.strides[1] + fx - layer.pads[1]
                    acc += _at(x, b, first + c, y, z) * int(layer.weights[k, c, fy, fx])
        made[b, k, oy, ox] = max(0 if layer.relu else -128, min(127, rounding(acc, 2**layer.shift)))
    return made


def _at(x: Array, b: int, c: int, y: int, z: int) -> int:
    return int(x[b, c, y, z]) if 0 <= y < x.shape[2] and 0 <= z < x.shape[3] else 0


def _places(x: Array, layer: AnalogConv | DigitalConv) -> tuple[int, int]:
    top, left, bottom, right = layer.pads
    height, width = layer.weights.shape[2:]
    return (
        (x.shape[2] + top + bottom - height) // layer.strides[0] + 1,
        (x.shape[3] + left + right - width) // layer.strides[1] + 1,
    )


# -- at random ---------------------------------------------------------------------------------------------------------


def _shape(
    rng: random.Random, long: bool
) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int], dict[str, Any]]:
    kernel = rng.choice([(1, 1), (3, 3), (3, 3), (5, 5), (1, 3), (7, 5)])
    per_group = 1152 // (kernel[0] * kernel[1])
    channels = rng.choice([per_group, per_group + 1, 2 * per_group - 1]) if long else rng.randrange(1, 9)
    side = [kernel[at] + rng.randrange(3) for at in (0, 1)]
    pads = tuple(rng.randrange(2) for _ in range(4))
    return (
        (1 if long else rng.choice((1, 2)), channels, *side),
        (rng.randrange(1, 4), channels, *kernel),
        {"strides": (rng.choice((1, 2)), rng.choice((1, 2))), "pads": pads},
    )


def random_analog(rng: random.Random, long: bool) -> tuple[Array, AnalogConv]:
    """Inputs and a layer; `long`: of more rows than the array has, or just as many."""
    gen = np.random.default_rng(rng.randrange(2**32))
    image, kernel, given = _shape(rng, long)
    shift = rng.choice((0, 0, 1))
    x = gen.integers(-128, 128, image, np.int8)
    weights = gen.integers(-1, 2, kernel).astype(np.int8)
    typical = max(1, int(40 * np.sqrt(weights[0].size) / 24))
    layer = AnalogConv(
        weights,
        rng.randrange(1, 2 * typical + 1),
        gen.integers(-128, 128, kernel[0]),
        gen.integers(-128, 128, kernel[0]),
        rng.randrange(9),
        rng.random() < 0.5,
        shift,
        **given,
    )
    return x, layer


def random_digital(rng: random.Random, long: bool) -> tuple[Array, DigitalConv]:
    """Inputs and a layer, in groups now and then."""
    gen = np.random.default_rng(rng.randrange(2**32))
    image, kernel, given = _shape(rng, long)
    groups = rng.choice([n for n in (1, 1, 2, 3) if image[1] % n == 0])
    outputs = kernel[0] * groups
    weights = gen.integers(-128, 128, (outputs, kernel[1] // groups, *kernel[2:]), np.int8)
    layer = DigitalConv(
        weights,
        gen.integers(-(2**14), 2**14, outputs).astype(np.int32),
        rng.randrange(14),
        rng.random() < 0.5,
        groups=groups,
        **given,
    )
    return gen.integers(-128, 128, image, np.int8), layer
