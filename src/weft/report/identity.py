"""What a result came from, as hashes that are the same on every machine: inputs, options, versions; never a time."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from fractions import Fraction
from importlib import metadata
from pathlib import Path
from typing import Any

import weft
from weft.run import RunResult

_VERSIONS = ("numpy", "numba", "onnx")
"""What the numbers of a result could depend on, besides weft."""


def manifest(result: RunResult, options: Mapping[str, Any]) -> dict[str, Any]:
    """What went in: enough to run it again and to see whether anything was different.

    Args: options: as resolved, `model` and `chip` among them as the user named them.
    """
    return {
        "weft": weft.__version__,
        "versions": {name: metadata.version(name) for name in _VERSIONS},
        "model": {
            "name": result.model,
            "file_sha256": file_hash(str(options.get("model", ""))),
            "as_scheduled_sha256": digest(result.workload),
        },
        "chip": {
            "name": result.chip.name,
            "file_sha256": file_hash(str(options.get("chip", ""))),
            "as_read_sha256": digest(result.chip),
        },
        "options": _plain(dict(options)),
        "seed": result.seed,
    }


def short_hash(result: RunResult, options: Mapping[str, Any]) -> str:
    """Ten hex digits of inputs and options; paths are no part of it, what is in the files is."""
    chosen = {key: value for key, value in options.items() if key not in ("model", "chip")}
    if file_hash(str(options.get("precision", ""))):
        del chosen["precision"]  # its widths are in the workload
    chosen["fuse"] = file_hash(str(options.get("fuse", ""))) or options.get("fuse")
    return digest([digest(result.workload), digest(result.chip), chosen, result.seed])[:10]


def digest(value: object) -> str:
    """SHA-256 of a value's content, whatever order its sets are in."""
    return hashlib.sha256(json.dumps(_plain(value), sort_keys=True).encode()).hexdigest()


def file_hash(name: str) -> str | None:
    """SHA-256 of a file, or None where the name is one of the library's."""
    path = Path(name)
    if not name or not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(value: object) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((_plain(item) for item in value), key=json.dumps)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Fraction | Path):
        return str(value)
    return value
