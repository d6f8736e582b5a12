"""Element formats: their text parses back, and what cannot be is refused."""

from __future__ import annotations

from itertools import product

import pytest

from weft.model.tensor_type import TensorType, parse_tensor_type

WIDTHS = (1, 2, 4, 7, 8, 16, 32, 64)


def every():
    """Formats of every kind, width and granularity."""
    for kind, bits, signed, zero in product(("int", "float", "bool"), WIDTHS, (True, False), (True, False)):
        if kind != "int" and not signed:
            continue
        narrows = (True, False) if kind == "int" and signed else (False,)
        for narrow in narrows:
            if not zero:
                yield TensorType(kind, bits, signed, narrow)
            for axis, block in ((None, 0), (0, 0), (3, 0), (1, 32)):
                yield TensorType(kind, bits, signed, narrow, True, axis, block, zero)


def test_every_format_reads_back_from_its_text():
    made = list(every())
    assert len({str(item) for item in made}) == len(made) > 300
    for item in made:
        assert parse_tensor_type(str(item)) == item


@pytest.mark.parametrize("text", ["", "int", "int8 per", "int8 per axis", "uint4 block 32", "u8", "int8  per tensor"])
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match="an element type must read like 'uint4 block 32 along 1', not "):
        parse_tensor_type(text)


@pytest.mark.parametrize("bits", [0, -1, 33, 63, 65])
def test_widths_beyond_32_bits_but_64_are_refused(bits):
    with pytest.raises(ValueError, match="an element must have 1 to 32 bits, or 64, not"):
        TensorType("int", bits)


def test_blocks_lie_along_an_axis_and_only_scaled_numbers_have_one():
    with pytest.raises(ValueError, match="a block must be positive and lie along an axis"):
        TensorType("int", 8, scaled=True, block=4)
    with pytest.raises(ValueError, match="only a scaled type has an axis or a zero point"):
        TensorType("int", 8, axis=1)
