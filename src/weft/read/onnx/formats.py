"""What (de)quantisers say of the elements on their two sides: width, sign, what a scale covers."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from weft.errors import ModelError
from weft.model.tensor_type import TensorType
from weft.read.dtypes import type_of
from weft.read.onnx.graph import Info, Lazy, Node, Scaling
from weft.read.onnx.proto import dtype_name

LINEAR = frozenset({"QuantizeLinear", "DequantizeLinear"})
QONNX = frozenset({"Quant", "IntQuant", "BipolarQuant", "Trunc", "FloatQuant"})
"""Quantisers whose result stays a float tensor; each is QuantizeLinear and DequantizeLinear in one."""


_MANY = 65_536
"""Scales that are not compared by their numbers: those of blocks, which no other tensor shares."""


Grid = tuple[Hashable, ...]
"""What tells the numbers of a quantised tensor: its type, scale, zero point, axis, block."""


@dataclass(slots=True)
class Formats:
    """What is known of the tensors while a graph is read in its order.

    Args:
        where:  what errors point at.   infos, known: shapes and constants so far (filled by the reader).
        types:  element formats.        scales: block scales (and their zero points) of constants.
        grids:  what the numbers of a quantised tensor stand for: where equal, equal numbers mean the same.
        alias:  constants that stand for others: read instead.
        scalings: scales and zero points by the tensors that they are of.
    """

    where: str
    infos: Mapping[str, Info]
    known: Mapping[str, Lazy]
    types: dict[str, TensorType] = field(default_factory=dict)
    scales: dict[str, tuple[str, ...]] = field(default_factory=dict)
    grids: dict[str, Grid] = field(default_factory=dict)
    alias: dict[str, str] = field(default_factory=dict)
    scalings: dict[str, Scaling | None] = field(default_factory=dict)

    def number(self, node: Node, position: int, what: str) -> float:
        """Input `position` of a node, which must be one constant number."""
        name = node.inputs[position] if position < len(node.inputs) else ""
        value = self.known[name]() if name in self.known else None
        if value is None or value.size != 1:
            raise ModelError(
                f"{what} of {node.op_type} must be one constant number, not '{name}'",
                where=f"{self.where}: node '{node.name}'",
                remedy="simplify the model (for example with onnxslim) so that it is one",
            )
        return float(np.asarray(value, dtype=np.float64).reshape(-1)[0])

    def identity(self, name: str) -> Hashable:
        """What identifies a scale or zero point: the numbers of a constant, else (and of very many) its name."""
        value = self.known[name]() if name in self.known else None
        if value is None or value.size > _MANY:
            return name
        return (value.shape if value.size > 1 else (), value.tobytes())

    def shifted(self, name: str) -> bool:
        """Whether `name` is a zero point other than 0."""
        value = self.known[name]() if name in self.known else None
        return bool(name) and (value is None or bool(np.any(np.asarray(value, dtype=np.float32))))

    def per(self, name: str, shape: tuple[int, ...], axis: int, block: int = 0) -> tuple[int | None, int]:
        """(axis, block) that the scale `name` has in a tensor of `shape`."""
        several = math.prod(self.infos[name].shape) > 1 and bool(shape)
        return (axis % max(1, len(shape)) if several or block else None), block


def quantiser_info(node: Node, infos: Mapping[str, Info], at: str) -> Info:
    """The output of a quantiser: its input's shape; of a DequantizeLinear, the scale's type; of a QuantizeLinear, the
    zero point's, or the one that an attribute names, or uint8.

    Errors: ModelError for too few inputs.
    """
    least = 2 if node.op_type in LINEAR | {"BipolarQuant"} else 4
    if not all(map(node.given, range(least))):
        raise ModelError(
            f"{node.op_type} must have at least {least} inputs, not {sum(map(bool, node.inputs))}",
            where=at,
            remedy="export the network again",
        )
    shape, stated = infos[node.inputs[0]].shape, node.integer("output_dtype", 0)
    if node.op_type in QONNX:
        return infos[node.inputs[0]]
    if stated:
        return Info(shape, dtype_name(stated, at))
    if node.op_type == "QuantizeLinear":
        return Info(shape, infos[node.inputs[2]].dtype if node.given(2) else "uint8")
    scale = infos[node.inputs[1]].dtype
    return Info(shape, "float32" if scale == "float8e8m0" else scale)  # such scales are powers of two alone


def linear(formats: Formats, node: Node, numbers: str) -> tuple[TensorType, Grid]:
    """Format and grid of `numbers`, the quantised side of a QuantizeLinear or DequantizeLinear."""
    info, block = formats.infos[numbers], node.integer("block_size", 0)
    _check_scales(formats, node, info)
    type_, grid = scaled(formats, info, node.given(1), node.given(2), node.integer("axis", 1), block)
    formats.scalings.setdefault(numbers, Scaling(node.given(1), node.given(2), type_.axis, type_.block))
    return type_, grid


def _check_scales(formats: Formats, node: Node, info: Info) -> None:
    """A scale is one number, a row with one for each index of the axis, or a tensor with one for each block.

    Errors: ModelError where it is none of these, and for numbers that cannot be scaled.
    """
    at = f"{formats.where}: node '{node.name}'"
    if not info.dtype.startswith(("int", "uint", "float", "bfloat")):
        raise ModelError(
            f"what is quantised must be integers or floats, not {info.dtype}",
            where=at,
            remedy="export the network again",
        )
    rank, block = len(info.shape), node.integer("block_size", 0)
    axis = node.integer("axis", 1) % max(1, rank)
    for name in filter(None, node.inputs[1:3]):
        shape = formats.infos[name].shape
        if math.prod(shape) == 1 and not block:
            continue
        if block > 0 and rank:
            wanted = tuple(-(-size // block) if i == axis else size for i, size in enumerate(info.shape))
        else:
            wanted = info.shape[axis : axis + 1]
        if shape != wanted or block < 0:
            per = f"block of {block} along axis {axis}" if block else f"index of axis {axis}"
            raise ModelError(
                f"scales and zero points must be one number, or one for each {per} of {list(info.shape)}, "
                f"not of shape {list(shape)}",
                where=at,
                remedy="export the network again",
            )


def scaled(formats: Formats, info: Info, scale: str, zero: str, along: int, block: int = 0) -> tuple[TensorType, Grid]:
    """Format and grid of a tensor that has a scale, and a zero point if `zero` names one.

    Args:    along: the axis of the scales, where there are several.
    """
    axis, block = formats.per(scale, info.shape, along, block)
    shift = formats.shifted(zero)
    made = replace(type_of(info.dtype), scaled=True, axis=axis, block=block, zero_point=shift)
    return made, (info.dtype, formats.identity(scale), formats.identity(zero) if shift else 0, axis, block)


def qonnx(formats: Formats, node: Node) -> tuple[TensorType, Grid, str]:
    """Format and grid of the output of a QONNX quantiser, and a remark where its width was rounded up."""
    remark = ""
    shift = False
    if node.op_type == "BipolarQuant":
        made = TensorType("int", 1)
    elif node.op_type == "FloatQuant":
        exponent, mantissa = (formats.number(node, i, "the width") for i in (2, 3))
        bits, remark = _whole_width(formats, node, 1 + exponent + mantissa)
        made = TensorType("float", bits)
    else:
        position = 4 if node.op_type == "Trunc" else 3
        bits, remark = _whole_width(formats, node, formats.number(node, position, "the width"))
        signed = node.integer("signed", 1) != 0
        made = TensorType("int", bits, signed, signed and node.integer("narrow", 0) != 0)
        shift = formats.shifted(node.inputs[2])
    shape = formats.infos[node.inputs[1]].shape
    longest = max(range(len(shape)), key=lambda i: shape[i], default=0)
    ahead = len(formats.infos[node.inputs[0]].shape) - len(shape)  # scales broadcast, so axes count from the right
    axis, _ = formats.per(node.inputs[1], formats.infos[node.inputs[0]].shape, ahead + longest)
    made = replace(made, scaled=True, axis=axis, zero_point=shift)
    grid = (node.op_type, str(made), *(formats.identity(name) for name in node.inputs[1:]))
    return made, (*grid, node.text("rounding_mode", "ROUND")), remark


def _whole_width(formats: Formats, node: Node, width: float) -> tuple[int, str]:
    if not 0 < width <= 32:
        raise ModelError(
            f"a width must be above 0 and at most 32 bits, not {width:g}",
            where=f"{formats.where}: node '{node.name}'",
            remedy="quantise to a width in that range",
        )
    bits = math.ceil(width)
    return bits, "" if bits == width else f"; {width:g} bits are stored in {bits}"


def clipped(formats: Formats, node: Node) -> TensorType | None:
    """The narrower format of integers after a Clip with constant bounds; None where the bounds are not known."""
    info = formats.infos[node.inputs[0]]
    before = formats.types.get(node.inputs[0], type_of(info.dtype))
    bounds = bounds_of(formats, node)
    if before.kind != "int" or bounds is None:
        return None
    low, high = bounds
    if low < 0:
        bits = max((-low - 1).bit_length(), max(0, high).bit_length()) + 1
        narrow = low > -(2 ** (bits - 1))
        return replace(before, bits=min(bits, before.bits), signed=True, narrow=narrow)
    return replace(before, bits=min(max(1, high.bit_length()), before.bits), signed=False)


def bounds_of(formats: Formats, node: Node) -> tuple[int, int] | None:
    """The constant bounds of a Clip of integers; None where they are not known."""
    bounds = []
    for position in (1, 2):
        name = node.inputs[position] if position < len(node.inputs) else ""
        value = formats.known[name]() if name in formats.known else None
        if value is None or value.size != 1:
            return None
        bounds.append(int(np.nan_to_num(np.asarray(value, dtype=np.float64).reshape(-1)[0])))
    return bounds[0], bounds[1]


_KEEPING = frozenset(
    name
    for line in (
        "Identity Reshape Flatten Squeeze Unsqueeze Transpose Dropout Expand Concat Split Slice Pad Gather Tile",
        "DepthToSpace SpaceToDepth MaxPool GlobalMaxPool ReduceMax ReduceMin Relu Clip",
    )
    for name in line.split()
)
"""Operators whose results are among the numbers they read, or an end of a range: elements keep their format."""


def carry(formats: Formats, node: Node) -> None:
    """Formats of a node's outputs where they are those of its inputs."""
    data = node.inputs if node.op_type == "Concat" else node.inputs[:1]
    types = [formats.types.get(name) for name in data]
    first = types[0] if types else None
    if node.op_type not in _KEEPING or first is None or not first.quantised:
        return
    shapes = {(type_.kind, type_.bits, type_.signed) if type_ else None for type_ in types}
    if len(shapes) > 1:
        return
    for output in filter(None, node.outputs):
        moved = _moved(first, node, formats.infos[data[0]].shape, formats.infos[output].shape)
        formats.types[output] = moved
        if moved.block and data[0] in formats.scales:
            formats.scales[output] = formats.scales[data[0]]
        grids = {formats.grids.get(name) for name in data}
        grid = grids.pop()
        if not grids and grid is not None and moved.axis is None:
            formats.grids[output] = grid
            if data[0] in formats.scalings:
                formats.scalings[output] = formats.scalings[data[0]]


def _moved(type_: TensorType, node: Node, before: tuple[int, ...], after: tuple[int, ...]) -> TensorType:
    """The format under a new order of axes; scales whose axis is lost in a reshape are not told apart any more."""
    if type_.axis is None:
        return type_
    if node.op_type == "Transpose":
        order = node.ints("perm", tuple(reversed(range(len(before)))))
        return replace(type_, axis=order.index(type_.axis))
    if len(before) == len(after) and before[type_.axis] == after[type_.axis]:
        return type_
    return replace(type_, axis=None, block=0)
