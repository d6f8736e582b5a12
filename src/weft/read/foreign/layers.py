"""ZigZag's workload files: each layer's equation and relations become an op and its index maps, sources join layers."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from weft.errors import Gathered, suggestion
from weft.model.workload import Axis, Kind, Note, Op, Operand, Slot, Tensor, TensorRole, Term, View, Workload
from weft.read.items import Item, ItemError, Part

_KEYS = (
    "id",
    "name",
    "operator_type",
    "equation",
    "dimension_relations",
    "loop_dims",
    "loop_sizes",
    "operand_precision",
    "operand_source",
    "pr_loop_dims",
    "pr_loop_sizes",
    "padding",
)
_KINDS: dict[str, Kind] = {
    "Conv": "conv",
    "Conv_downsample": "conv",
    "Gemm": "gemm",
    "Pooling": "pool",
    "Pool": "pool",
    "MaxPool": "pool",
    "AveragePool": "pool",
    "GlobalAveragePool": "pool",
    "Add": "elementwise",
    "Max": "elementwise",
}
_EQUATION = re.compile(r"\s*O((?:\[\w+\])+)\s*\+?=\s*([A-Z])((?:\[\w*\])+)\s*(?:\*|\+{1,2})\s*([A-Z])((?:\[\w*\])+)\s*")
_RELATION = re.compile(r"\s*(\w+)\s*=\s*(?:(\d+)\s*\*\s*)?([a-zA-Z]\w*)\s*\+\s*(?:(\d+)\s*\*\s*)?([a-zA-Z]\w*)\s*")
_CANONICAL = ("B", "G", "K", "C", "OY", "OX", "FY", "FX")


@dataclass(frozen=True, slots=True)
class LayerOperand:
    """What a layer reads.

    Args:
        letter: as in the equation.     bits: of an element.
        source: the id of the layer that makes it, or None where no layer does.
        constant: whether it is the layer's own.
        axes:   index maps; the size of an axis is that of the file, or the least that holds all it reads.
        stated: whether the file gives the size of each axis.
    """

    letter: str
    bits: int
    source: int | None
    constant: bool
    axes: tuple[Axis, ...]
    stated: tuple[bool, ...]

    @property
    def elements(self) -> int:
        return math.prod(axis.size for axis in self.axes)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of the file."""

    number: int
    name: str
    operator: str
    dims: tuple[tuple[str, int], ...]
    output: tuple[Axis, ...]
    output_bits: int
    sum_bits: int
    inputs: tuple[LayerOperand, ...]
    where: str


def read_layers(item: Item) -> Workload:
    """The network in a workload file, its layers in an order in which they can run.

    Errors: ItemError, of all layers at once.
    """
    problems = Gathered(ItemError)
    layers: dict[int, Layer] = {}
    for entry in item.value:
        with problems.go_on():
            layer = _layer(entry)
            if layer.number in layers:
                raise ItemError(f"a layer must have an id of its own, not {layer.number} again", where=layer.where)
            layers[layer.number] = layer
    problems.settle()
    count = Counter(layer.name for layer in layers.values())
    names = {
        number: layer.name if count[layer.name] == 1 else f"{layer.name}_{number}" for number, layer in layers.items()
    }
    maker = _Maker(layers, names)
    for layer in _in_order(layers):
        with problems.go_on():
            maker.add(layer)
    problems.settle()
    return maker.workload(item.file.stem)


