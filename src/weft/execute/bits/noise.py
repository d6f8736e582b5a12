"""Noise of an analog array, drawn by what it belongs to: the same device and op have the same, however they are cut."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from weft.execute.bits.window import Array

Words = np.ndarray[Any, np.dtype[np.uint64]]

GOLDEN, FIRST, SECOND = (np.uint64(word) for word in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
"""Of the generator SplitMix64 (Steele, Lea, Flood 2014)."""


@dataclass(frozen=True, slots=True)
class Noise:
    """Deviations before conversion, in steps of the converter.

    Args:
        device:  seed of the array: gains and offsets of its columns are the same in every op.
        seed:    of a run: what is added anew at every conversion.
        added:   standard deviation of what is added.     gain, offset: of the columns' gains (around 1) and offsets.
    """

    device: int = 0
    seed: int = 0
    added: float = 0.0
    gain: float = 0.0
    offset: float = 0.0

    def of(self, codes: Array, name: str, group: int, first: tuple[int, int, int, int] = (0, 0, 0, 0)) -> Array:
        """Codes [batch, rows, columns, K] before they are rounded, with noise; an array column is an output channel.

        Draws are keyed by (seed, op, position, column, group), so a part of an op has the noise it has in the whole.

        Args:    first: the whole op's index of the first code.
        """
        column = np.arange(first[3], first[3] + codes.shape[3], dtype=np.uint64)
        made = codes
        if self.gain or self.offset:
            gains, offsets = (_normal(_key(self.device, what), column) for what in ("gain", "offset"))
            made = made * (1 + self.gain * gains) + self.offset * offsets
        if self.added:
            word = np.zeros(codes.shape, np.uint64)
            for axis, (start, size) in enumerate(zip(first, codes.shape, strict=True)):
                index = np.arange(start, start + size, dtype=np.uint64)
                word = _mixed(word + index.reshape([-1 if axis == at else 1 for at in range(4)]))
            made = made + self.added * _normal(_key(self.seed, name, group), word)
        return made


def _key(*parts: object) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "little"))


def _mixed(word: Words) -> Words:
    word = word + GOLDEN
    word = (word ^ (word >> np.uint64(30))) * FIRST
    word = (word ^ (word >> np.uint64(27))) * SECOND
    mixed: Words = word ^ (word >> np.uint64(31))
    return mixed


def _normal(key: np.uint64, word: Words) -> Array:
    """Standard normal numbers, one for each word."""
    first = _mixed(word ^ key)
    radius = np.sqrt(-2 * np.log(((first >> np.uint64(11)).astype(np.float64) + 1) / 2**53))
    drawn: Array = radius * np.cos(2 * np.pi * (_mixed(first) >> np.uint64(11)).astype(np.float64) / 2**53)
    return drawn
