"""LSTM, GRU and RNN step by step: the loops compute what ONNX Runtime computes, and have the published products."""

from __future__ import annotations

import numpy as np
import pytest
from interpret import index_of, make_model, points, random, run_onnx
from onnx import helper

from weft.errors import ModelError
from weft.read.onnx import read_model

STEPS, BATCH, WIDTH, HIDDEN = 3, 2, 4, 3
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def network(op, direction="forward", states=False, **attributes):
    directions = 2 if direction == "bidirectional" else 1
    size = GATES[op] * HIDDEN
    weights = {"w": random(directions, size, WIDTH), "r": random(directions, size, HIDDEN, seed=1)}
    names = ["x", "w", "r"]
    if states:
        weights |= {"h0": random(directions, BATCH, HIDDEN, seed=2), "c0": random(directions, BATCH, HIDDEN, seed=3)}
        names += ["", "", "h0", *(["c0"] if op == "LSTM" else [])]
    outputs = ["y", "h", *(["c"] if op == "LSTM" else [])]
    node = helper.make_node(op, names, outputs, name="n", hidden_size=HIDDEN, direction=direction, **attributes)
    return make_model([node], {"x": [STEPS, BATCH, WIDTH]}, dict.fromkeys(outputs), weights), weights


def computed(workload, given):
    """All tensors of an unrolled node: products as they are, the passes of the cells by their names."""
    values = dict(given)
    shapes = {tensor.name: tensor.shape for tensor in workload.tensors}

    def read(op, operand, point):
        return values[operand.tensor][index_of(operand, point)[0]]

    for op in workload.ops:
        target = values.setdefault(op.output.tensor, np.zeros(shapes[op.output.tensor]))
        for point in points(op):
            where, _ = index_of(op.output, point)
            seen = [read(op, operand, point) for operand in op.inputs]
            target[where] = step_of(op, point, target[where], seen)
    return values


def step_of(op, point, so_far, seen):
    *_, word = op.name.split(".")
    if op.kind == "gemm":
        return so_far + seen[0] * seen[1]
    if op.kind == "copy":
        return seen[0]
    if word == "gates" and op.onnx == "LSTM":
        inner = sum(seen)
        return np.tanh(inner) if 2 * HIDDEN <= point["G"] < 3 * HIDDEN else sigmoid(inner)
    if word == "gates":
        return sigmoid(sum(seen))
    if word == "cell":  # input, forget and candidate come one after another
        parts = CELLS.setdefault((op.name, point["B"], point["G"]), [])
        parts.append(seen[0])
        old = seen[1] if len(seen) > 1 else 0.0
        return parts[0] * parts[2] + parts[1] * old if len(parts) == 3 else 0.0
    if word == "reset":
        return seen[0] * seen[1]
    if word == "new":
        return np.tanh(seen[0] + (seen[1] * (seen[2] if len(seen) > 2 else 1) if len(seen) > 1 else 0))
    if op.onnx == "LSTM":
        return seen[0] * np.tanh(seen[1])
    if op.onnx == "GRU":
        return (1 - seen[0]) * seen[1] + seen[0] * (seen[2] if len(seen) > 2 else 0)
    return np.tanh(sum(seen))


CELLS: dict[tuple[str, int, int], list[float]] = {}


@pytest.mark.parametrize("states", [False, True])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(
    ("op", "more"),
    [("LSTM", {}), ("RNN", {}), ("GRU", {}), ("GRU", {"linear_before_reset": 1})],
    ids=["LSTM", "RNN", "GRU", "GRU with the reset behind the product"],
)
def test_loops_compute_what_onnx_runtime_computes(op, more, direction, states):
    CELLS.clear()
    model, weights = network(op, direction, states, **more)
    given = weights | {"x": random(STEPS, BATCH, WIDTH, seed=9)}
    expected = run_onnx(model, given)
    if op == "LSTM":  # rows of the weights in the order input, forget, candidate, output
        order = [row + HIDDEN * gate for gate in (0, 2, 3, 1) for row in range(HIDDEN)]
        given |= {"w": given["w"][:, order], "r": given["r"][:, order]}
    found = computed(read_model(model), given)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("op", GATES)
def test_the_products_are_those_of_the_cells(op):
    model, _ = network(op, states=True)
    workload = read_model(model)
    size = GATES[op] * HIDDEN
    assert workload.macs == STEPS * BATCH * size * (WIDTH + HIDDEN)


def test_the_batch_may_come_first():
    model, _ = network("GRU", layout=1)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = BATCH
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = STEPS
    workload = read_model(model)
    assert workload.tensor("y").shape == (BATCH, STEPS, 1, HIDDEN)
    assert workload.tensor("h").shape == (BATCH, 1, HIDDEN)


def test_what_unrolling_says():
    model, _ = network("LSTM")
    texts = [note.text for note in read_model(model).notes]
    assert texts == [
        "LSTM unrolled into 3 steps of 1 direction(s): 13 ops",
        "the first step has no recurrent product: the state before it is zero",
    ]


def test_too_many_steps():
    model, _ = network("GRU")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2049
    with pytest.raises(ModelError) as caught:
        read_model(model)
    assert str(caught.value) == (
        "net: node 'n': GRU must have at most 2048 steps, not 2049; give it a shorter sequence"
    )
