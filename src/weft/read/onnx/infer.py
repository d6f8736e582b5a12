"""From nodes to a graph with every shape known: calls replaced by what they call, constants computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx.helper

from weft.errors import Gathered, ModelError
from weft.model.workload import Note
from weft.read.onnx.constants import FOLDABLE, constant, fold, initializer_info, later, lazy
from weft.read.onnx.formats import Formats, carry
from weft.read.onnx.functions import branch, call, check_inputs, function_of, is_function
from weft.read.onnx.graph import Graph, Info, Lazy, Node, Raw, check_size, elements
from weft.read.onnx.microsoft import DEFINED
from weft.read.onnx.proto import elem_type, named
from weft.read.onnx.quantise import of_constants, settle
from weft.read.onnx.shapes import outputs_of
from weft.read.onnx.table import BUILDERS, WRITTEN
from weft.read.onnx.unknown import must_fit, refuse, unknown_operator
from weft.read.onnx.unroll import body_of, loop, scan

_COMPUTED = FOLDABLE | {"Constant", "Shape", "Size", "EyeLike", "If", "Loop", "Scan"}
"""Operators that may need no builder."""

GROWING = frozenset({"ConstantOfShape", "Expand", "Tile", "Pad", "OneHot", "EyeLike"})
"""Operators whose result may be far larger than what goes in; of Range, `fold` looks at the numbers."""

MOST_COMPUTED = 2**24
"""Elements of a constant that reading computes; weights are larger, but they are in the file."""


def refuse_unknown(raw: Raw, problems: Gathered[ModelError]) -> None:
    """One problem for each operator that weft knows in no way, pointing at the first node of it."""
    unknown: dict[str, list[Node]] = {}
    for node in _with_bodies(raw):
        if node.key not in BUILDERS.keys() | _COMPUTED and not is_function(raw, node):
            unknown.setdefault(node.key, []).append(node)
    for nodes in unknown.values():
        problems.add(unknown_operator(raw.where, nodes))


def _with_bodies(raw: Raw) -> Iterator[Node]:
    """The file's nodes, and those of each model-local function that they call, once."""
    waiting = list(reversed(raw.nodes))
    seen: set[tuple[str, str]] = set()
    while waiting:
        node = waiting.pop()
        yield node
        key = (node.proto.domain, node.op_type)
        if key in raw.functions and key not in seen:
            seen.add(key)
            waiting += reversed(list(named(raw.functions[key].node, node.opset, f"{node.name}/")))


