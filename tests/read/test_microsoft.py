"""ONNX Runtime's own operators: what each is read as computes what ONNX Runtime computes."""

from __future__ import annotations

import numpy as np
import pytest
from interpret import random
from onnx import helper

from weft.read.onnx import read_model
from weft.read.onnx.graph import Info
from weft.read.onnx.microsoft import DEFINED, definition
from weft.read.onnx.proto import named

X = random(2, 6, 8, seed=1)
Y = random(2, 6, 8, seed=2)
G, BIAS = random(8, seed=3), random(8, seed=4)
IDS = np.array([[1, 0, 3], [2, 2, 4]], dtype=np.int32)
ANGLES = np.arange(10)[:, None] / np.array([1.0, 7.0])
COS, SIN = np.cos(ANGLES).astype(np.float32), np.sin(ANGLES).astype(np.float32)
WIDE_COS, WIDE_SIN = np.repeat(COS, 4, axis=1), np.repeat(SIN, 4, axis=1)
IMAGE = random(1, 3, 6, 6)


def ints(*values):
    return np.array(values, dtype=np.int32)


CASES = {
    "FusedConv": (
        [IMAGE, random(4, 3, 3, 3), random(4), random(1, 4, 6, 6)],
        1,
        {"pads": [1] * 4, "activation": "Relu"},
    ),
    "FusedGemm": ([random(3, 4), random(5, 4), random(5)], 1, {"transB": 1, "activation": "Relu"}),
    "FusedMatMul": ([random(2, 4, 3), random(2, 5, 4)], 1, {"transA": 1, "transB": 1, "alpha": 0.5}),
    "SkipLayerNormalization": ([X, Y, G, BIAS, BIAS], 4, {"epsilon": 1e-3}),
    "SkipSimplifiedLayerNormalization": ([X, Y, G, BIAS], 4, {"epsilon": 1e-3}),
    "EmbedLayerNormalization": (
        [IDS, IDS % 2, random(5, 8), random(4, 8), random(2, 8), G, BIAS, ints(*[1] * 6).reshape(2, 3)],
        3,
        {},
    ),
    "Gelu": ([X], 1, {}),
    "FastGelu": ([X, BIAS], 1, {}),
    "BiasGelu": ([X, BIAS], 1, {}),
    "QuickGelu": ([X], 1, {"alpha": 1.5}),
    "MultiHeadAttention": ([X, Y[:, :5], X[:, 1:], random(24)], 1, {"num_heads": 2}),
    "Attention": ([X, random(8, 24), random(24)], 1, {"num_heads": 2, "unidirectional": 1}),
    "GroupQueryAttention": (
        [
            random(1, 3, 64),
            random(1, 3, 32),
            random(1, 3, 32),
            random(1, 2, 0, 16),
            random(1, 2, 0, 16),
            ints(2),
            np.array(3, dtype=np.int32),
            WIDE_COS,
            WIDE_SIN,
        ],
        3,
        {"num_heads": 4, "kv_num_heads": 2, "do_rotary": 1},
    ),
    "RotaryEmbedding": ([X[:, :, :], np.tile(np.arange(6), (2, 1)), COS, SIN], 1, {"num_heads": 2, "interleaved": 1}),
}


def domain_model(op_type, values, count, attributes):
    names = [f"i{n}" for n in range(len(values))]
    node = helper.make_node(
        op_type, names, [f"o{n}" for n in range(count)], name="n", domain="com.microsoft", **attributes
    )
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in zip(names, values, strict=True)
    ]
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output]
    graph = helper.make_graph([node], "net", inputs, outputs)
    opsets = [helper.make_opsetid("", 23), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def computed(model, feeds):
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


@pytest.mark.parametrize("op_type", CASES)
def test_what_it_is_made_of_computes_the_same(op_type):
    values, count, attributes = CASES[op_type]
    model = domain_model(op_type, values, count, attributes)
    feeds = {value.name: array for value, array in zip(model.graph.input, values, strict=True)}
    (node,) = named(model.graph.node, 23)
    infos = {name: Info(value.shape, str(value.dtype)) for name, value in feeds.items()}
    function = definition(node, infos, {})
    written = [name for name in function.output if name]
    body = helper.make_graph(
        function.node,
        "body",
        [
            helper.make_tensor_value_info(f"in{n}", helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for n, value in enumerate(values)
        ],
        [helper.make_empty_tensor_value_info(name) for name in written],
    )
    made = helper.make_model(body, opset_imports=function.opset_import, ir_version=11)
    from onnx.reference import ReferenceEvaluator

    found = ReferenceEvaluator(made).run(None, {f"in{n}": value for n, value in enumerate(values)})
    places = [int(name.removeprefix("out")) for name in written]
    wanted = [place for place in places if place < count]
    expected = dict(enumerate(computed(model, feeds)))
    for place, value in zip(places, found, strict=True):
        if (place in wanted and place in expected and op_type != "EmbedLayerNormalization") or place == 0:
            np.testing.assert_allclose(value, expected[place], rtol=2e-3, atol=2e-4, err_msg=str(place))


@pytest.mark.parametrize("op_type", CASES)
def test_it_is_read(op_type):
    values, _count, attributes = CASES[op_type]
    workload = read_model(domain_model(op_type, values, 1, attributes))
    assert workload.ops
    assert all(op.name == "n" or op.name.startswith("n/") for op in workload.ops)


def test_every_operator_that_is_defined_has_a_case_or_is_one_of_a_few_forms():
    forms = {
        *("NhwcConv", "FusedMatMulActivation", "TransposeMatMul", "SimplifiedLayerNormalization"),
        *("BiasAdd", "BiasSoftmax", "GroupNorm", "Trilu"),
    }
    assert {key.split("::")[-1] for key in DEFINED} == set(CASES) | forms


def test_keys_outside_the_window_of_an_attention_are_said_to_count():
    values, _count, attributes = CASES["GroupQueryAttention"]
    workload = read_model(domain_model("GroupQueryAttention", values, 1, attributes | {"local_window_size": 2}))
    (inlined,) = (note.text for note in workload.notes if note.subject == "n")
    assert inlined.endswith("nodes named n/...; keys outside its window of 2 count like others")
