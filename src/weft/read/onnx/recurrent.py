"""LSTM, GRU and RNN unrolled in time: one product for all inputs, then for each step a product and its gates.

Per direction: `<node>.inputs`, then at step s `<node>.<s>.recurrent`, `.gates` and what the cell does with them; the
last op of a step writes its row of Y. A backward direction has `.back` in its names. Gates of an LSTM lie in the order
input, forget, cell, output, so that each op reads one box: the rows of the weights are put in that order offline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from weft.errors import ModelError
from weft.model.workload import Axis, Kind, Note, Op, Tensor
from weft.read.dtypes import dtype_bits
from weft.read.onnx.conv import bias_notes
from weft.read.onnx.graph import Emitted, Graph, Node, axis, operand

MOST_STEPS = 2048
"""Steps that are unrolled: at five ops each, what a search still gets through."""

_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}

_Seen = tuple[str, list[Axis]]
"""A tensor and how an op indexes it."""


@dataclass(slots=True)
class _Direction:
    """One direction of one node while its steps are written.

    Args:
        states: the tensor of all hidden states.   inputs: that of the product with all inputs.
    """

    graph: Graph
    node: Node
    index: int
    name: str
    states: str
    steps: int
    batch: int
    hidden: int
    directions: int
    ops: list[Op] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    inputs: str = ""

    @property
    def first(self) -> bool:
        """Whether batch comes before time."""
        return self.node.integer("layout", 0) == 1

    @property
    def each(self) -> tuple[tuple[str, int], ...]:
        """Loops over a state."""
        return (("B", self.batch), ("G", self.hidden))

    def add(self, name: str, kind: Kind, dims: tuple[tuple[str, int], ...], read: list[_Seen], written: _Seen) -> None:
        """An op; the operands of a product are A, B, O."""
        letters = ("A", "B") if kind == "gemm" else ("I", "I2", "I3", "I4")
        operands = [
            operand(letter, "W" if position == 1 else "I", tensor, axes)
            for position, (letter, (tensor, axes)) in enumerate(zip(letters, read, strict=False))
        ]
        operands.append(operand("O", "O", *written))
        label = f"{self.name}.{name}"
        self.ops.append(Op(label, kind, self.node.op_type, dims, tuple(operands), nodes=(self.node.name,)))

    def tensor(self, name: str, *shape: int) -> str:
        """A new tensor between two ops."""
        dtype = self.graph.infos[self.node.inputs[0]].dtype
        self.tensors.append(Tensor(f"{self.name}.{name}", shape, dtype_bits(dtype), "intermediate", dtype))
        return self.tensors[-1].name

    def row(self, at: int, loop: str, feature: str) -> _Seen:
        """One step of all hidden states."""
        place = [axis(self.steps, offset=at), axis(self.directions, offset=self.index), axis(self.batch, loop)]
        return self.states, [*(place[2:] + place[:2] if self.first else place), axis(self.hidden, feature)]

    def state(self, tensor: str, loop: str, feature: str) -> _Seen:
        """An initial or a last state."""
        own = [axis(self.directions, offset=self.index), axis(self.batch, loop)]
        return tensor, [*(own[::-1] if self.first else own), axis(self.hidden, feature)]

    def part(self, at: int, offset: int = 0) -> _Seen:
        """Gates of the inputs' product at one step, from `offset` on."""
        gates = axis(_GATES[self.node.op_type] * self.hidden, "G", offset=offset)
        return self.inputs, [axis(self.steps, offset=at), axis(self.batch, "B"), gates]

    def of(self, tensor: str, total: int, offset: int = 0) -> _Seen:
        """Features of a tensor [batch, total], from `offset` on."""
        return tensor, [axis(self.batch, "B"), axis(total, "G", offset=offset)]

    def product(self, name: str, count: int, offset: int, of: list[_Seen]) -> str:
        """The product of a state with `count` rows of the recurrent weights; "" where the state is zero."""
        if not of:
            return ""
        target = self.tensor(name, self.batch, count)
        rows = axis(_GATES[self.node.op_type] * self.hidden, "N", offset=offset)
        weight = (self.node.inputs[2], [axis(self.directions, offset=self.index), rows, axis(self.hidden, "K")])
        dims = (("M", self.batch), ("N", count), ("K", self.hidden))
        self.add(name, "gemm", dims, [*of, weight], (target, [axis(self.batch, "M"), axis(count, "N")]))
        return target

    def visit(self, name: str, count: int, read: list[_Seen]) -> str:
        """One pass over the batch and `count` features, into a new tensor."""
        target = self.tensor(name, self.batch, count)
        self.add(name, "elementwise", (("B", self.batch), ("G", count)), read, self.of(target, count))
        return target


_Before = Callable[[str, str], list[_Seen]]
"""The hidden state before a step, indexed by two loops; nothing where it is zero."""


