"""Networks exported by PyTorch (torch.export) as workloads, without PyTorch: by way of an ONNX model in memory."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from weft.errors import Gathered, ModelError
from weft.model.workload import Note, Workload
from weft.read.onnx import read_model
from weft.read.torch.archive import open_archive
from weft.read.torch.convert import convert
from weft.read.torch.program import Program, parse


def read_pt2(path: str | Path, dims: Mapping[str, int] | None = None) -> Workload:
    """The workload in a file that torch.export.save wrote; weights are never opened, nothing is unpickled.

    Args:    path: the file.   dims: sizes for symbolic dims: `<input>_<axis>` of the first axis that has the symbol.
    Returns: the workload, named after the file.
    Errors:  ModelError where the file, the program or an operator cannot be read.
    """
    return _read(Path(path), dims or {}, where=str(path), name=Path(path).stem)


def read_exported(program: Any, dims: Mapping[str, int] | None = None) -> Workload:
    """The workload of a `torch.export.ExportedProgram` in this process; its weights pass through memory once.

    Returns: the workload, named after the module's class.
    Errors:  ModelError as `read_pt2`, and where the object is no such program.
    """
    name = exported_name(program)
    import torch

    data = io.BytesIO()
    torch.export.save(program, data)
    data.seek(0)
    return _read(data, dims or {}, where=name, name=name)


def exported_name(program: Any) -> str:
    """The class of the module that was exported, as its calls record it; "exported" where they do not.

    Errors: ModelError where the object is no exported program, told by what it has: PyTorch is not imported.
    """
    if not hasattr(program, "graph_module") or not hasattr(program, "graph_signature"):
        raise ModelError(
            f"a network must be a name, a path or a torch.export.ExportedProgram, not of type {type(program).__name__}",
            remedy="export a module with torch.export.export",
        )
    for node in program.graph_module.graph.nodes:
        for path, module in (node.meta.get("nn_module_stack") or {}).values():
            if not path:
                return str(module if isinstance(module, str) else module.__name__).rpartition(".")[2]
    return "exported"


def _read(source: Path | io.BytesIO, dims: Mapping[str, int], where: str, name: str) -> Workload:
    archive = open_archive(source, where)
    program = parse(archive, dims)
    model, notes = convert(program)
    workload = read_model(model, name=name, where=where)
    _check_shapes(program, workload)
    version = archive.document.get("torch_version")
    origin = Note(name, f"exported by PyTorch {version}") if isinstance(version, str) else None
    return replace(workload, notes=(*([origin] if origin else []), *notes, *workload.notes))


def _check_shapes(program: Program, workload: Workload) -> None:
    """What the calls make has the shape that the program states."""
    problems = Gathered(ModelError)
    for tensor in workload.tensors:
        stated = program.metas.get(tensor.name)
        if stated is not None and stated.shape != tensor.shape:
            problems.add(
                ModelError(
                    f"a tensor must have the shape that its calls make, and '{tensor.name}' is stated "
                    f"{list(stated.shape)} and follows as {list(tensor.shape)}",
                    where=program.where,
                    remedy="save the program again with torch.export.save",
                )
            )
    problems.settle()
