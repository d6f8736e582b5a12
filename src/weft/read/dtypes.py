"""Element types by name: their widths, and what they say of a tensor's elements."""

from __future__ import annotations

from itertools import takewhile

from weft.model.tensor_type import TensorType


def dtype_bits(dtype: str) -> int:
    """Bits per element as stored: a boolean takes a byte, a four-bit integer four bits.

    >>> dtype_bits("float32"), dtype_bits("int4"), dtype_bits("bool"), dtype_bits("float8e4m3fn")
    (32, 4, 8, 8)
    """
    if dtype == "bool":
        return 8
    return int("".join(takewhile(str.isdigit, dtype.lstrip("abcdefghijklmnopqrstuvwxyz"))))


def type_of(dtype: str) -> TensorType:
    """What a type's name says.

    >>> print(type_of("uint8"), type_of("bfloat16"), type_of("bool"), type_of("float8e8m0"))
    uint8 float16 bool8 float8
    """
    bits = dtype_bits(dtype)
    if dtype == "bool":
        return TensorType("bool", bits)
    if "int" in dtype:
        return TensorType("int", bits, signed=not dtype.startswith("u"))
    return TensorType("float", bits)
