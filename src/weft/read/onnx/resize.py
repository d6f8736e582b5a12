"""Resize and Upsample: nearest as a copy, linear and cubic as pools, an axis whole where its map is not affine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from weft.model.workload import Axis, Note, Op, View
from weft.read.onnx.elementwise import loop_dims
from weft.read.onnx.graph import Emitted, Graph, Node, axis, operand, spatial

_TAPS = {"nearest": 1, "linear": 2, "cubic": 4}
"""Elements per axis that an interpolation reads."""

_FIRST = {"linear": -1, "cubic": -3}
"""Where the first tap lies: taps two apart then cover every element that any phase may read, in the right number."""


def resize(graph: Graph, node: Node) -> Emitted:
    """Nearest: a copy. Linear and cubic: a pool of 2 or 4 taps per resized axis.

    A whole-number enlargement is affine (output = factor x OY + SY) where it takes the elements in equal runs. Of any
    other, the axis is read and written whole.
    """
    data, output = node.inputs[0], node.outputs[0]
    shape, result = graph.shape(data), graph.shape(output)
    mode = node.text("mode", "nearest")
    taps_per_axis = _TAPS[mode]
    uneven = _uneven(graph, node, shape, result)
    if shape == result and not uneven:
        note = Note(node.name, f"{node.op_type} read as a view: no data moves")
        return Emitted(views=(View(output, data, "reshape", node.name),), notes=(note,))
    base = [name for name, _ in loop_dims(result)]
    suffixes = ["B", "G", *(name[1:] for name in spatial(max(0, len(shape) - 2), "O"))][: len(shape)]
    dims: list[tuple[str, int]] = []
    phases: list[tuple[str, int]] = []
    taps: list[tuple[str, int]] = []
    read: list[Axis] = []
    written: list[Axis] = []
    barrier: list[str] = []
    for i, (before, after, letter, suffix) in enumerate(zip(shape, result, base, suffixes, strict=True)):
        factor = Fraction(after, before)
        reach: list[tuple[str, int]] = []
        offset = 0
        if taps_per_axis > 1 and (factor != 1 or i in uneven):
            smooth = node.integer("antialias", 0) and factor < 1  # the filter is as wide as what it leaves out
            taps.append((f"F{suffix}", math.ceil(taps_per_axis / factor) if smooth else taps_per_axis))
            reach, offset = [(f"F{suffix}", 2)], _FIRST[mode]
        if factor.denominator == 1 and i not in uneven:
            dims.append((letter, before))
            read.append(axis(before, letter, *reach, offset=offset))
            if factor == 1:
                written.append(axis(after, letter))
            else:
                phases.append((f"S{suffix}", int(factor)))
                barrier.append(f"S{suffix}")
                written.append(axis(after, (letter, int(factor)), f"S{suffix}"))
        else:
            dims.append((letter, after))
            barrier.append(letter)
            stride = -(-(before - 1) // max(1, after - 1)) if before > 1 else 1
            read.append(axis(before, (letter, max(1, stride)), *reach, offset=offset))
            written.append(axis(after, letter))
    op = Op(
        node.name,
        "copy" if mode == "nearest" else "pool",
        node.op_type,
        (*dims, *phases, *taps),
        (operand("I", "I", data, read), operand("O", "O", output, written)),
        barrier=frozenset(barrier),
        nodes=(node.name,),
    )
    return Emitted((op,))


def _uneven(graph: Graph, node: Node, shape: Sequence[int], result: Sequence[int]) -> frozenset[int]:
    """Axes that are no whole-number enlargement position by position, although their sizes may look like one."""
    rank = len(shape)
    where = [i % rank for i in node.ints("axes", tuple(range(rank)))]
    if node.text("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        region = graph.value(node.given(1))
        ends = [] if region is None else region.reshape(2, -1).T.tolist()
        uncut = {i for i, end in zip(where, ends, strict=False) if end == [0, 1] and shape[i] == result[i]}
        return frozenset(where) - uncut
    stated = _scales(graph, node)
    scales = dict(zip(where, stated, strict=True)) if stated else {}
    found = set()
    for i, (before, after) in enumerate(zip(shape, result, strict=True)):
        scale = scales.get(i, after / before)
        if before == after:
            if scale != 1:
                found.add(i)
        elif after % before == 0 and node.text("mode", "nearest") == "nearest":
            even = np.arange(after) // (after // before)
            if not np.array_equal(_nearest(node, before, after, scale), even):
                found.add(i)
    return frozenset(found)


def _scales(graph: Graph, node: Node) -> list[float]:
    """The factors that a node states; none where it states sizes."""
    if "scales" in node.attributes:
        return [float(number) for number in node.attributes["scales"]]
    name = node.given(1 if node.opset < 11 or node.op_type == "Upsample" else 2)
    values = graph.value(name) if name else None
    return [] if values is None else [float(number) for number in values.reshape(-1)]


def _nearest(node: Node, before: int, after: int, scale: float) -> npt.NDArray[np.int64]:
    """The input position that each output position takes, by ONNX's formulas for Resize.

    Before operator set 11, and of Upsample, it is the position divided by the scale, rounded down.
    """
    old = node.opset < 11 or node.op_type == "Upsample"
    way = "asymmetric" if old else node.text("coordinate_transformation_mode", "half_pixel")
    rounding = "floor" if old else node.text("nearest_mode", "round_prefer_floor")
    at = np.arange(after, dtype=np.float64)
    if way == "align_corners":
        place = at * (before - 1) / max(1, after - 1)
    elif way == "asymmetric":
        place = at / scale
    elif way == "tf_half_pixel_for_nn":
        place = (at + 0.5) / scale
    else:
        place = (at + 0.5) / scale - 0.5
        if way == "half_pixel_symmetric":
            place += before / 2 * (1 - after / (scale * before))
    rounded = {
        "round_prefer_floor": lambda: np.ceil(place - 0.5),
        "round_prefer_ceil": lambda: np.floor(place + 0.5),
        "floor": lambda: np.floor(place),
        "ceil": lambda: np.ceil(place),
    }[rounding]()
    return np.clip(rounded, 0, before - 1).astype(np.int64)
