"""The library's networks by name. To add one: a module with `DESCRIPTION` and `build()`, and its name here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from weft.errors import ModelError, suggestion

if TYPE_CHECKING:
    import onnx

_NAMES = ("alexnet", "fsrcnn", "mobilenet_v2", "resnet18", "resnet8")


def names() -> tuple[str, ...]:
    """Names of the library's networks, sorted."""
    return _NAMES


def describe(name: str) -> str:
    """What the network is, in one line: task, input, where its structure is published.

    >>> describe("resnet8").split(",")[0]
    'ResNet-8 of MLPerf Tiny'
    """
    return str(import_module(_module(name)).DESCRIPTION)


def build(name: str) -> onnx.ModelProto:
    """The network as ONNX, the same bytes every time.

    Errors: ModelError where there is no network of that name.
    """
    return import_module(_module(name)).build()


def _module(name: str) -> str:
    if name not in _NAMES:
        raise ModelError(
            f"a network must be one of the library, not '{name}'",
            remedy=suggestion(name, _NAMES),
        )
    return f"weft.zoo.{name}"
