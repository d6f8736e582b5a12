"""From a `.pt2` file, a zip that torch.export.save wrote, to its JSON; nothing is unpickled, weights stay closed."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from weft.errors import ModelError

LARGEST = 32 << 20
"""Bytes of a description that is still read: thirteen thousand calls of 2.4 KB, as torchvision's ResNet-18 has."""

SCHEMA = 8
"""Major version of torch.export's schema that is read here; PyTorch 2.13 writes 8.20."""

_OLD_NAME = "serialized_exported_program.json"
_AGAIN = "save the program again with torch.export.save"


@dataclass(frozen=True, slots=True)
class Archive:
    """What a file holds: the program's JSON as Python has it, and a way to the bytes of a small constant by name."""

    where: str
    document: Any
    constant: Callable[[str], bytes | None]


def open_archive(source: Path | io.BytesIO, where: str) -> Archive:
    """The program in a file that torch.export.save wrote.

    Args:    source: path, or the file's bytes.   where: what errors point at.
    Errors:  ModelError where there is no such file, or it is no such archive, too large, or of another schema.
    """
    # os.path takes names that no file can have
    if isinstance(source, Path) and not os.path.isfile(source):
        problem = "a folder" if os.path.isdir(source) else "a path where there is none"
        raise ModelError(
            f"the model must be an existing .pt2 file, not {problem}",
            where=where,
            remedy="give the path of a .pt2 file",
        )
    try:
        archive = zipfile.ZipFile(source)
        name = _program_name(archive, where)
        document = json.loads(_read(archive, name, where))
    except ModelError:
        raise
    except OSError as error:
        raise ModelError(f"the model must be readable, not {error.strerror or error}", where=where) from None
    except ValueError:
        raise ModelError("the program in an archive must be JSON", where=where, remedy=_AGAIN) from None
    except Exception as error:  # by how the archive is packed: BadZipFile, zlib.error, RecursionError, ...
        raise ModelError(
            "the model must be a whole zip archive with JSON of sensible depth, and reading this one fails: "
            f"{str(error) or type(error).__name__}",
            where=where,
            remedy=_AGAIN,
        ) from None
    _check_schema(document, where)
    return Archive(where, document, _constants(archive, name))


def _program_name(archive: zipfile.ZipFile, where: str) -> str:
    """The entry with the program: models/<name>.json below the archive's root, or at it, as older files have it."""
    names = archive.namelist()
    found = [name for name in names if name.endswith(".json") and name.split("/")[-2:-1] == ["models"]]
    found = found or [name for name in names if name == _OLD_NAME]
    if not found:
        raise ModelError(
            "a .pt2 file must hold a program (models/model.json), and this one holds none",
            where=where,
            remedy="save it with torch.export.save; compiled and scripted models are not read",
        )
    main = [name for name in found if name.endswith("/model.json")] or found
    if len(main) > 1:
        raise ModelError(
            f"a .pt2 file must hold one program, not {len(main)}", where=where, remedy="save each in a file of its own"
        )
    return main[0]


def _read(archive: zipfile.ZipFile, name: str, where: str) -> bytes:
    if archive.getinfo(name).file_size > LARGEST:
        raise ModelError(
            f"the program in an archive must be at most {LARGEST >> 20} MiB, not {archive.getinfo(name).file_size} B",
            where=where,
            remedy="export a part of the network",
        )
    with archive.open(name) as stream:
        return stream.read(LARGEST + 1)


def _check_schema(document: Any, where: str) -> None:
    version = document.get("schema_version") if isinstance(document, dict) else None
    major = version.get("major") if isinstance(version, dict) else None
    if major != SCHEMA:
        minor = version.get("minor") if isinstance(version, dict) else None
        newer = isinstance(major, int) and major > SCHEMA
        given = f"{major}.{minor}" if isinstance(major, int) and isinstance(minor, int) else "none"
        raise ModelError(
            f"the program must follow version {SCHEMA} of torch.export's schema, not {given}",
            where=where,
            remedy="export it with an older PyTorch" if newer else "export it again with a newer PyTorch",
        )


def _constants(archive: zipfile.ZipFile, program: str) -> Callable[[str], bytes | None]:
    """Raw bytes of an entry of data/constants or data/weights, by the constant's name; None where there are none.

    Pickled constants (subclasses of tensors, custom objects) count as having none.
    """
    root = program.rsplit("models/", 1)[0] if "models/" in program else None

    @cache
    def config(kind: str) -> Any:
        return json.loads(_read(archive, f"{root}data/{kind}/model_{kind}_config.json", ""))["config"]

    def read(name: str) -> bytes | None:
        try:
            for kind in ("constants", "weights") if root is not None else ():
                if name in config(kind) and not config(kind)[name]["use_pickle"]:
                    return _read(archive, f"{root}data/{kind}/{config(kind)[name]['path_name']}", "")
        except Exception:  # a value that cannot be had is a value that is not known
            return None
        return None

    return read


def small_values(data: bytes | None, dtype: str, shape: tuple[int, ...]) -> np.typing.NDArray[np.generic] | None:
    """Bytes as an array; None where they do not fit the shape."""
    if data is None or len(data) != np.dtype(dtype).itemsize * int(np.prod(shape, dtype=np.int64)):
        return None
    return np.frombuffer(data, dtype=np.dtype(dtype).newbyteorder("<")).reshape(shape).astype(dtype)