def recurrent(graph: Graph, node: Node) -> Emitted:
    """The steps of a recurrent node in order, and its last states.

    Errors: ModelError for peepholes, and for more steps than can be unrolled.
    """
    for position in range(3):
        graph.check_rank(node, position, 3)
    shape = graph.shape(node.inputs[0])
    first = node.integer("layout", 0) == 1
    steps, batch = (shape[1], shape[0]) if first else (shape[0], shape[1])
    directions, _, hidden = graph.shape(node.inputs[2])
    if node.given(7):
        raise ModelError("LSTM must have no peepholes", remedy="export the network without them")
    if steps * directions > MOST_STEPS:
        raise ModelError(
            f"{node.op_type} must have at most {MOST_STEPS} steps, not {steps * directions}",
            remedy="give it a shorter sequence",
        )
    way = node.text("direction", "forward")
    back = f"{node.name}.back"
    names = {"forward": [node.name], "reverse": [back]}.get(way, [node.name, back])
    dtype = graph.infos[node.inputs[0]].dtype
    states = node.outputs[0]
    tensors: list[Tensor] = []
    if not graph.is_used(states):
        states = f"{node.name}.states"
        sizes = (batch, steps, directions, hidden) if first else (steps, directions, batch, hidden)
        tensors.append(Tensor(states, sizes, dtype_bits(dtype), "intermediate", dtype))
    ops: list[Op] = []
    for index, name in enumerate(names):
        made = _Direction(graph, node, index, name, states, steps, batch, hidden, directions)
        _unroll(made, list(range(steps - 1, -1, -1) if name == back else range(steps)))
        ops += made.ops
        tensors += made.tensors
    notes = [
        *bias_notes(graph, node, 3),
        Note(node.name, f"{node.op_type} unrolled into {steps} steps of {len(names)} direction(s): {len(ops)} ops"),
    ]
    if node.given(4):
        notes.append(Note(node.name, "shorter sequences count in full"))
    if not node.given(5):
        notes.append(Note(node.name, "the first step has no recurrent product: the state before it is zero"))
    return Emitted(tuple(ops), tensors=tuple(tensors), notes=tuple(notes))


def _unroll(made: _Direction, order: list[int]) -> None:
    """All steps of one direction."""
    graph, node = made.graph, made.node
    width = graph.shape(node.inputs[0])[2]
    gates = _GATES[node.op_type] * made.hidden
    made.inputs = made.tensor("x", made.steps, made.batch, gates)
    place = [axis(made.steps, "M"), axis(made.batch, "M2")]
    made.add(
        "inputs",
        "gemm",
        (("M", made.steps), ("M2", made.batch), ("N", gates), ("K", width)),
        [
            (node.inputs[0], [*(place[::-1] if made.first else place), axis(width, "K")]),
            (node.inputs[1], [axis(made.directions, offset=made.index), axis(gates, "N"), axis(width, "K")]),
        ],
        (made.inputs, [*place, axis(gates, "N")]),
    )
    cell = [made.state(node.inputs[6], "B", "G")] if node.given(6) else []
    for step, at in enumerate(order):

        def before(loop: str, feature: str, step: int = step) -> list[_Seen]:
            if step:
                return [made.row(order[step - 1], loop, feature)]
            return [made.state(node.inputs[5], loop, feature)] if node.given(5) else []

        if node.op_type == "RNN":
            _rnn_step(made, step, at, before)
        elif node.op_type == "GRU":
            _gru_step(made, step, at, before)
        else:
            cell = _lstm_step(made, step, at, before, cell)
    if len(node.outputs) > 1 and graph.is_used(node.outputs[1]):
        read = [made.row(order[-1], "B", "G")]
        made.add("last", "copy", made.each, read, made.state(node.outputs[1], "B", "G"))


def _rnn_step(made: _Direction, step: int, at: int, before: _Before) -> None:
    total = made.product(f"{step}.recurrent", made.hidden, 0, before("M", "K"))
    read = [made.part(at), *([made.of(total, made.hidden)] if total else [])]
    made.add(f"{step}", "elementwise", made.each, read, made.row(at, "B", "G"))


def _lstm_step(made: _Direction, step: int, at: int, before: _Before, cell: list[_Seen]) -> list[_Seen]:
    """The new cell's state: input x candidate + forget x old one; what is shown of it is the hidden state."""
    size = 4 * made.hidden
    total = made.product(f"{step}.recurrent", size, 0, before("M", "K"))
    gates = made.visit(f"{step}.gates", size, [made.part(at), *([made.of(total, size)] if total else [])])
    outputs = made.node.outputs
    last = step == made.steps - 1 and len(outputs) > 2 and made.graph.is_used(outputs[2])
    if last:
        new = made.state(outputs[2], "B", "G")
    else:
        new = made.of(made.tensor(f"{step}.c", made.batch, made.hidden), made.hidden)
    three = (gates, [axis(made.batch, "B"), axis(size, ("C", made.hidden), "G")])
    made.add(f"{step}.cell", "reduce", (*made.each, ("C", 3)), [three, *cell], new)
    shown = [made.of(gates, size, 3 * made.hidden), new]
    made.add(f"{step}", "elementwise", made.each, shown, made.row(at, "B", "G"))
    return [new]


def _gru_step(made: _Direction, step: int, at: int, before: _Before) -> None:
    """Update and reset gates, the candidate behind the reset, and the mix of candidate and old state."""
    hidden = made.hidden
    after = made.node.integer("linear_before_reset", 0) != 0
    size = (3 if after else 2) * hidden
    total = made.product(f"{step}.recurrent", size, 0, before("M", "K"))
    gates = made.visit(f"{step}.gates", 2 * hidden, [made.part(at), *([made.of(total, size)] if total else [])])
    read = [made.part(at, 2 * hidden)]
    if total and after:
        read += [made.of(total, size, 2 * hidden), made.of(gates, 2 * hidden, hidden)]
    elif total:
        reset = made.visit(f"{step}.reset", hidden, [made.of(gates, 2 * hidden, hidden), *before("B", "G")])
        of = [(reset, [axis(made.batch, "M"), axis(hidden, "K")])]
        read.append(made.of(made.product(f"{step}.candidate", hidden, 2 * hidden, of), hidden))
    new = made.visit(f"{step}.new", hidden, read)
    mixed = [made.of(gates, 2 * hidden), made.of(new, hidden), *before("B", "G")]
    made.add(f"{step}", "elementwise", made.each, mixed, made.row(at, "B", "G"))
