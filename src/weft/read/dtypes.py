"""Widths of element types by name."""

from __future__ import annotations

from itertools import takewhile


def dtype_bits(dtype: str) -> int:
    """Bits per element as stored: a boolean takes a byte, a four-bit integer four bits.

    >>> dtype_bits("float32"), dtype_bits("int4"), dtype_bits("bool"), dtype_bits("float8e4m3fn")
    (32, 4, 8, 8)
    """
    if dtype == "bool":
        return 8
    return int("".join(takewhile(str.isdigit, dtype.lstrip("abcdefghijklmnopqrstuvwxyz"))))
