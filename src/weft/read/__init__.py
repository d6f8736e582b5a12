"""Opens what the user gives: networks (zoo names, ONNX files, torch exports, weft's own text form).

Imports are lazy: `import weft.read` loads no onnx.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weft.errors import ModelError, suggestion
from weft.read.nearby import nearby

if TYPE_CHECKING:
    from weft.model.workload import Workload

_TORCH = (
    "pickled or scripted by PyTorch",
    "export it: torch.export.save(torch.export.export(module, inputs), 'net.pt2')",
)
_TENSORFLOW = ("TensorFlow's", "convert it to ONNX with tf2onnx")
ELSEWHERE = {
    ".pt": _TORCH,
    ".pth": _TORCH,
    ".tflite": _TENSORFLOW,
    ".pb": _TENSORFLOW,
    ".h5": _TENSORFLOW,
    ".keras": _TENSORFLOW,
}
"""Endings of files that hold networks in forms that weft does not read: whose they are, and the way out."""


def load(model: str | Any, dims: Mapping[str, int] | None = None) -> Workload:
    """The network that the user names.

    Args:    model: a zoo name ("resnet18"), the path of an `.onnx`, `.pt2` or
             `.workload.yaml` file, or a `torch.export.ExportedProgram`.
             dims: sizes of symbolic dims by name.
    Returns: the workload as the model declares it: nothing folded, nothing re-priced.
    Errors:  ModelError when there is no such network, or it cannot be read.
    """
    from weft import zoo
    from weft.read.onnx import read_model, read_onnx

    if not isinstance(model, str):
        from weft.read.torch import read_exported

        return read_exported(model, dims)
    if model in zoo.names():
        return read_model(zoo.build(model, values=False), dims, name=model)
    path = Path(model)
    if path.suffix == ".pt2":
        from weft.read.torch import read_pt2

        return read_pt2(path, dims)
    if path.suffix in (".yaml", ".yml"):
        from weft.read.workload import read_workload

        if dims:
            raise ModelError(
                f"--dim must name a symbolic dim of the model, not '{next(iter(dims))}'",
                where=model,
                remedy="leave it out: every size of a network's text form is fixed",
            )
        return read_workload(path)
    if path.suffix in ELSEWHERE:
        given, way_out = ELSEWHERE[path.suffix]
        raise ModelError(f"a network must be an .onnx or .pt2 file, not {given}", where=model, remedy=way_out)
    if path.suffix == ".onnx" or os.path.exists(path):
        return read_onnx(path, dims)
    near = nearby(model, (".onnx", ".pt2", ".workload.yaml"))
    raise ModelError(
        f"a network must be a zoo name or the path of an .onnx or .pt2 file, not '{model}'",
        remedy=f"did you mean '{near}'?" if near else suggestion(model, zoo.names()),
    )


def with_values(model: str | Any) -> Any | None:
    """The network as an `onnx.ModelProto` with its weights, those in files beside it too where they are there.

    None where weft reads a network without its weights: a torch export, a text form.
    """
    from weft import zoo

    if not isinstance(model, str) or Path(model).suffix in (".pt2", ".yaml", ".yml"):
        return None
    if model in zoo.names():
        return zoo.build(model)
    from onnx.external_data_helper import load_external_data_for_model

    from weft.read.onnx.proto import open_file

    opened = open_file(Path(model))
    with suppress(Exception):  # files that are not there, or hold too little: those weights stay without values
        load_external_data_for_model(opened, str(Path(model).parent))
    return opened


def model_name(model: str | Any) -> str:
    """What results call a network: its name or path as the user gave it; of an exported program, its module's class."""
    if isinstance(model, str):
        return model
    from weft.read.torch import exported_name

    return exported_name(model)


def read_onnx(path: str | Path, dims: Mapping[str, int] | None = None) -> Workload:
    """The workload in an ONNX file; see `weft.read.onnx.read_onnx`."""
    from weft.read.onnx import read_onnx as read

    return read(path, dims)