class _Inference:
    """What is known so far, while nodes are gone through in order."""

    def __init__(self, raw: Raw) -> None:
        self.raw = raw
        self.infos: dict[str, Info] = dict(raw.inputs)
        self.known: dict[str, Lazy] = {}
        self.formats = Formats(raw.where, self.infos, self.known)
        self.notes = list(raw.notes)
        self.nodes: list[Node] = []
        self.read: list[tuple[str, str]] = []
        self.waiting = list(reversed(raw.nodes))
        self.used = {name for node in raw.nodes for name in node.inputs} | set(raw.outputs)
        for name, info in raw.inputs.items():
            if not elements(info.shape):
                self.known[name] = _empty(info)

    def step(self, node: Node) -> None:
        """One node: computed, replaced by others, left out for want of elements, or kept with its outputs' shapes."""
        values = None if self._would_grow(node) else fold(self.raw, node, self.infos, self.known)
        if values is not None:
            for output, value in zip(node.outputs, values, strict=False):
                if output:
                    self.infos[output] = Info(tuple(value.shape), str(value.dtype))
                    self.known[output] = constant(value)
            carry(self.formats, node)
            self._note(node, "computed while reading: it depends on constants only")
            return
        if node.key == "If":
            self._take_branch(node)
            return
        if node.key in ("Loop", "Scan"):
            self._unroll(node)
            return
        if node.key not in BUILDERS or self._extra_output(node):
            self._inline(node)
            return
        found = outputs_of(self.raw, node, self.infos, self.known)
        for output, info in found.items():
            self.infos[output] = info
            stated = self.raw.declared.get(output)
            if stated is not None and stated.shape != info.shape:
                text = f"'{output}' is declared {list(stated.shape)}, and follows as {list(info.shape)}"
                self.notes.append(Note(node.name, f"{text}: that counts"))
            if not elements(info.shape):
                self.known[output] = _empty(info)
        if node.key == "Dropout" and self._extra_output(node, 1):
            self.known[node.outputs[1]] = constant(np.ones(found[node.outputs[1]].shape, bool))  # it keeps all
        if all(output in self.known for output in found):
            self._note(node, "left out: its result has no elements")
            return
        stored = of_constants(self.formats, node)
        if stored is None:
            self.nodes.append(node)
        else:
            self.known[node.outputs[0]] = later(node, self.known)
            self.notes.append(Note(node.name, f"{node.op_type}: {stored}"))

    def _would_grow(self, node: Node) -> bool:
        """Whether computing a constant would make one that is too large to hold: few numbers can ask for very many.

        Errors: ModelError where no operator of weft's can stand for it.
        """
        if node.key not in GROWING or any(name not in self.known for name in node.inputs if name):
            return False
        found = outputs_of(self.raw, node, self.infos, self.known)
        large = [name for name, info in found.items() if elements(info.shape) > MOST_COMPUTED]
        if large and node.key not in BUILDERS:
            raise ModelError(
                f"a constant must have at most {MOST_COMPUTED:,} elements, and '{large[0]}' is "
                f"{list(found[large[0]].shape)}",
                remedy="give it as an input",
            )
        return bool(large)

    def _take_branch(self, node: Node) -> None:
        taken = self.known[node.inputs[0]]() if node.inputs[0] in self.known else None
        if taken is None:
            raise ModelError(
                f"the condition of If must be a constant, not '{node.inputs[0]}'",
                where=f"{self.raw.where}: node '{node.name}'",
                remedy="export the branch that is taken",
            )
        name = "then_branch" if bool(np.all(taken)) else "else_branch"
        nodes, weights = branch(node, body_of(node, name))
        self._note(node, f"replaced by its {name}: the condition is a constant")
        self._go_on_with(nodes, weights)

    def _unroll(self, node: Node) -> None:
        nodes, weights = loop(node, self.known) if node.key == "Loop" else scan(node, self.infos)
        self._note(node, f"unrolled: {len(nodes)} nodes named {node.name}/...")
        self._go_on_with(nodes, weights)

    def _inline(self, node: Node) -> None:
        """Replace a node by what it is made of.

        Errors: ModelError where nothing says what that is, or the node's second output is used and weft has no such.
        """
        function = function_of(self.raw, node, self.infos)
        if function is None and node.key in BUILDERS:
            raise ModelError(
                f"only the first output of {node.op_type} must be used, not '{self._extra_output(node)}'",
                where=f"{self.raw.where}: node '{node.name}'",
                remedy="export the network for inference",
            )
        if function is None:
            raise unknown_operator(self.raw.where, [node])
        nodes = call(node, function)
        whose = "weft's definition" if node.key in DEFINED else "ONNX's definition"
        if (node.proto.domain, node.op_type) in self.raw.functions:
            whose = "the file's function"
        remarks = f"; {function.doc_string}" if node.key in DEFINED and function.doc_string else ""
        self._note(node, f"inlined by {whose}: {len(nodes)} nodes named {node.name}/...{remarks}")
        self._go_on_with(nodes)

    def _extra_output(self, node: Node, written: int = 0) -> str:
        """An output that a later node reads behind those that the node's builder writes; "" where there is none."""
        extra = node.outputs[written or WRITTEN.get(node.key, 1) :]
        return next((name for name in extra if name and name in self.used), "")

    def _go_on_with(self, nodes: tuple[Node, ...], weights: Mapping[str, Any] = MappingProxyType({})) -> None:
        for name, tensor in weights.items():
            self.infos[name] = initializer_info(tensor, self.raw.where)
            self.known[name] = lazy(tensor)
        self.used |= {name for node in nodes for name in node.inputs}
        self.waiting += reversed(nodes)

    def _note(self, node: Node, text: str) -> None:
        self.notes.append(Note(node.name, f"{node.op_type} {text}"))


def infer(raw: Raw) -> Graph:
    """The graph with every shape known, constants folded and dead nodes left out.

    Errors:  ModelError for an operator that weft does not know, or a shape that cannot be found: all of them at once
             but for those that follow from another.
    """
    state = _Inference(raw)
    problems = Gathered(ModelError)
    broken: set[str] = set()
    for name, tensor in raw.constants.items():
        with problems.go_on():
            state.infos[name] = initializer_info(tensor, raw.where)
            check_size("it", state.infos[name].shape, f"{raw.where}: initializer '{name}'")
            state.known[name] = lazy(tensor)
            continue
        broken.add(name)
    while state.waiting:
        node = state.waiting.pop()
        state.read.append((node.name, node.op_type))
        if broken.isdisjoint(node.inputs):
            with problems.go_on(f"{raw.where}: node '{node.name}'"):
                refuse(raw.where, node)
                check_inputs(node)
                with must_fit(node, state.infos):
                    state.step(node)
                for output in node.outputs:
                    if output in state.infos:
                        check_size(f"'{output}'", state.infos[output].shape)
                continue
        broken.update(filter(None, node.outputs))  # what follows from a problem is none of its own
    problems.settle()
    live, dead = _split_dead(state.nodes, raw.outputs)
    notes = [*state.notes, *(Note(n.name, f"{n.op_type} left out: no output depends on it") for n in dead)]
    read = tuple(state.read)
    graph = Graph(
        raw.name, raw.where, live, state.infos, tuple(raw.inputs), raw.outputs, state.known, tuple(notes), read
    )
    return settle(graph, state.formats)


def _empty(info: Info) -> Lazy:
    """The values of a tensor without elements: a constant whatever makes it."""
    return lambda: np.empty(info.shape, onnx.helper.tensor_dtype_to_np_dtype(elem_type(info.dtype)))


def _split_dead(nodes: list[Node], outputs: tuple[str, ...]) -> tuple[tuple[Node, ...], list[Node]]:
    """Nodes that an output depends on, and the others."""
    wanted = set(outputs)
    live: list[Node] = []
    dead: list[Node] = []
    for node in reversed(nodes):
        if wanted.isdisjoint(node.outputs):
            dead.append(node)
        else:
            live.append(node)
            wanted.update(filter(None, node.inputs))
    return tuple(reversed(live)), dead[::-1]
