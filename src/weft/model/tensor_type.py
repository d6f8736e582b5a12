"""How the elements of a tensor are written: kind, width, and over what part of the tensor a scale holds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

ElementKind = Literal["int", "float", "bool"]


@dataclass(frozen=True, slots=True)
class TensorType:
    """The element format of a tensor.

    Args:
        kind, bits: 1 to 32 bits, or 64.
        signed:     False for integers from 0 on.   narrow: signed, without its lowest value (-7..7 in 4 bits).
        scaled:     its numbers stand for others by a scale: of the whole tensor, or
        axis:       of each index along this axis, or
        block:      of each run of `block` elements along `axis` (0: not in blocks).
        zero_point: an offset stands beside each scale.
    >>> print(TensorType("int", 8, scaled=True, axis=0))
    int8 per axis 0
    >>> print(TensorType("int", 4, signed=False, scaled=True, axis=1, block=32))
    uint4 block 32 along 1
    """

    kind: ElementKind
    bits: int
    signed: bool = True
    narrow: bool = False
    scaled: bool = False
    axis: int | None = None
    block: int = 0
    zero_point: bool = False

    def __post_init__(self) -> None:
        if not (1 <= self.bits <= 32 or self.bits == 64):
            raise ValueError(f"an element must have 1 to 32 bits, or 64, not {self.bits}")
        if self.block < 0 or (self.block and self.axis is None):
            raise ValueError("a block must be positive and lie along an axis")
        if not self.scaled and (self.axis is not None or self.zero_point):
            raise ValueError("only a scaled type has an axis or a zero point")

    @property
    def quantised(self) -> bool:
        """Whether the network was made for this width: an integer, or a number under a scale."""
        return self.kind == "int" or self.scaled

    def __str__(self) -> str:
        words = [f"{'' if self.signed or self.kind != 'int' else 'u'}{self.kind}{self.bits}"]
        if self.narrow:
            words.append("narrow")
        if self.block:
            words.append(f"block {self.block} along {self.axis}")
        elif self.axis is not None:
            words.append(f"per axis {self.axis}")
        elif self.scaled:
            words.append("per tensor")
        if self.zero_point:
            words.append("with zero point")
        return " ".join(words)


_TEXT = re.compile(
    r"(?P<unsigned>u)?(?P<kind>int|float|bool)(?P<bits>[0-9]+)(?P<narrow> narrow)?"
    r"(?P<scale> per tensor| per axis (?P<axis>[0-9]+)| block (?P<block>[0-9]+) along (?P<along>[0-9]+))?"
    r"(?P<zero> with zero point)?"
)


def parse_tensor_type(text: str) -> TensorType:
    """The type that prints as `text`.

    >>> parse_tensor_type("int4 narrow per axis 0") == TensorType("int", 4, narrow=True, scaled=True, axis=0)
    True
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"an element type must read like 'uint4 block 32 along 1', not '{text}'")
    kind: ElementKind = "int" if match["kind"] == "int" else "float" if match["kind"] == "float" else "bool"
    axis = match["axis"] or match["along"]
    return TensorType(
        kind,
        int(match["bits"]),
        match["unsigned"] is None,
        match["narrow"] is not None,
        match["scale"] is not None,
        None if axis is None else int(axis),
        int(match["block"] or 0),
        match["zero"] is not None,
    )