def _layer(item: Item) -> Layer:
    part = Part(item, "layer", _KEYS)
    item.once("layer")
    number = part.whole("id", 0)
    name = part.text("name") if part.has("name") else f"Layer{number}"
    part.thing = f"layer '{name}'"
    operator = part.text("operator_type", _KINDS)
    dims, sizes = part.words("loop_dims"), part.wholes("loop_sizes")
    if len(dims) != len(sizes):
        raise part.error("loop_sizes", f"loop_sizes must be one for each of {len(dims)} loop_dims, not {len(sizes)}")
    size = {dim.upper(): length for dim, length in zip(dims, sizes, strict=True)}
    match = _EQUATION.fullmatch(part.text("equation"))
    if match is None:
        raise part.error(
            "equation",
            f"an equation must read O[..]+=A[..]*B[..], not '{part.text('equation')}'",
            "for example O[b][k][oy][ox]+=W[k][c][fy][fx]*I[b][c][iy][ix]",
        )
    relations = _relations(part, size)
    bits = Part(part.get("operand_precision"), f"{part.thing} operand_precision", ("O", "O_final", *"IWXYAB"))
    axes = _Axes(part, size, relations)
    output, _ = axes.of(match.group(1))
    if any(axis.offset or len(axis.terms) != 1 for axis in output):
        raise part.error("equation", "the output must be indexed by loops, one on each axis")
    sources = (
        Part(part.get("operand_source"), f"{part.thing} operand_source", "IWXYAB")
        if part.has("operand_source")
        else None
    )
    inputs = []
    for letter, indices in ((match.group(2), match.group(3)), (match.group(4), match.group(5))):
        if bits.has(letter) and bits.whole(letter, 0) == 0:
            continue  # the window of a pool, which holds nothing
        found, stated = axes.of(indices)
        source, constant = None, letter == "W"
        if sources is not None and sources.has(letter):
            value = sources.get(letter).value
            if isinstance(value, bool) or not isinstance(value, int):
                raise sources.error(letter, f"{letter} must be the id of a layer, not '{value}'")
            constant = value == number
            source = value if value >= 0 and not constant else None
        inputs.append(LayerOperand(letter, bits.whole(letter), source, constant and letter != "I", found, stated))
    final = bits.whole("O_final" if bits.has("O_final") else "O")
    return Layer(
        number,
        name,
        operator,
        tuple(size.items()),
        output,
        final,
        bits.whole("O") if bits.has("O") else final,
        tuple(inputs),
        item.where(part.thing),
    )


def _relations(part: Part, size: dict[str, int]) -> dict[str, tuple[Term, ...]]:
    """Terms of each index that a relation gives."""
    found = {}
    for text in part.words("dimension_relations") if part.has("dimension_relations") else ():
        match = _RELATION.fullmatch(text)
        if match is None:
            raise part.error(
                "dimension_relations",
                f"a relation must read ix=2*ox+1*fx, not '{text}'",
                "two loops, each with a factor",
            )
        index, first, a, second, b = match.groups()
        terms = ((a.upper(), int(first or 1)), (b.upper(), int(second or 1)))
        for dim, _ in terms:
            if dim not in size:
                raise part.error(
                    "dimension_relations",
                    f"a relation must be over the loop_dims, not '{dim}'",
                    suggestion(dim, list(size)),
                )
        found[index.upper()] = tuple(Term(dim, factor) for dim, factor in terms if factor)
    return found


class _Axes:
    """Index maps of a layer from the indices of its equation."""

    def __init__(self, part: Part, size: dict[str, int], relations: dict[str, tuple[Term, ...]]) -> None:
        self.part = part
        self.size = size
        self.relations = relations
        dims = [dim.upper() for dim in part.words("pr_loop_dims")] if part.has("pr_loop_dims") else []
        sizes = part.wholes("pr_loop_sizes") if part.has("pr_loop_sizes") else []
        pads = [self._pair(entry) for entry in part.items("padding")] if part.has("padding") else []
        for key, given in (("pr_loop_sizes", sizes), ("padding", pads)):
            if given and len(given) != len(dims):
                raise part.error(key, f"{key} must be one for each of {len(dims)} pr_loop_dims, not {len(given)}")
        self.stated = dict(zip(dims, sizes, strict=False))
        self.padding = dict(zip(dims, pads, strict=False))

    def _pair(self, item: Item) -> tuple[int, int]:
        values = [entry.value for entry in item.value] if isinstance(item.value, list) else []
        if len(values) != 2 or any(isinstance(value, bool) or not isinstance(value, int) for value in values):
            raise ItemError("each of padding must read [BEFORE, AFTER]", where=item.where(self.part.thing))
        return values[0], values[1]

    def of(self, indices: str) -> tuple[tuple[Axis, ...], tuple[bool, ...]]:
        """An operand's axes, and whether the file gives the size of each."""
        axes, stated = [], []
        for word in re.findall(r"\[(\w*)\]", indices):
            index = word.upper()
            if not index:
                continue
            terms = self.relations.get(index, (Term(index),) if index in self.size else ())
            if not terms:
                raise self.part.error(
                    "equation",
                    f"an index must be one of the loop_dims or given by a relation, not '{word}'",
                    suggestion(index, [*self.size, *self.relations]),
                )
            before, after = self.padding.get(index, (0, 0))
            reach = 1 + sum(term.coefficient * (self.size[term.dim] - 1) for term in terms)
            axes.append(Axis(self.stated.get(index, max(1, reach - before - after)), terms, -before))
            stated.append(index in self.stated or index in self.size)
        return tuple(axes), tuple(stated)


