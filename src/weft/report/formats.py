"""What the numbers of a network are, in words: the elements of each operand of an op, and of all tensors together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from weft.model.workload import Op, Tensor, Workload
from weft.read.dtypes import dtype_bits, type_of


def element(tensor: Tensor) -> str:
    """The elements of a tensor as they are priced: "int8", or "8" where a float's width is assumed or set.

    >>> element(Tensor("x", (2,), 32, "input")), element(Tensor("x", (2,), 8, "input"))
    ('float32', '8')
    """
    type_ = tensor.type
    if type_ is None and tensor.bits == dtype_bits(tensor.dtype):
        return tensor.dtype
    if type_ is None or type_.bits != tensor.bits:
        return str(tensor.bits)
    return str(replace(type_, narrow=False, scaled=False, axis=None, block=0, zero_point=False))


def operand_words(op: Op, tensors: Mapping[str, Tensor]) -> str:
    """Each operand of an op with its elements, as short as a table needs: "I:i8 W:u4 O:i8", "8" for a float's width."""
    return " ".join(f"{item.name}:{_short(element(tensors[item.tensor]))}" for item in op.operands)


def _short(text: str) -> str:
    """A type's name with a letter for its kind.

    >>> _short("uint4"), _short("int8"), _short("bfloat16"), _short("bool8"), _short("8")
    ('u4', 'i8', 'bf16', 'b8', '8')
    """
    for word, letter in (("uint", "u"), ("int", "i"), ("float", "f"), ("bool", "b")):
        text = text.replace(word, letter, 1)
    return text


@dataclass(frozen=True, slots=True)
class FormatRow:
    """Tensors of one role and one format: how many, their elements, their bits."""

    role: str
    format: str
    tensors: int
    elements: int
    size_bits: int


def formats(workload: Workload) -> tuple[FormatRow, ...]:
    """All tensors that ops read or write by role and format, views left out."""
    views = {view.tensor for view in workload.views}
    groups: dict[tuple[str, str], list[Tensor]] = {}
    for tensor in workload.tensors:
        if tensor.name not in views:
            text = element(tensor)
            if tensor.type is not None and tensor.type.bits == tensor.bits:
                text = str(tensor.type)
            elif text.isdigit():
                text = f"{tensor.type or type_of(tensor.dtype)} in {text} bit"
            groups.setdefault((tensor.role, text), []).append(tensor)
    order = ("input", "weight", "intermediate", "output")
    rows = [
        FormatRow(role, text, len(held), sum(t.elements for t in held), sum(t.size_bits for t in held))
        for (role, text), held in groups.items()
    ]
    return tuple(sorted(rows, key=lambda row: (order.index(row.role), -row.elements, row.format)))
