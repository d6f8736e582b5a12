"""Networks that cannot be: each gives these lines. The commonest mistakes of exporters are in `test_onnx_errors.py`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from weft.errors import ModelError
from weft.read import load

FLOAT = TensorProto.FLOAT
Shape = list[Any] | None


def network(nodes: list[Any], x: Shape, weights: dict[str, Any] | None = None, y: Shape = None, **more: Any) -> Any:
    """A network of `nodes` from x to y."""
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", FLOAT, x)],
        [helper.make_tensor_value_info("y", FLOAT, y)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], **more)


def one(op_type: str, inputs: str, x: Shape, weights: dict[str, Any] | None = None, **attributes: Any) -> Any:
    """A network of one node, called n."""
    return network([helper.make_node(op_type, inputs.split(), ["y"], name="n", **attributes)], x, weights)


def ones(*shape: int) -> Any:
    return np.ones(shape, np.float32)


def renamed(old: bytes, new: bytes) -> bytes:
    """A network whose bytes were changed: a name of the same length."""
    return bytes(one("Relu", "x", [2]).SerializeToString().replace(old, new))


def _missing_data() -> Any:
    """Weights of a shape and no data: their values are needed, for they are a shape."""
    model = one("Reshape", "x s", [4], {"s": np.array([2, 2])})
    model.graph.initializer[0].ClearField("raw_data")
    return model


def _negative_weight() -> Any:
    model = one("Conv", "x w", [1, 1, 4, 4], {"w": ones(1, 1, 3, 3)})
    model.graph.initializer[0].dims[0] = -1
    return model


def _two_of_everything() -> Any:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="same"),
        helper.make_node("Conv", ["a", "w"], ["b"], name="same"),
        helper.make_node("Add", ["b", "a"], ["y"], name=""),
    ]
    return network(nodes, [1, 1, 4, 4], {"w": ones(1, 2, 3, 3)})


def _sequence() -> Any:
    model = one("Relu", "x", [2])
    model.graph.input[0].type.sequence_type.elem_type.tensor_type.elem_type = FLOAT
    return model


CASES: dict[str, tuple[Callable[[], Any], str]] = {
    # files
    "a file that breaks off": (
        lambda: one("Conv", "x w", [1, 1, 4, 4], {"w": ones(1, 1, 3, 3)}).SerializeToString()[:-40],
        ("net.onnx: the model must be in ONNX format, and these bytes are not; export the network again"),
    ),
    "a text": (
        lambda: b"name: net\n",
        ("net.onnx: the model must be in ONNX format, and these bytes are not; export the network again"),
    ),
    "nothing": (
        lambda: b"",
        ("net.onnx: the model must be in ONNX format, and these bytes are not; export the network again"),
    ),
    "a name that is no text": (
        lambda: renamed(b"Relu", b"Re\xff\xfe"),
        "net.onnx: the names in a model must be UTF-8; export the network again",
    ),
    "no operator set": (
        lambda: (lambda m: (m.ClearField("opset_import"), m)[1])(one("Relu", "x", [2])),
        ("net.onnx: the model must name its operator set, and it names none; export the network again"),
    ),
    # sizes
    "sizes whose product nobody can hold": (
        lambda: one("Relu", "x", [10**9, 10**9]),
        (
            "net.onnx: input 'x': a tensor must have at most 2^40 elements, and it is [1000000000, 1000000000]; "
            "check the sizes"
        ),
    ),
    "a product of sizes beyond 64 bits": (
        lambda: one("MatMul", "x w", [2**39, 1], {"w": ones(1, 4)}),
        ("net.onnx: node 'n': a tensor must have at most 2^40 elements, and 'y' is [549755813888, 4]; check the sizes"),
    ),
    "a size below zero": (
        lambda: one("Relu", "x", [2, -7]),
        ("net.onnx: input 'x': a size must be positive, and axis 1 is -7; export the network with a fixed input shape"),
    ),
    "a size of zero": (
        lambda: one("Relu", "x", [0, 3]),
        ("net.onnx: input 'x': a size must be positive, and axis 0 is 0; export the network with a fixed input shape"),
    ),
    "a weight of a size below zero": (
        _negative_weight,
        (
            "net.onnx: initializer 'w': a size must not be negative, and its shape is [-1, 1, 3, 3]; "
            "export the network again"
        ),
    ),
    "a kernel larger than its image": (
        lambda: one("Conv", "x w", [1, 1, 4, 4], {"w": ones(1, 1, 5, 5)}),
        (
            "net.onnx: node 'n': a size must be positive, and 'y' is [1, 1, 0, 0]; "
            "check the sizes of the input, kernel and stride"
        ),
    ),
    "a pool larger than its image": (
        lambda: one("MaxPool", "x", [1, 1, 4, 4], kernel_shape=[5, 5]),
        (
            "net.onnx: node 'n': a size must be positive, and 'y' is [1, 1, 0, 0]; "
            "check the sizes of the input, kernel and stride"
        ),
    ),
    "several symbols": (
        lambda: one("Relu", "x", ["batch", "tokens", 8]),
        (
            "net.onnx: input 'x': every dim must have a size, and axis 0 is the symbol 'batch'; "
            "give --dim batch=1, or another size\n"
            "net.onnx: input 'x': every dim must have a size, and axis 1 is the symbol 'tokens'; "
            "give --dim tokens=1, or another size"
        ),
    ),
    # attributes
    "groups that do not divide": (
        lambda: one("Conv", "x w", [1, 4, 4, 4], {"w": ones(3, 2, 1, 1)}, group=2),
        (
            "net.onnx: node 'n': channels must agree: the input has 4, the weights [3, 2, 1, 1], in 2 group(s); "
            "export the network again"
        ),
    ),
    "no groups": (
        lambda: one("Conv", "x w", [1, 4, 4, 4], {"w": ones(4, 4, 1, 1)}, group=0),
        (
            "net.onnx: node 'n': channels must agree: the input has 4, the weights [4, 4, 1, 1], in 0 group(s); "
            "export the network again"
        ),
    ),
    "a stride of zero": (
        lambda: one("MaxPool", "x", [1, 1, 4, 4], kernel_shape=[2, 2], strides=[0, 1]),
        ("net.onnx: node 'n': strides must be 2 numbers of at least 1, not [0, 1]; export the network again"),
    ),
    "strides of another rank": (
        lambda: one("Conv", "x w", [1, 1, 4, 4], {"w": ones(1, 1, 1, 1)}, strides=[1]),
        (
            "net.onnx: node 'n': the shape of 'y' must follow from its inputs [1, 1, 4, 4], [1, 1, 1, 1], "
            "not: Attribute strides has incorrect size; "
            "check the attributes"
        ),
    ),
    "a pool without a kernel": (
        lambda: one("MaxPool", "x", [1, 1, 4, 4]),
        ("net.onnx: node 'n': kernel_shape must be 2 numbers of at least 1, not []; export the network again"),
    ),
    "text for an axis": (
        lambda: one("Concat", "x x", [2, 3], axis="one"),
        (
            "net.onnx: node 'n': the shape of 'y' must follow from its inputs [2, 3], [2, 3], "
            "not: Mismatched attribute type in 'n : axis'. Expected: 'INT', actual: 'STRING'; "
            "check the attributes"
        ),
    ),
    "an axis that is not there": (
        lambda: one("Concat", "x x", [2, 3], axis=5),
        (
            "net.onnx: node 'n': the shape of 'y' must follow from its inputs [2, 3], [2, 3], "
            "not: axis must be in [-rank, rank-1]; "
            "check the attributes"
        ),
    ),
    "an order that is none": (
        lambda: one("Transpose", "x", [2, 3], perm=[0, 0]),
        (
            "net.onnx: node 'n': the shape of 'y' must follow from its inputs [2, 3], "
            "not: Attribute perm for Transpose has repeated value: 0; "
            "check the attributes"
        ),
    ),
    "an axis beyond the rank": (
        lambda: one("Softmax", "x", [2, 3], axis=9),
        (
            "net.onnx: node 'n': the shape of 'y' must follow from its inputs [2, 3], "
            "not: 'axis' must be in [-2 , 1]. Its actual value is: 9; "
            "check the attributes"
        ),
    ),
    "a width of nothing": (
        lambda: one("Relu", "x", [2, 3], act_size=0),
        (
            "net.onnx: node 'n': act_size must be between 1 and 64 bits, not 0; "
            "leave the attribute out to take the type's own width"
        ),
    ),
    # shapes that do not go together
    "sums of other shapes": (
        lambda: one("Add", "x w", [2, 3], {"w": ones(2, 4)}),
        (
            "net.onnx: node 'n': the shape of 'y' must follow from its inputs [2, 3], [2, 4], "
            "not: Incompatible dimensions; "
            "check the shapes"
        ),
    ),
    "a reshape to another number": (
        lambda: one("Reshape", "x s", [2, 3], {"s": np.array([4, 2])}),
        (
            "net.onnx: node 'n': a reshape must keep the number of elements, not turn [2, 3] into [4, 2]; "
            "export the network again"
        ),
    ),
    "a product of a vector and an image": (
        lambda: one("Gemm", "x w", [1, 2, 3], {"w": ones(3, 4)}),
        (
            "net.onnx: node 'n': the shape of 'y' must follow from its inputs [1, 2, 3], [3, 4], "
            "not: Input 0 expected to have rank 2 but has rank 3 in node Gemm (n); "
            "check the shapes"
        ),
    ),
    "a convolution over a matrix": (
        lambda: one("Conv", "x w", [4, 4], {"w": ones(4, 4)}),
        (
            "net.onnx: node 'n': the shape of 'y' must follow from its inputs [4, 4], [4, 4], "
            "not: Input tensor must have at least 3 dimensions; "
            "check the shapes"
        ),
    ),
    "channels that do not go together": (
        lambda: one("Conv", "x w", [1, 3, 4, 4], {"w": ones(4, 2, 1, 1)}),
        (
            "net.onnx: node 'n': channels must agree: the input has 3, the weights [4, 2, 1, 1], in 1 group(s); "
            "export the network again"
        ),
    ),
    "parts that do not add up": (
        lambda: network([helper.make_node("Split", ["x", "s"], ["y", "z"], name="n")], [4], {"s": np.array([1, 1])}),
        (
            "net.onnx: node 'n': the shape of 'y' must follow from its inputs [4], [2], "
            "not: Mismatch between the sum of 'split' (2) and the split dimension of the input (4); "
            "check the shapes"
        ),
    ),
    # types and values
    "a sequence": (_sequence, "net.onnx: input 'x': an input must be a tensor; export the numeric part only"),
    "a shape that is not in the file": (
        _missing_data,
        (
            "net.onnx: node 'n': the shape of 'y' must follow from its inputs [4], [2]; "
            "simplify the model (for example with onnxslim)"
        ),
    ),
    "whole numbers times fractions": (
        lambda: one("MatMul", "x w", [2, 3], {"w": np.ones((3, 4), np.int64)}),
        (
            "net.onnx: node 'n': the shape of 'y' must follow from its inputs [2, 3], [3, 4], "
            "not: B has inconsistent type tensor(int64); "
            "check the types"
        ),
    ),
    "text as weights": (
        lambda: one("Gather", "w x", [2], {"w": np.array(["a", "b"], object)}),
        (
            "net.onnx: initializer 'w': a tensor must hold numbers of a type that ONNX defines, not type 8; "
            "export the numeric part only"
        ),
    ),
    # operators
    "an operator of no name": (
        lambda: one("", "x", [2]),
        (
            "net.onnx: node 'n': every operator must be one that weft knows, not one without a name; "
            "export the network without it"
        ),
    ),
    "an operator of another house": (
        lambda: one("Fancy", "x", [2], domain="com.acme"),
        (
            "net.onnx: node 'n': every operator must be one that weft knows, not Fancy of domain 'com.acme'; "
            "export the network with standard ONNX operators"
        ),
    ),
    "an image out of bytes": (
        lambda: one("ImageDecoder", "x", [2]),
        (
            "net.onnx: node 'n': every operator must be one that weft knows, not ImageDecoder; "
            "decode images before the network, and start it after"
        ),
    ),
    "a normalisation that is being trained": (
        lambda: one("BatchNormalization", "x a a a a", [1, 2, 4, 4], {"a": ones(2)}, training_mode=1),
        (
            "net.onnx: node 'n': BatchNormalization must be in inference mode, not in training mode; "
            "export the network for inference"
        ),
    ),
    "names that are repeated, or none": (
        _two_of_everything,
        (
            "net.onnx: node 'Add_2': the shape of 'y' must follow from its inputs [1, 1, 2, 2], [1, 1, 4, 4], "
            "not: Incompatible dimensions; "
            "check the shapes"
        ),
    ),
    "a name in another alphabet": (
        lambda: network([helper.make_node("Свёртка", ["x"], ["y"], name="узел")], [2]),
        (
            "net.onnx: node 'узел': every operator must be one that weft knows, not Свёртка; "
            "export the network without it"
        ),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_gives_its_lines(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make, expected = CASES[case]
    made = make()
    Path("net.onnx").write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
    with pytest.raises(ModelError) as caught:
        load("net.onnx")
    assert str(caught.value) == expected
