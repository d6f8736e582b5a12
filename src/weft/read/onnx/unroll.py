"""Loop and Scan written out: the nodes of the body once for each iteration, one after another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from weft.errors import ModelError
from weft.read.onnx.functions import renamed
from weft.read.onnx.graph import Info, Lazy, Node
from weft.read.onnx.proto import named

MOST_NODES = 20_000
"""Nodes that a loop may turn into."""


def body_of(node: Node, name: str) -> Any:
    """The graph in an attribute.

    Errors: ModelError where the node has none.
    """
    graph = node.attributes.get(name)
    if not isinstance(graph, onnx.GraphProto):
        raise ModelError(f"{node.op_type} must have a graph as its {name}", remedy="export the network again")
    return graph


@dataclass(slots=True)
class _Written:
    """Nodes so far; what they are called, and the constants between them, count from the loop's node."""

    node: Node
    body: Any
    protos: list[Any] = field(default_factory=list)
    own: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.own = {tensor.name: f"{self.node.name}/{tensor.name}" for tensor in self.body.initializer}

    def add(self, op_type: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.protos.append(onnx.helper.make_node(op_type, inputs, [output], **attributes))
        return output

    def constant(self, name: str, value: Any) -> str:
        made = onnx.numpy_helper.from_array(np.asarray(value))
        return self.add("Constant", [], f"{self.node.name}/{name}", value=made)

    def iteration(self, index: int, given: Mapping[str, str]) -> list[str]:
        """The body's nodes with its inputs as `given`; the names of its outputs."""
        names = self.own | dict(given)
        for proto in self.body.node:
            names.update((output, f"{self.node.name}/{index}/{output}") for output in proto.output if output)
        for position, proto in enumerate(self.body.node):
            made = renamed(proto, "", names, None)
            made.name = f"{index}/{proto.name or f'{proto.op_type}_{position}'}"
            self.protos.append(made)
        return [names.get(output.name, output.name) for output in self.body.output]

    def stacked(self, position: int, parts: list[str], axis: int) -> None:
        """An output that collects one part of each iteration along a new axis."""
        if position >= len(self.node.outputs) or not self.node.outputs[position]:
            return
        output = self.node.outputs[position]
        more: dict[str, Any] = {"axes": [axis]}
        where: list[str] = []
        if self.node.opset >= 13:  # from then on the axes are an input
            more, where = {}, [self.constant(f"axis{position}", np.asarray([axis], np.int64))]
        rows = [self.add("Unsqueeze", [part, *where], f"{output}/{index}", **more) for index, part in enumerate(parts)]
        self.add("Concat", rows, output, axis=axis)

    def done(self, states: list[str]) -> tuple[tuple[Node, ...], dict[str, Any]]:
        """The nodes, and the body's own weights."""
        for state, output in zip(states, self.node.outputs, strict=False):
            if output:
                self.add("Identity", [state], output)
        weights = {self.own[tensor.name]: tensor for tensor in self.body.initializer}
        return tuple(named(self.protos, self.node.opset, f"{self.node.name}/")), weights


def loop(node: Node, known: Mapping[str, Lazy]) -> tuple[tuple[Node, ...], dict[str, Any]]:
    """A Loop that runs a constant number of times.

    Errors: ModelError where that number, or whether it goes on, is known only at run time.
    """
    body = body_of(node, "body")
    count = known[node.inputs[0]]() if node.given(0) in known else None
    if count is None:
        raise ModelError(
            f"the number of iterations of Loop must be a constant, not '{node.given(0)}'", remedy="unroll it"
        )
    if not _goes_on(node, body, known):
        raise ModelError("a Loop must run to its end, and this one decides at run time", remedy="unroll it")
    iterations = int(count.reshape(-1)[0])
    _check(node, iterations, len(body.node))
    made = _Written(node, body)
    states = list(node.inputs[2:])
    collected: list[list[str]] = []
    inputs = [value.name for value in body.input]
    for index in range(iterations):
        given = dict(zip(inputs[2:], states, strict=True))
        given[inputs[0]] = made.constant(f"iteration{index}", np.asarray(index, np.int64))
        given[inputs[1]] = made.constant(f"condition{index}", np.asarray(True))
        outputs = made.iteration(index, given)
        states = outputs[1 : 1 + len(states)]
        collected.append(outputs[1 + len(states) :])
    for position, parts in enumerate(zip(*collected, strict=True)):
        made.stacked(len(states) + position, list(parts), 0)
    return made.done(states)


def _goes_on(node: Node, body: Any, known: Mapping[str, Lazy]) -> bool:
    """Whether the condition is true before the loop and after each iteration, whatever happens."""
    start = node.given(1)
    if start and not (start in known and bool(np.all(known[start]()))):
        return False
    made = {output: inner for inner in body.node for output in inner.output}
    name = body.output[0].name
    while name in made and made[name].op_type in ("Identity", "Cast"):
        name = made[name].input[0]
    if name == body.input[1].name:
        return True
    values = {tensor.name: tensor for tensor in body.initializer}
    if name in made and made[name].op_type == "Constant":
        values[name] = next((item.t for item in made[name].attribute if item.name == "value"), None)
    return values.get(name) is not None and bool(np.all(onnx.numpy_helper.to_array(values[name])))


def scan(node: Node, infos: Mapping[str, Info]) -> tuple[tuple[Node, ...], dict[str, Any]]:
    """A Scan over as many steps as its scanned inputs are long.

    Errors: ModelError for the form it had before operator set 9.
    """
    body = body_of(node, "body")
    if node.opset < 9:
        raise ModelError("Scan must be that of operator set 9 or later", remedy="export the network again")
    count = node.integer("num_scan_inputs", 1)
    first = len(node.inputs) - count
    axes = node.ints("scan_input_axes", (0,) * count)
    backward = node.ints("scan_input_directions", (0,) * count)
    places = [axis % len(infos[name].shape) for axis, name in zip(axes, node.inputs[first:], strict=True)]
    steps = infos[node.inputs[first]].shape[places[0]]
    _check(node, steps, len(body.node))
    made = _Written(node, body)
    states = list(node.inputs[:first])
    collected: list[list[str]] = []
    inputs = [value.name for value in body.input]
    for index in range(steps):
        given = dict(zip(inputs, states, strict=False))
        for position, (name, axis, back) in enumerate(zip(node.inputs[first:], places, backward, strict=True)):
            at = made.constant(f"{index}/at{position}", np.asarray(steps - 1 - index if back else index, np.int64))
            row = f"{node.name}/{index}/row{position}"
            given[inputs[first + position]] = made.add("Gather", [name, at], row, axis=axis)
        outputs = made.iteration(index, given)
        states = outputs[:first]
        collected.append(outputs[first:])
    results = len(collected[0]) if collected else 0
    axes = node.ints("scan_output_axes", (0,) * results)
    backward = node.ints("scan_output_directions", (0,) * results)
    for position, parts in enumerate(zip(*collected, strict=True)):
        ordered = list(parts[::-1] if backward[position] else parts)
        made.stacked(first + position, ordered, axes[position])
    return made.done(states)


def _check(node: Node, iterations: int, nodes: int) -> None:
    if not 1 <= iterations * max(1, nodes) <= MOST_NODES:
        raise ModelError(
            f"{node.op_type} must unroll into 1 to {MOST_NODES} nodes, not {iterations} x {nodes}",
            remedy="give it a shorter sequence",
        )
