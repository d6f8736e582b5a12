"""Operators that an exporter wrote as chains of smaller ones, put together again: activations and normalisations.

A chain counts only where it computes what the one operator does, its constants are right, and nobody else reads what
lies between. The one operator keeps the name of the chain's last node.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx.helper

from weft.model.workload import Note
from weft.read.onnx.graph import Graph, Node


@dataclass(frozen=True, slots=True)
class _Found:
    """One operator in place of `chain`, its last node last."""

    op_type: str
    inputs: tuple[str, ...]
    chain: tuple[Node, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


def fuse(graph: Graph) -> Graph:
    """The graph with its chains replaced; a note for each, and one for each node that goes into another."""
    chains = _Chains(graph)
    found: dict[str, _Found] = {}
    gone: set[str] = set()
    for node in reversed(graph.nodes):  # the longest chain ends last
        if node.name in gone:
            continue
        for match in _PATTERNS.get(node.key, ()):
            made = match(chains, node)
            if made is not None and gone.isdisjoint(part.name for part in made.chain):
                found[node.name] = made
                gone.update(part.name for part in made.chain[:-1])
                break
    nodes = tuple(_one(node, found[node.name]) if node.name in found else node for node in graph.nodes)
    notes = []
    for node in graph.nodes:
        if node.name in found:
            made = found[node.name]
            parts = ", ".join(part.name for part in made.chain)
            notes.append(Note(node.name, f"{made.op_type} read from a chain of {len(made.chain)} nodes: {parts}"))
            notes += [Note(part.name, f"{part.op_type} is part of {node.name}") for part in made.chain[:-1]]
    kept = tuple(node for node in nodes if node.name not in gone)
    return replace(graph, nodes=kept, notes=(*graph.notes, *notes))


def _one(last: Node, found: _Found) -> Node:
    proto = onnx.helper.make_node(found.op_type, list(found.inputs), [last.outputs[0]], last.name)
    return replace(
        last,
        op_type=found.op_type,
        inputs=found.inputs,
        outputs=last.outputs[:1],
        attributes=found.attributes,
        proto=proto,
        opset=max(last.opset, 13),  # in which Softmax and its like got the meaning that they have here
    )


class _Chains:
    """Who makes what, and who reads it, to walk a graph backwards."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.makers = {node.outputs[0]: node for node in graph.nodes}
        self.readers = Counter(name for node in graph.nodes for name in node.inputs)

    def maker(self, tensor: str, op_type: str, readers: int = 1) -> Node | None:
        """The node of that operator that makes `tensor`, for as many readers as named."""
        node = self.makers.get(tensor)
        if node is None or node.key != op_type or tensor in self.graph.outputs or self.readers[tensor] != readers:
            return None
        return node

    def scalar(self, tensor: str) -> float | None:
        """The number in a constant of one element."""
        value = self.graph.value(tensor)
        return (
            float(np.asarray(value, dtype=np.float64).reshape(-1)[0]) if value is not None and value.size == 1 else None
        )

    def is_number(self, tensor: str, number: float) -> bool:
        found = self.scalar(tensor)
        return found is not None and math.isclose(found, number, rel_tol=1e-3)

    def times(self, node: Node, number: float) -> str:
        """The tensor that a Mul or Div multiplies by `number`; "" where it does not."""
        if node.key == "Div":
            return node.inputs[0] if self.is_number(node.inputs[1], 1 / number) else ""
        return next((a for a, b in _orders(node) if self.is_number(b, number)), "") if node.key == "Mul" else ""

    def plus(self, node: Node, number: float) -> str:
        """The tensor that an Add adds `number` to; "" where it does not."""
        return next((a for a, b in _orders(node) if self.is_number(b, number)), "") if node.key == "Add" else ""

    def mean(self, tensor: str) -> tuple[Node, int] | None:
        """A ReduceMean over the last axes that keeps them, and the first of them."""
        node = self.makers.get(tensor)
        if node is None or node.key != "ReduceMean" or not node.integer("keepdims", 1) or tensor in self.graph.outputs:
            return None
        rank = len(self.graph.shape(node.inputs[0]))
        stated = node.ints("axes", ()) or self.graph.value(node.given(1))
        axes = sorted(int(axis) % rank for axis in stated) if stated is not None and len(stated) else []
        return (node, axes[0]) if axes and axes == list(range(axes[0], rank)) else None

    def squared(self, tensor: str, readers: int = 1) -> tuple[Node, str] | None:
        """A Pow by 2 or a Mul with itself, and what it squares."""
        power = self.maker(tensor, "Pow", readers)
        if power is not None and self.is_number(power.inputs[1], 2):
            return power, power.inputs[0]
        product = self.maker(tensor, "Mul", readers)
        return (product, product.inputs[0]) if product is not None and product.inputs[0] == product.inputs[1] else None


