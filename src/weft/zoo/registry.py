"""The library's networks by name. To add one: a module with `DESCRIPTION` and `build(net)`, and its name here."""

from __future__ import annotations

import math
from importlib import import_module
from typing import TYPE_CHECKING

from weft.errors import ModelError, suggestion

if TYPE_CHECKING:
    import onnx

_NAMES = (
    "alexnet",
    "bert_layer",
    "deepautoencoder",
    "deepautoencoder_qdq",
    "ds_cnn",
    "ds_cnn_qdq",
    "fsrcnn",
    "llama_block_decode",
    "llama_block_prefill",
    "mobilenet_v1",
    "mobilenet_v1_025",
    "mobilenet_v1_025_qdq",
    "mobilenet_v2",
    "resnet18",
    "resnet20",
    "resnet50",
    "resnet8",
    "resnet8_qdq",
    "squeezenet",
    "tiny_yolo",
    "vgg16",
    "vit_tiny",
)


def names() -> tuple[str, ...]:
    """Names of the library's networks, sorted."""
    return _NAMES


def describe(name: str) -> str:
    """What the network is, in one line: task, input, where its structure is published.

    >>> describe("resnet8").split(",")[0]
    'ResNet-8 of MLPerf Tiny'
    """
    return str(import_module(_module(name)).DESCRIPTION)


def build(name: str, values: bool = True) -> onnx.ModelProto:
    """The network as ONNX, the same bytes every time.

    Args:   values: false leaves the weights without data, so that a large network is there at once; it can be read
            and scheduled, and not executed.
    Errors: ModelError where there is no network of that name.
    """
    module = import_module(_module(name))
    from weft.zoo._net import Net

    return module.build(Net(name, values))


def parameters(model: onnx.ModelProto) -> int:
    """Trained values of one of these networks: weights, biases, norms and embeddings; no scalar, no shape, no scale."""
    from onnx import TensorProto

    return sum(
        math.prod(tensor.dims)
        for tensor in model.graph.initializer
        if tensor.dims and tensor.data_type != TensorProto.INT64 and not tensor.name.endswith(("_scale", "_zero_point"))
    )


def _module(name: str) -> str:
    if name not in _NAMES:
        raise ModelError(
            f"a network must be one of the library, not '{name}'",
            remedy=suggestion(name, _NAMES),
        )
    return f"weft.zoo.{name}"
