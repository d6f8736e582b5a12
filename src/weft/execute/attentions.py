"""The ops of an Attention on a tile: scores, softcap, mask, softmax with what is hidden by position, weighted sum."""

from __future__ import annotations

import math

import numpy as np
import onnx.helper

from weft.execute import products
from weft.execute.tile import Tile
from weft.execute.values import Array
from weft.model.workload import Op


def attended(tile: Tile) -> Array:
    """One op of an Attention; copies of keys and values are moves and not its business."""
    step = _step(tile.op)
    if step == "scores":
        return _scores(tile)
    if step == "softcap":
        cap = np.asarray(tile.node.number("softcap", 0.0), tile.read["I"].dtype)
        return np.asarray(np.tanh(tile.real(tile.op.inputs[0]) / cap) * cap)
    if step == "mask":
        return _masked(tile)
    if step == "softmax":
        return _softmax(tile)
    return products.multiplied(tile)


def _step(op: Op) -> str:
    return op.name.rpartition(".")[2] if op.kind != "matmul" or op.name.endswith(".scores") else "sum"


def _scores(tile: Tile) -> Array:
    """Queries by keys, both times the root of the scale, which is one over the root of their size if not stated."""
    query, key = tile.op.inputs
    one, other = tile.real(query), tile.real(key)
    scale = tile.node.number("scale", 0.0) or 1 / math.sqrt(dict(tile.op.dims)["K"])
    factor = np.asarray(math.sqrt(scale), one.dtype)
    return products.product(tile, one * factor, other * factor).astype(one.dtype)


def _masked(tile: Tile) -> Array:
    """Scores and a mask that is added, or says what counts; what it is too short for does not."""
    scores, mask = (tile.read[item.name] for item in tile.op.inputs)
    hidden = np.asarray(-np.inf, scores.dtype)
    if mask.dtype.kind == "b":
        mask = np.where(mask, np.zeros((), scores.dtype), hidden)
    lacking = scores.shape[-1] - mask.shape[-1]
    if mask.shape[-1] != 1 and lacking:
        mask = np.concatenate([mask, np.full((*mask.shape[:-1], lacking), hidden)], axis=-1)
    return np.asarray(scores + mask)


def _softmax(tile: Tile) -> Array:
    """Over all keys that position lets a query see; zeros where it may see none."""
    stored = tile.real(tile.op.inputs[0])
    scores = np.where(_seen(tile), stored, np.asarray(-np.inf, stored.dtype))
    precision = tile.node.integer("softmax_precision", 0)
    if precision:
        scores = scores.astype(onnx.helper.tensor_dtype_to_np_dtype(precision))
    top = scores.max(axis=-1, keepdims=True)
    powers = np.exp(scores - np.where(np.isneginf(top), np.zeros((), scores.dtype), top))
    total = powers.sum(axis=-1, keepdims=True)
    return np.asarray((powers / np.where(total == 0, np.ones((), total.dtype), total)).astype(stored.dtype))


def _seen(tile: Tile) -> Array:
    """Whether a query may see a key, by their positions: causal, in a window, no padding."""
    node = tile.node
    (first, last), _, (start, stop), (low, high) = tile.box
    queries, keys = np.arange(start, stop)[:, None], np.arange(low, high)[None, :]
    lengths = tile.constant(6)
    graph = tile.meaning.graph
    past = graph.shape(node.inputs[4])[2] if node.given(4) else 0
    if lengths is not None and not past:
        count = tile.op.output.axes[2].size
        before = (lengths.reshape(-1)[first:last] - count).reshape(-1, 1, 1, 1)
    else:
        before = np.full((1, 1, 1, 1), past)
    ahead = keys - (queries + before)
    seen: Array = np.ones(ahead.shape, np.bool_)
    if node.integer("is_causal", 0):
        seen &= ahead <= 0
    left, right = node.integer("left_window_size", -1), node.integer("right_window_size", -1)
    if left >= 0:
        seen &= -ahead <= left
    if right >= 0:
        seen &= ahead <= right
    if lengths is not None:
        seen = seen & (keys < lengths.reshape(-1)[first:last].reshape(-1, 1, 1, 1))
    return seen
