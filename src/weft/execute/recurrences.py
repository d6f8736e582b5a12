"""LSTM, GRU and RNN step by step on a tile: products with their biases, gates, what the cell does with them.

Gates of an LSTM lie in the order input, forget, cell, output; ONNX has output second. Biases of the inputs are added
behind the inputs' product, those of the state behind its own, or, where the state is zero, at the gates.
"""

from __future__ import annotations

import numpy as np

from weft.execute import products
from weft.execute.nodes import NoArithmetic
from weft.execute.offline import reordered
from weft.execute.tile import Tile
from weft.execute.values import Array
from weft.model.workload import Op
from weft.read.onnx.graph import Node

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_DEFAULTS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}


def lacking(node: Node) -> str | None:
    """What of a recurrent node has no arithmetic here; None where all has."""
    for name in ("clip", "input_forget", "activation_alpha", "activation_beta"):
        if node.attributes.get(name):
            return f"{node.op_type} with {name}"
    unknown = [name for name in _activations(node) if name not in ("Sigmoid", "Tanh", "Relu")]
    return f"{node.op_type} with {unknown[0]}" if unknown else None


def stepped(tile: Tile) -> Array:
    """One op of a recurrent node."""
    lengths = tile.constant(4)
    steps = tile.meaning.graph.shape(tile.node.inputs[0])[1 if tile.node.integer("layout", 0) else 0]
    if lengths is not None and (lengths != steps).any():
        raise NoArithmetic(f"{tile.node.op_type} over sequences of several lengths")
    step = _step(tile.op, tile.node)
    if step in ("inputs", "recurrent", "candidate"):
        return _product(tile, step)
    if step == "cell":
        return _cell(tile)
    read = [tile.loops(item, tile.real(item), ["B", "G"]) for item in tile.op.inputs]
    return tile.written(_visit(tile, step, read), ["B", "G"])


def _step(op: Op, node: Node) -> str:
    """What an op does: the last part of its name, "" for the hidden state."""
    last = op.name.removeprefix(node.name).rpartition(".")[2]
    return "" if last.isdigit() else last


def _direction(tile: Tile) -> int:
    both = tile.node.text("direction", "forward") == "bidirectional"
    return int(both and tile.op.name.startswith(f"{tile.node.name}.back."))


def _activations(node: Node) -> list[str]:
    stated = node.attributes.get("activations") or []
    return [item.decode() if isinstance(item, bytes) else str(item) for item in stated] or list(_DEFAULTS[node.op_type])


def _function(tile: Tile, number: int, values: Array) -> Array:
    """One of the node's activations, of the direction that the op is in."""
    named = _activations(tile.node)
    per = len(_DEFAULTS[tile.node.op_type])
    name = named[(_direction(tile) * per + number) % len(named)]
    if name == "Sigmoid":
        return np.asarray(1 / (1 + np.exp(-values)))
    return np.tanh(values) if name == "Tanh" else np.maximum(values, 0)


def _bias(tile: Tile, of_state: bool, start: int, stop: int) -> Array:
    """Rows of the biases of the inputs or of the state, in the order of the ops; zeros where there are none."""
    rows = tile.meaning.graph.shape(tile.node.inputs[1])[1]
    stated = tile.constant(3)
    if stated is None:
        return np.zeros(stop - start, np.float32)
    half = stated[:, rows:] if of_state else stated[:, :rows]
    return reordered(tile.node, half)[_direction(tile), start:stop]


def _product(tile: Tile, step: str) -> Array:
    rows = tile.op.inputs[1].axes[1]
    start, stop = tile.ranges["N"]
    bias = _bias(tile, step != "inputs", rows.offset + start, rows.offset + stop)
    return np.asarray(products.multiplied(tile) + bias)


def _cell(tile: Tile) -> Array:
    """The new state of an LSTM's cell: input gate x candidate, and forget gate x the old state."""
    gates, *old = tile.op.inputs
    three = tile.loops(gates, tile.real(gates), ["B", "G", "C"])
    made = three[..., 0] * three[..., 2]
    if old:
        made = made + three[..., 1] * tile.loops(old[0], tile.real(old[0]), ["B", "G"])
    return tile.written(made, ["B", "G"])


def _visit(tile: Tile, step: str, read: list[Array]) -> Array:
    """An elementwise op: gates, what a reset leaves, a candidate, the hidden state."""
    kind = tile.node.op_type
    start, stop = tile.ranges["G"]
    hidden = tile.meaning.graph.shape(tile.node.inputs[2])[2]
    if step == "gates" or kind == "RNN":
        total = read[0] + (read[1] if len(read) > 1 else _bias(tile, True, start, stop))
        if kind != "LSTM":
            return _function(tile, 0, total)
        rows = np.arange(start, stop)
        candidate = (rows >= 2 * hidden) & (rows < 3 * hidden)
        return np.where(candidate, _function(tile, 1, total), _function(tile, 0, total))
    if step == "reset":
        return read[0] * read[1]
    if step == "new":
        return _function(tile, 1, _candidate(tile, read, 2 * hidden + start, 2 * hidden + stop))
    if kind == "LSTM":
        return read[0] * _function(tile, 2, read[1])
    mixed = (1 - read[0]) * read[1]
    return mixed + read[0] * read[2] if len(read) > 2 else mixed


def _candidate(tile: Tile, read: list[Array], start: int, stop: int) -> Array:
    """What a GRU's candidate is a function of: its inputs and the state's product, reset before or after."""
    bias = _bias(tile, True, start, stop)
    if len(read) == 1:
        if tile.node.integer("linear_before_reset", 0) and bias.any():
            raise NoArithmetic("a GRU whose first candidate needs its reset gate")
        return np.asarray(read[0] + bias)
    return np.asarray(read[0] + (read[1] * read[2] if len(read) > 2 else read[1]))
