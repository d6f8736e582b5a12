"""Bits per element as priced: a float model takes the chip's precision, a quantised tensor keeps its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from weft.model.chip import Precision
from weft.model.workload import Slot, Tensor, Workload
from weft.read.dtypes import dtype_bits

_FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})


def assume_precision(workload: Workload, precision: Precision) -> tuple[Workload, str | None]:
    """The workload with its float tensors priced at the chip's precision.

    Weights take `weight_bits`; graph inputs, and views of them, `input_bits`; all that ops write `output_bits`.
    Tensors of integers or of narrow floats (float8, float4), and those whose width the model states, keep their bits;
    a view has the bits of what it shows.

    Returns: the workload, and what was assumed in words ("8-bit I, W, O (the model is float32)"); None where
             every tensor is quantised.
    """
    own = {tensor.name: tensor for tensor in workload.tensors}
    source = {view.tensor: view.source for view in workload.views}
    bits: dict[Slot, int] = {"I": precision.input_bits, "W": precision.weight_bits, "O": precision.output_bits}
    assumed: dict[Slot, set[str]] = {"I": set(), "W": set(), "O": set()}
    kept: dict[Slot, set[str]] = {"I": set(), "W": set(), "O": set()}
    tensors: list[Tensor] = []
    for tensor in workload.tensors:
        shown = tensor
        while shown.name in source:
            shown = own[source[shown.name]]
        letter: Slot = "W" if shown.role == "weight" else "I" if shown.role == "input" else "O"
        stated = shown.bits != dtype_bits(shown.dtype)
        quantised = stated or shown.type is not None or shown.dtype not in _FLOATS
        (kept if quantised else assumed)[letter].add(_given(shown, stated))
        tensors.append(replace(tensor, bits=shown.bits if quantised else bits[letter]))
    if not any(assumed.values()):
        return workload, None
    return replace(workload, tensors=tuple(tensors)), _words(bits, assumed, kept)


def _given(tensor: Tensor, stated: bool) -> str:
    """How a model gives a tensor: "int4", "float32", or "6-bit" where only a width is stated."""
    if tensor.type is not None and tensor.type.bits == tensor.bits:
        return str(replace(tensor.type, scaled=False, axis=None, block=0, zero_point=False, narrow=False))
    return f"{tensor.bits}-bit" if stated else tensor.dtype


def _words(bits: Mapping[Slot, int], assumed: Mapping[Slot, set[str]], kept: Mapping[Slot, set[str]]) -> str:
    """What was assumed and what the model gave: "8-bit I, 4-bit W, 8-bit O (the model is float32)"."""
    letters = [letter for letter in bits if assumed[letter]]
    if len({bits[letter] for letter in letters}) == 1:
        text = f"{bits[letters[0]]}-bit {', '.join(letters)}"
    else:
        text = ", ".join(f"{bits[letter]}-bit {letter}" for letter in letters)
    floats = sorted(set().union(*assumed.values()))
    text += f" (the model is {', '.join(floats)}"
    own = [f"{', '.join(sorted(kept[letter]))} {letter}" for letter in bits if kept[letter]]
    return text + (f"; its {' and '.join(own)} kept as given)" if own else ")")