def _orders(node: Node) -> tuple[tuple[str, str], ...]:
    """The two inputs of a node that may stand in either order."""
    a, b = node.inputs[:2]
    return (a, b), (b, a)


def _swish(chains: _Chains, last: Node) -> _Found | None:
    """x * Sigmoid(x)."""
    for x, other in _orders(last):
        gate = chains.maker(other, "Sigmoid")
        if gate is not None and gate.inputs[0] == x:
            return _Found("Swish", (x,), (gate, last))
    return None


def _mish(chains: _Chains, last: Node) -> _Found | None:
    """x * Tanh(Softplus(x))."""
    for x, other in _orders(last):
        tanh = chains.maker(other, "Tanh")
        soft = chains.maker(tanh.inputs[0], "Softplus") if tanh else None
        if tanh and soft and soft.inputs[0] == x:
            return _Found("Mish", (x,), (soft, tanh, last))
    return None


def _hard_swish(chains: _Chains, last: Node) -> _Found | None:
    """x * HardSigmoid(x) of slope 1/6, or x * Clip(x + 3, 0, 6) / 6."""
    for x, other in _orders(last):
        gate = chains.maker(other, "HardSigmoid")
        if gate is not None and gate.inputs[0] == x:
            right = math.isclose(gate.number("alpha", 0.2), 1 / 6, rel_tol=1e-3) and gate.number("beta", 0.5) == 0.5
            return _Found("HardSwish", (x,), (gate, last)) if right else None
    return None


def _hard_swish_in_full(chains: _Chains, last: Node) -> _Found | None:
    """x * Clip(x + 3, 0, 6) / 6, divided before or after the product."""
    inner = chains.times(last, 1 / 6)
    product = chains.maker(inner, "Mul") if inner else None
    if product is None:
        return None
    for x, other in _orders(product):
        clip = chains.maker(other, "Clip")
        shifted = chains.maker(clip.inputs[0], "Add") if clip else None
        if clip and shifted and chains.plus(shifted, 3.0) == x and _clips(chains, clip, 0.0, 6.0):
            return _Found("HardSwish", (x,), (shifted, clip, product, last))
    return None


def _clips(chains: _Chains, clip: Node, low: float, high: float) -> bool:
    if "max" in clip.attributes:
        return clip.number("min", -math.inf) == low and clip.number("max", math.inf) == high
    return chains.scalar(clip.given(1)) == low and chains.scalar(clip.given(2)) == high


def _gelu(chains: _Chains, last: Node) -> _Found | None:
    """x/2 * (1 + Erf(x / sqrt 2)), the half taken before, between or after."""
    whole = chains.times(last, 0.5)
    product = chains.maker(whole, "Mul") if whole else None
    if product is not None:
        for x, other in _orders(product):
            inner = _erf(chains, other, x)
            if inner:
                return _Found("Gelu", (x,), (*inner, product, last))
    for half, other in _orders(last):
        halved = chains.makers.get(half)
        if halved is None or halved.key not in ("Mul", "Div") or chains.maker(half, halved.key) is None:
            continue
        x = chains.times(halved, 0.5)
        inner = _erf(chains, other, x) if x else None
        if inner:
            return _Found("Gelu", (x,), (halved, *inner, last))
    return None


def _erf(chains: _Chains, tensor: str, x: str) -> tuple[Node, ...] | None:
    """The nodes of 1 + Erf(x / sqrt 2)."""
    one = chains.maker(tensor, "Add")
    curved = chains.plus(one, 1.0) if one else ""
    erf = chains.maker(curved, "Erf") if curved else None
    scaled = chains.makers.get(erf.inputs[0]) if erf else None
    if one is None or erf is None or scaled is None or chains.maker(erf.inputs[0], scaled.key) is None:
        return None
    return (scaled, erf, one) if chains.times(scaled, math.sqrt(0.5)) == x else None


def _layer_norm(chains: _Chains, last: Node) -> _Found | None:
    """(x - mean) / sqrt(variance + epsilon), with or without scale and shift."""
    return _scaled(chains, last, _centred, "LayerNormalization", shift=True)


