"""Weights as they lie in memory at first: what the reader says is prepared offline is done here."""

from __future__ import annotations

import math

import numpy as np

from weft.execute.meaning import Meaning
from weft.execute.values import Array
from weft.read.onnx.graph import Node

_LSTM_ORDER = (0, 2, 3, 1)
"""Where each gate of an LSTM, in the order of its ops (input, forget, cell, output), stands in ONNX's weights."""


def offline(meaning: Meaning, tensor: str, values: Array) -> Array:
    """An input or weight: the taps of a transposed convolution are reversed, per phase of its outputs, and the rows of
    an LSTM's gates are in another order.
    """
    for node in meaning.nodes.values():
        if node.op_type == "LSTM" and tensor in node.inputs[1:3]:
            return reordered(node, values)
        if node.op_type == "ConvTranspose" and tensor == node.given(1):
            rank = values.ndim - 2
            strides, dilations = (node.ints(name, (1,) * rank) for name in ("strides", "dilations"))
            return _reversed(values, strides, dilations)
    return values


def reordered(node: Node, weights: Array) -> Array:
    """The rows of an LSTM's weights, [directions, rows, ...], in the order of its ops; of GRU and RNN as they are."""
    if node.op_type != "LSTM":
        return weights
    blocks = weights.reshape(len(weights), 4, weights.shape[1] // 4, *weights.shape[2:])
    return blocks[:, _LSTM_ORDER].reshape(weights.shape)


def _reversed(weight: Array, strides: tuple[int, ...], dilations: tuple[int, ...]) -> Array:
    """The kernel with the taps that one output uses in reverse: every (stride / gcd(stride, dilation))-th."""
    for axis, (stride, dilation) in enumerate(zip(strides, dilations, strict=True), start=2):
        jump = stride // math.gcd(stride, dilation)
        order = np.arange(weight.shape[axis])
        for phase in range(jump):
            order[phase::jump] = order[phase::jump][::-1]
        weight = np.take(weight, order, axis=axis)
    return weight