def _in_order(layers: dict[int, Layer]) -> Iterator[Layer]:
    """Layers after those they read, otherwise as in the file."""
    done: set[int] = set()
    left = list(layers.values())
    while left:
        ready = [layer for layer in left if all(it.source in done or it.source is None for it in layer.inputs)]
        missing = [
            layer for layer in left if any(it.source is not None and it.source not in layers for it in layer.inputs)
        ]
        for layer in missing:
            source = next(it.source for it in layer.inputs if it.source is not None and it.source not in layers)
            raise ItemError(
                f"what a layer reads must come from a layer of the file, and there is none with id {source}",
                where=layer.where,
                remedy="a source below 0 is the network's input, the layer's own id a constant",
            )
        if not ready:
            names = ", ".join(layer.name for layer in left[:4])
            raise ItemError(f"layers must not wait for each other in a circle, as {names} do", where=left[0].where)
        yield ready[0]
        done.add(ready[0].number)
        left.remove(ready[0])


class _Maker:
    """Puts layers together: tensors by source, views where shapes differ."""

    def __init__(self, layers: dict[int, Layer], names: dict[int, str]) -> None:
        self.layers = layers
        self.names = names
        self.read = {it.source for layer in layers.values() for it in layer.inputs}
        self.tensors: dict[str, Tensor] = {}
        self.ops: list[Op] = []
        self.views: list[View] = []
        self.notes: list[Note] = []

    def add(self, layer: Layer) -> None:
        """The op of a layer, and what it reads and writes."""
        name = self.names[layer.number]
        kind = _KINDS[layer.operator]
        written = {term.dim for axis in layer.output for term in axis.terms}
        if kind == "elementwise" and any(size > 1 and dim not in written for dim, size in layer.dims):
            kind = "pool"  # a Max over a window
        inputs = layer.inputs
        if kind == "pool":
            inputs = tuple(it for it in inputs if not it.constant)[:1]
        dropped = len(layer.inputs) - len(inputs)
        if kind == "pool" and (dropped or len(layer.inputs) < 2):
            self.notes.append(Note(name, "the window is no operand: a pool reads its input alone"))
        if kind == "gemm" and not any(it.constant for it in inputs):
            kind = "matmul"
        letters = _letters(layer, kind)
        operands = []
        for index, it in enumerate(sorted(inputs, key=lambda it: it.letter == "W")):
            slot: Slot = "I" if index == 0 else "W"
            label = ("A", "B")[index] if kind in ("gemm", "matmul") else ("I", "W" if kind == "conv" else "I2")[index]
            tensor, axes = self._input(layer, it, f"{name}.{label}")
            operands.append(Operand(label, slot, tensor, _renamed(axes, letters)))
        role: TensorRole = "intermediate" if layer.number in self.read else "output"
        self._tensor(f"{name}.O", tuple(axis.size for axis in layer.output), layer.output_bits, role)
        operands.append(Operand("O", "O", f"{name}.O", _renamed(layer.output, letters)))
        dims = [(letters[dim], size) for dim, size in layer.dims]
        self.ops.append(Op(name, kind, layer.operator, tuple(sorted(dims, key=_place)), tuple(operands), nodes=(name,)))

    def _input(self, layer: Layer, it: LayerOperand, own: str) -> tuple[str, tuple[Axis, ...]]:
        """The tensor that a layer reads, and its axes there."""
        if it.source is None:
            self._tensor(own, tuple(axis.size for axis in it.axes), it.bits, "weight" if it.constant else "input")
            return own, it.axes
        source = self.layers[it.source]
        made = f"{self.names[it.source]}.O"
        shape = tuple(axis.size for axis in source.output)
        if source.output_bits != it.bits:
            self.notes.append(
                Note(
                    self.names[layer.number],
                    f"reads {it.bits} bit of {made}, which has {source.output_bits}: those count",
                )
            )
        if len(shape) == len(it.axes) and all(
            axis.size == size or (axis.size < size and not fixed)
            for axis, size, fixed in zip(it.axes, shape, it.stated, strict=True)
        ):
            return made, tuple(Axis(size, axis.terms, axis.offset) for axis, size in zip(it.axes, shape, strict=True))
        if math.prod(shape) != it.elements:
            sizes = " x ".join(str(axis.size) for axis in it.axes)
            raise ItemError(
                f"what a layer reads must be what its source makes, and {it.letter} is {sizes} where '{source.name}' "
                f"makes {' x '.join(map(str, shape))}",
                where=layer.where,
                remedy="give padding and pr_loop_sizes, or the layer between them",
            )
        view = f"{own}.view"
        self._tensor(view, tuple(axis.size for axis in it.axes), source.output_bits, "intermediate")
        self.views.append(View(view, made, "reshape", self.names[layer.number]))
        self.notes.append(Note(self.names[layer.number], f"reads {made} as another shape, in row-major order"))
        return view, it.axes

    def _tensor(self, name: str, shape: tuple[int, ...], bits: int, role: TensorRole) -> None:
        self.tensors[name] = Tensor(name, shape, bits, role, f"int{bits}")

    def workload(self, name: str) -> Workload:
        """All of it."""
        sums = sorted({layer.sum_bits for layer in self.layers.values()})
        notes = [Note("network", f"partial sums of {', '.join(map(str, sums))} bit: the accumulators of cores count")]
        nodes = tuple((op.name, op.onnx) for op in self.ops)
        return Workload(
            name, tuple(self.tensors.values()), tuple(self.ops), tuple(self.views), (*notes, *self.notes), nodes
        )


