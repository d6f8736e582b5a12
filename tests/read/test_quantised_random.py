"""Random networks with quantisers strewn in: nothing is lost or read before it is made; MACs are the float one's."""

from __future__ import annotations

import random

import numpy as np
import pytest
from interpret import make_model
from onnx import TensorProto, helper

from weft.model.chip import Precision
from weft.read.fold import QUANTISERS, fold
from weft.read.onnx import read_model
from weft.read.precision import assume_precision
from weft.report.coverage import coverage
from weft.run import run

node = helper.make_node
F32 = np.float32


class Draft:
    """A network as it grows: tensors of shape [1, C, S, S] with their C and S."""

    def __init__(self, seed: int, quantise: bool) -> None:
        self.draw = random.Random(seed)
        self.dice = random.Random(seed + 1)  # of its own, so that the network is the same without quantisers
        self.quantise = quantise
        self.nodes = []
        self.weights = {"lo": np.int8(-8), "hi": np.int8(7)}
        self.weights |= {f"s{i}": F32(0.25 * (i + 1)) for i in range(2)}
        self.weights |= {"z0": np.int8(0), "z1": np.uint8(3)}
        self.live = {"x": (4, 6)}
        for _ in range(self.draw.randint(3, 9)):
            self.step()

    def name(self) -> str:
        return f"t{len(self.live)}"

    def add(self, op_type, inputs, shape, **attributes):
        output = self.name()
        self.nodes.append(node(op_type, inputs, [output], name=f"n_{output}", **attributes))
        self.live[output] = shape
        return output

    def pair(self, data, shape=None):
        """`data`, or what a quantiser and its inverse make of it."""
        if not self.quantise or self.dice.random() < 0.4:
            return data
        scale, zero = f"s{self.dice.randrange(2)}", f"z{self.dice.randrange(2)}"
        q = f"q{len(self.nodes)}"
        self.nodes.append(node("QuantizeLinear", [data, scale, zero], [q], name=f"n_{q}"))
        if zero == "z0" and self.dice.random() < 0.3:
            self.nodes.append(node("Clip", [q, "lo", "hi"], [f"{q}c"], name=f"n_{q}c"))
            q = f"{q}c"
        self.nodes.append(node("DequantizeLinear", [q, scale, zero], [f"{q}d"], name=f"n_{q}d"))
        return f"{q}d"

    def step(self) -> None:
        kind = self.draw.choice(
            ["Conv", "Conv", "Relu", "Sigmoid", "Add", "Concat", "MaxPool", "Transpose", "Identity"]
        )
        data = self.draw.choice(list(self.live))
        channels, size = self.live[data]
        read = self.pair(data)
        if kind == "Conv":
            out = self.draw.choice([2, 4])
            weight = f"w{len(self.nodes)}"
            self.weights[weight] = np.ones((out, channels, 1, 1), F32)
            self.add("Conv", [read, self.pair(weight)], (out, size))
        elif kind in ("Add", "Concat"):
            other = self.draw.choice([name for name, shape in self.live.items() if shape == (channels, size)])
            both = [read, self.pair(other)]
            if kind == "Add":
                self.add("Add", both, (channels, size))
            else:
                self.add("Concat", both, (2 * channels, size), axis=1)
        elif kind == "MaxPool":
            if size > 2:
                self.add("MaxPool", [read], (channels, size - 1), kernel_shape=[2, 2])
        elif kind == "Transpose":
            self.add("Transpose", [read], (channels, size), perm=[0, 1, 3, 2])
        else:
            self.add(kind, [read], (channels, size))

    def model(self):
        used = {name for made in self.nodes for name in made.input}
        ends = [name for name in self.live if name not in used] or [self.nodes[-1].output[0]]
        last = self.pair(ends[-1])
        outputs = dict.fromkeys(dict.fromkeys([*ends[:-1], last]))
        made = make_model(self.nodes, {"x": [1, 4, 6, 6]}, outputs, self.weights, opset=17)
        for value in made.graph.output:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
        return made


@pytest.mark.parametrize("seed", range(120))
def test_a_random_quantised_network_keeps_its_laws(seed):
    plain, model = Draft(seed, False), Draft(seed, True).model()
    folds = frozenset({"Relu"}) if seed % 2 else frozenset()
    if not any(made.op_type not in ("Transpose", "Identity") for made in plain.nodes):
        pytest.skip("views alone")
    expected, net = read_model(plain.model()), fold(read_model(model), folds)
    assert net.macs == expected.macs
    assert [item for item in coverage(net) if item.fate == "lost"] == []
    tensors = {tensor.name: tensor for tensor in net.tensors}
    made = {name for name, tensor in tensors.items() if tensor.role in ("input", "weight")}
    last = {op.output.tensor: index for index, op in enumerate(net.ops)}
    for index, op in enumerate(net.ops):
        for item in op.inputs:
            root = net.root(item.tensor)
            assert root in made or last[root] < index, (op.name, item.tensor)
        for item in op.operands:
            assert tuple(axis.size for axis in item.axes) == tensors[item.tensor].shape
    assert {tensor.name for tensor in net.tensors if tensor.role == "output"} == {
        value.name for value in model.graph.output
    }
    for view in net.views:
        assert tensors[view.tensor].bits == tensors[view.source].bits
    priced, _ = assume_precision(net, Precision(8, 8, 8))
    for tensor in priced.tensors:
        assert tensor.bits in (4, 8, 32)
        if tensor.bits == 32:
            assert net.root(tensor.name) == "x"
    if tensors["x"].bits == 32 and tensors["x"].type is not None:
        readers = {op.onnx for op in net.ops for item in op.inputs if net.root(item.tensor) == "x"}
        assert readers & QUANTISERS


@pytest.mark.parametrize("seed", range(6))
def test_a_random_quantised_network_runs_with_proof(seed, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(Draft(seed, True).model().SerializeToString())
    assert run(str(path), "tpu_like_quad", budget=1).proof.ok
