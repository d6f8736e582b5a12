"""Chains that stand for one operator are read as that operator, and compute the same; near misses stay as they are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from interpret import make_model, random, run_onnx
from onnx import helper

from weft.read.onnx import read_model

node = helper.make_node
SHAPE = [2, 3, 8]
NUMBERS = {
    "half": 0.5, "one": 1.0, "two": 2.0, "root2": math.sqrt(2), "inverse_root2": math.sqrt(0.5), "epsilon": 1e-5,
    "three": 3.0, "zero": 0.0, "six": 6.0,
}  # fmt: skip
WEIGHTS = {name: np.array(value, dtype=np.float32) for name, value in NUMBERS.items()}
WEIGHTS |= {"scale": random(8, seed=1), "shift": random(8, seed=2)}


def network(*nodes, outputs=("y",)):
    used = {name for item in nodes for name in item.input}
    weights = {name: value for name, value in WEIGHTS.items() if name in used}
    return make_model(list(nodes), {"x": SHAPE}, dict.fromkeys(outputs), weights, opset=13)


def chain(*steps):
    """Nodes from (operator, inputs, output) triples, named after their outputs."""
    return [node(op, inputs.split(), [output], name=output) for op, inputs, output in steps]


def mean(source, output):
    return node("ReduceMean", [source], [output], name=output, axes=[-1], keepdims=1)


def layer_norm(*, square="Pow"):
    squared = ("Pow", "d two", "s") if square == "Pow" else ("Mul", "d d", "s")
    return [
        mean("x", "m"),
        *chain(("Sub", "x m", "d"), squared),
        mean("s", "v"),
        *chain(("Add", "v epsilon", "e"), ("Sqrt", "e", "r"), ("Div", "d r", "n")),
    ]


def rms_norm(end):
    return [*chain(("Pow", "x two", "s")), mean("s", "v"), *chain(("Add", "epsilon v", "e"), ("Sqrt", "e", "r"), *end)]


CHAINS = {
    "Swish": (chain(("Sigmoid", "x", "g"), ("Mul", "x g", "y")), {}),
    "Swish, the other way round": (chain(("Sigmoid", "x", "g"), ("Mul", "g x", "y")), {}),
    "Mish": (chain(("Softplus", "x", "p"), ("Tanh", "p", "t"), ("Mul", "x t", "y")), {}),
    "HardSwish": (
        [node("HardSigmoid", ["x"], ["g"], name="g", alpha=1 / 6, beta=0.5), *chain(("Mul", "x g", "y"))],
        {},
    ),
    "HardSwish in full": (
        chain(("Add", "x three", "a"), ("Clip", "a zero six", "c"), ("Mul", "x c", "p"), ("Div", "p six", "y")),
        {},
    ),
    "Gelu": (
        chain(
            ("Div", "x root2", "d"), ("Erf", "d", "e"), ("Add", "e one", "a"), ("Mul", "x a", "p"),
            ("Mul", "p half", "y"),
        ),
        {},
    ),
    "Gelu, halved before": (
        chain(
            ("Mul", "x half", "h"), ("Mul", "x inverse_root2", "d"), ("Erf", "d", "e"), ("Add", "one e", "a"),
            ("Mul", "h a", "y"),
        ),
        {},
    ),
    "LayerNormalization": (
        [*layer_norm(), *chain(("Mul", "n scale", "k"), ("Add", "k shift", "y"))], {"more": ["scale", "shift"]},
    ),
    "LayerNormalization, squared by a product": (
        [*layer_norm(square="Mul"), *chain(("Mul", "n scale", "k"), ("Add", "k shift", "y"))],
        {"more": ["scale", "shift"]},
    ),
    "LayerNormalization, scale first": (
        [*layer_norm(), *chain(("Mul", "scale n", "k"), ("Add", "shift k", "y"))], {"more": ["scale", "shift"]},
    ),
    "LayerNormalization without shift": ([*layer_norm(), *chain(("Mul", "n scale", "y"))], {"more": ["scale"]}),
    "RMSNormalization": (rms_norm((("Div", "x r", "n"), ("Mul", "n scale", "y"))), {"more": ["scale"]}),
    "RMSNormalization by a reciprocal": (
        rms_norm((("Reciprocal", "r", "i"), ("Mul", "x i", "n"), ("Mul", "scale n", "y"))), {"more": ["scale"]},
    ),
    "RMSNormalization by a quotient": (
        rms_norm((("Div", "one r", "i"), ("Mul", "x i", "n"), ("Mul", "scale n", "y"))), {"more": ["scale"]},
    ),
}  # fmt: skip

DEFINITIONS = {
    "Swish": lambda x: x / (1 + np.exp(-x)),
    "Mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "HardSwish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "Gelu": lambda x: x / 2 * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
    "LayerNormalization": lambda x, scale=1.0, shift=0.0: (
        (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * scale + shift
    ),
    "RMSNormalization": lambda x, scale=1.0: x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * scale,
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_is_one_operator_and_computes_the_same(name):
    nodes, more = CHAINS[name]
    op_type = name.split(" ")[0].rstrip(",")
    workload = read_model(network(*nodes))
    (op,) = workload.ops
    assert (op.name, op.onnx) == ("y", op_type)
    x = random(*SHAPE, seed=5) * 3
    expected = run_onnx(network(*nodes), {"x": x})["y"]
    parameters = [WEIGHTS[key] for key in more.get("more", [])]
    assert [item.tensor for item in op.inputs] == ["x", *more.get("more", [])]
    np.testing.assert_allclose(DEFINITIONS[op_type](x, *parameters), expected, rtol=1e-4, atol=1e-5)
    said = {note.subject: note.text for note in workload.notes}
    assert said["y"] == f"{op_type} read from a chain of {len(nodes)} nodes: {', '.join(item.name for item in nodes)}"
    assert set(said) == {item.name for item in nodes}


NEAR_MISSES = {
    "another gate": chain(("Sigmoid", "x", "g"), ("Neg", "x", "q"), ("Mul", "q g", "y")),
    "a gate that is read twice": chain(("Sigmoid", "x", "g"), ("Mul", "x g", "s"), ("Add", "s g", "y")),
    "another slope": [node("HardSigmoid", ["x"], ["g"], name="g", alpha=0.2), *chain(("Mul", "x g", "y"))],
    "another root": chain(
        ("Div", "x two", "d"), ("Erf", "d", "e"), ("Add", "e one", "a"), ("Mul", "x a", "p"), ("Mul", "p half", "y")
    ),
    "another bound": chain(
        ("Add", "x three", "a"), ("Clip", "a one six", "c"), ("Mul", "x c", "p"), ("Div", "p six", "y")
    ),
    "a root of something else": rms_norm((("Neg", "x", "q"), ("Div", "q r", "y"))),
}


@pytest.mark.parametrize("name", NEAR_MISSES)
def test_a_near_miss_stays_as_it_is(name):
    nodes = NEAR_MISSES[name]
    assert [op.name for op in read_model(network(*nodes)).ops] == [item.name for item in nodes]


def test_what_is_an_output_of_the_network_stays_apart():
    nodes = chain(("Sigmoid", "x", "g"), ("Mul", "x g", "y"))
    assert [op.name for op in read_model(network(*nodes, outputs=("g", "y"))).ops] == ["g", "y"]


def test_a_difference_from_another_mean_is_normalised_by_its_own_squares():
    nodes = [
        *chain(("Neg", "x", "q")),
        mean("q", "m"),
        *chain(("Sub", "x m", "d"), ("Pow", "d two", "s")),
        mean("s", "v"),
        *chain(("Add", "v epsilon", "e"), ("Sqrt", "e", "r"), ("Div", "d r", "y")),
    ]
    assert [f"{op.name} {op.onnx}" for op in read_model(network(*nodes)).ops] == [
        "q Neg", "m ReduceMean", "d Sub", "y RMSNormalization",
    ]  # fmt: skip