def _place(dim: tuple[str, int]) -> tuple[int, str]:
    name = dim[0]
    return (_CANONICAL.index(name), "") if name in _CANONICAL else (len(_CANONICAL), name)


def _letters(layer: Layer, kind: Kind) -> dict[str, str]:
    """From the layer's letters to weft's.

    Those of matrix products are M N K, and B where all operands have it; channels of pools and elementwise operators G.
    """
    same = {dim: dim for dim, _ in layer.dims}
    sizes = dict(layer.dims)
    if kind in ("pool", "elementwise") and sizes.get("G", 1) == 1:
        channel = max((dim for dim in ("C", "K") if dim in sizes), key=lambda dim: sizes[dim], default=None)
        if channel is not None:
            return {dim: {channel: "G", "G": channel}.get(dim, dim) for dim in same}
    if kind not in ("gemm", "matmul") or len(layer.inputs) != 2:
        return same
    first, second = sorted(layer.inputs, key=lambda it: it.letter == "W")
    a, b, o = ({t.dim for axis in axes for t in axis.terms} for axes in (first.axes, second.axes, layer.output))
    letters: dict[str, str] = {}
    for dim, _ in sorted(layer.dims, key=lambda dim: -dim[1]):
        role = {(True, False, True): "M", (False, True, True): "N", (True, True, False): "K", (True, True, True): "B"}
        letter = role.get((dim in a, dim in b, dim in o), "R")
        taken = sum(given.startswith(letter) for given in letters.values())
        letters[dim] = letter if not taken else f"{letter}{taken + 1}"
    return letters


def _renamed(axes: tuple[Axis, ...], letters: dict[str, str]) -> tuple[Axis, ...]:
    return tuple(
        Axis(axis.size, tuple(Term(letters[term.dim], term.coefficient) for term in axis.terms), axis.offset)
        for axis in axes
    )
