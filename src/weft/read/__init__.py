"""Opens what the user gives: networks (zoo names, ONNX files). Imports are lazy: `import weft.read` loads no onnx."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from weft.errors import ModelError, suggestion

if TYPE_CHECKING:
    from weft.model.workload import Workload


def load(model: str, dims: Mapping[str, int] | None = None) -> Workload:
    """The network that the user names.

    Args:    model: a zoo name ("resnet18") or the path of an `.onnx` file.   dims: sizes of symbolic dims by name.
    Returns: the workload as the model declares it: nothing folded, nothing re-priced.
    Errors:  ModelError when there is no such network, or it cannot be read.
    """
    from weft import zoo
    from weft.read.onnx import read_model, read_onnx

    if model in zoo.names():
        return read_model(zoo.build(model, values=False), dims, name=model)
    path = Path(model)
    if path.suffix == ".pt2":
        raise ModelError(
            "a network must be an ONNX file, not a torch export",
            where=model,
            remedy="write it with torch.onnx.export",
        )
    if path.suffix == ".onnx" or path.exists():
        return read_onnx(path, dims)
    raise ModelError(
        f"a network must be a zoo name or the path of an .onnx file, not '{model}'",
        remedy=suggestion(model, zoo.names()),
    )


def read_onnx(path: str | Path, dims: Mapping[str, int] | None = None) -> Workload:
    """The workload in an ONNX file; see `weft.read.onnx.read_onnx`."""
    from weft.read.onnx import read_onnx as read

    return read(path, dims)
