"""Resize and Upsample of a tile: along each axis a matrix that says how each output position is mixed from inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from weft.execute.nodes import Evaluator, NoArithmetic
from weft.execute.tile import Tile
from weft.execute.values import Array, Poisoned
from weft.read.onnx.graph import Node

NEWEST = 19
"""The operator set in which the matrices are found."""


def matrices(
    node: Node, shape: Sequence[int], result: Sequence[int], inputs: Sequence[Array | None]
) -> list[Array | None]:
    """[output size, input size] for each axis that is resized, None for the others; NaN in rows that are extrapolated.

    Each is what ONNX's evaluator makes of an identity matrix along that one axis.
    Args:    inputs: what the node reads beside its data, by position from 1 on.
    """
    rank = len(shape)
    axes = [i % rank for i in node.ints("axes", tuple(range(rank)))]
    old = node.op_type == "Upsample" or node.opset < 11
    region, stated, sizes = (None, *inputs, None)[:3] if old else (*inputs, None, None, None)[:3]
    scales = node.attributes.get("scales") if stated is None or not stated.size else stated
    given = ("mode", "cubic_coeff_a", "exclude_outside", "nearest_mode", "coordinate_transformation_mode", "antialias")
    attributes = {name: value for name, value in node.attributes.items() if name in given}
    if old:
        attributes |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    attributes |= {"extrapolation_value": math.nan, "axes": [1]}
    found: list[Array | None] = []
    for axis, (before, after) in enumerate(zip(shape, result, strict=True)):
        place = axes.index(axis) if axis in axes else -1
        if place < 0:
            found.append(None)
            continue
        scale = [float(scales[place])] if scales is not None and len(scales) else None
        if scale is None and node.text("keep_aspect_ratio_policy", "stretch") != "stretch" and sizes is not None:
            every = [float(size) / shape[i] for size, i in zip(sizes, axes, strict=True)]
            smaller = node.text("keep_aspect_ratio_policy", "") == "not_larger"
            scale = [min(every) if smaller else max(every)]
        part = None
        if region is not None and region.size:
            part = np.asarray([region[place], region[place + len(axes)]], np.float32)
        found.append(_matrix(node, attributes, before, after, scale, part))
    return found


def _matrix(
    node: Node, attributes: dict[str, object], before: int, after: int, scale: list[float] | None, part: Array | None
) -> Array:
    names = ("x", "r" if part is not None else "", "s" if scale else "", "" if scale else "z")
    one = Node(node.name, "Resize", names, ("y",), attributes, node.proto, NEWEST)
    feeds = [
        np.eye(before),
        part,
        np.asarray(scale, np.float32) if scale else None,
        None if scale else np.asarray([after], np.int64),
    ]
    made = Evaluator(one)(feeds)["y"]
    if made.shape != (before, after):
        raise NoArithmetic(f"{node.op_type} from {before} to {after} by a scale of {scale}")
    return made.T


def resized(tile: Tile, mixing: Sequence[Array | None]) -> Array:
    """The output's box from the input's; positions outside a cropped region take the extrapolation value.

    Errors: Poisoned where an output needs an element that is not in the tile's box.
    """
    data = tile.op.inputs[0]
    stored = tile.real(data)
    array = stored.astype(np.float64)
    inside = data.box(tile.ranges)
    beyond = np.zeros((1,) * array.ndim, np.bool_)
    for axis, matrix in enumerate(mixing):
        if matrix is None:
            continue
        rows = matrix[slice(*tile.box[axis])]
        outside: Array = np.asarray(np.isnan(rows).any(axis=1))
        rows = np.where(outside[:, None], 0.0, rows)
        start, stop = inside[axis]
        if rows[:, :start].any() or rows[:, stop:].any():
            raise Poisoned(f"{tile.op.name} needs more of {data.tensor} than {start}:{stop} of axis {axis}")
        array = np.moveaxis(np.tensordot(rows[:, start:stop], array, (1, axis)), 0, axis)
        beyond = beyond | outside.reshape([-1 if i == axis else 1 for i in range(array.ndim)])
    if beyond.any():
        array = np.where(beyond, tile.node.number("extrapolation_value", 0.0), array)
    if stored.dtype.kind in "iu":
        limits = np.iinfo(stored.dtype)
        array = np.clip(array, limits.min, limits.max)
    return array.astype(stored.dtype)
