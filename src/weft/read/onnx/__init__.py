"""ONNX networks as workloads: every node an op with affine maps, a view, or a note; never silently nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weft.errors import Gathered, ModelError
from weft.model.workload import Workload
from weft.read.onnx.emit import emit
from weft.read.onnx.fuse import fuse
from weft.read.onnx.graph import Graph
from weft.read.onnx.infer import infer, refuse_unknown
from weft.read.onnx.proto import open_file, prepare


def read_onnx(path: str | Path, dims: Mapping[str, int] | None = None) -> Workload:
    """The workload in an ONNX file; external weight data is never opened.

    Args:    path: the file.   dims: sizes for symbolic dims, by name.
    Returns: the workload, named after the file.
    Errors:  ModelError where the file, the graph or an operator cannot be read.
    """
    model = open_file(Path(path))
    return _read(model, dims or {}, where=str(path), name=Path(path).stem)


def read_model(
    source: str | Path | Any,
    dims: Mapping[str, int] | None = None,
    name: str | None = None,
    where: str | None = None,
) -> Workload:
    """The workload in an ONNX file or an `onnx.ModelProto` (which is left unchanged).

    Args:    source: path, or the model itself.   dims: sizes for symbolic dims.   name: the workload's name.
             where: what errors point at, by default the name.
    Returns: the workload, named `name`, or else after the file or the graph.
    Errors:  ModelError as `read_onnx`.
    """
    if isinstance(source, str | Path):
        return read_onnx(source, dims)
    label = name or _graph_name(source) or "model"
    return _read(source, dims or {}, where=where or label, name=label)


def read_graph(model: Any, dims: Mapping[str, int] | None = None, name: str = "model") -> Graph:
    """The graph that the workload of an `onnx.ModelProto` is made from: nodes, constants, scales.

    Errors:  ModelError as `read_onnx`.
    """
    return _graph(model, dims or {}, where=name, name=name)


def _read(model: Any, dims: Mapping[str, int], where: str, name: str) -> Workload:
    return emit(_graph(model, dims, where, name))


def _graph(model: Any, dims: Mapping[str, int], where: str, name: str) -> Graph:
    problems = Gathered(ModelError)
    raw = prepare(model, dims, where=where, name=name, problems=problems)
    refuse_unknown(raw, problems)
    problems.settle()
    return fuse(infer(raw))


def _graph_name(model: Any) -> str:
    """The graph's own name; "" where it is no text, which reading then refuses."""
    try:
        return model.graph.name if isinstance(model.graph.name, str) else ""
    except UnicodeDecodeError:
        return ""