def _rms_norm(chains: _Chains, last: Node) -> _Found | None:
    """x / sqrt(mean of squares + epsilon), with or without scale."""
    return _scaled(chains, last, _rooted, "RMSNormalization", shift=False)


_Core = Callable[[_Chains, Node], "tuple[str, int, float, tuple[Node, ...]] | None"]
"""(what is normalised, first axis, epsilon, nodes) of a normalisation that ends in a node."""


def _scaled(chains: _Chains, last: Node, core: _Core, op_type: str, shift: bool) -> _Found | None:
    """A normalisation with the constant scale and shift behind it."""
    steps: list[Node] = []
    constants: list[str] = []
    node: Node | None = last
    for key in ("Add", "Mul") if shift else ("Mul",):
        pair = (
            next(((a, b) for a, b in _orders(node) if b in chains.graph.known), None)
            if node and node.key == key
            else None
        )
        if node is None or pair is None:
            constants.append("")
            continue
        assert node is not None
        steps.append(node)
        constants.append(pair[1])
        inner = chains.makers.get(pair[0])
        node = inner if inner is not None and chains.maker(pair[0], inner.key) is not None else None
    found = core(chains, node) if node is not None else None
    if found is None or (shift and constants[0] and not constants[1]):
        return None
    x, first, epsilon, nodes = found
    sizes = chains.graph.shape(x)[first:]
    names = tuple(name for name in reversed(constants) if name)
    if any(chains.graph.shape(name) != sizes for name in names):
        return None
    return _Found(op_type, (x, *names), (*nodes, *steps[::-1]), {"axis": first, "epsilon": epsilon})


def _centred(chains: _Chains, last: Node) -> tuple[str, int, float, tuple[Node, ...]] | None:
    if last.key != "Div":
        return None
    centred = chains.makers.get(last.inputs[0])
    root = _root(chains, last.inputs[1])
    if centred is None or centred.key != "Sub" or root is None:
        return None
    square, first, epsilon, nodes = root
    mean = chains.mean(centred.inputs[1])
    again = chains.squared(square)
    if mean is None or again is None or chains.readers[centred.inputs[1]] != 1:
        return None
    x = centred.inputs[0]
    squares = 2 if again[0].key == "Mul" else 1
    if again[1] != centred.outputs[0] or chains.readers[again[1]] != 1 + squares or again[1] in chains.graph.outputs:
        return None
    if mean[1] != first or mean[0].inputs[0] != x:
        return None
    return x, first, epsilon, (mean[0], centred, again[0], *nodes, last)


def _rooted(chains: _Chains, last: Node) -> tuple[str, int, float, tuple[Node, ...]] | None:
    if last.key == "Div":
        pairs: tuple[tuple[str, str], ...] = ((last.inputs[0], last.inputs[1]),)
        inverse: Node | None = None
    elif last.key == "Mul":
        pairs = _orders(last)
    else:
        return None
    for x, other in pairs:
        below, more = other, tuple[Node, ...]()
        if last.key == "Mul":
            inverse = chains.maker(other, "Reciprocal")
            if inverse is None:
                quotient = chains.maker(other, "Div")
                inverse = quotient if quotient is not None and chains.is_number(quotient.inputs[0], 1.0) else None
            if inverse is None:
                continue
            below, more = inverse.inputs[-1], (inverse,)
        root = _root(chains, below)
        if root is None:
            continue
        square, first, epsilon, nodes = root
        again = chains.squared(square)
        if again is not None and again[1] == x:
            return x, first, epsilon, (again[0], *nodes, *more, last)
    return None


def _root(chains: _Chains, tensor: str) -> tuple[str, int, float, tuple[Node, ...]] | None:
    """(what is averaged, first axis, epsilon, nodes) of sqrt(mean + epsilon)."""
    root = chains.maker(tensor, "Sqrt")
    added = chains.maker(root.inputs[0], "Add") if root else None
    if root is None or added is None:
        return None
    for inner, constant in _orders(added):
        epsilon = chains.scalar(constant)
        mean = chains.mean(inner)
        if epsilon is not None and mean is not None and chains.readers[inner] == 1:
            return mean[0].inputs[0], mean[1], epsilon, (mean[0], added, root)
    return None


_PATTERNS: dict[str, tuple[Callable[[_Chains, Node], _Found | None], ...]] = {
    "Mul": (_swish, _mish, _hard_swish, _gelu, _hard_swish_in_full, _layer_norm, _rms_norm),
    "Div": (_hard_swish_in_full, _layer_norm, _rms_norm),
    "Add": (_layer_norm,),
}
"""What a chain may be that ends in an operator."""
