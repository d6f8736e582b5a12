"""What `weft doctor` looks at: versions, processors, what is kept on disk. Nothing heavy is imported for it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from weft.cache import Store, place
from weft.errors import OptionError
from weft.report.words import size

NEEDED = ("numpy", "numba", "onnx", "pydantic", "ruamel.yaml", "typer", "rich")
OPTIONAL = ("onnxruntime", "ortools")


def surroundings() -> tuple[tuple[tuple[str, str], ...], bool]:
    """(name, finding) lines, and whether everything that weft needs is there."""
    from weft import __version__

    lines = [
        ("weft", f"{__version__} in {_package()}"),
        ("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("processors", f"{usable_processors()} usable of {os.cpu_count()}"),
    ]
    sound = True
    for name in NEEDED + OPTIONAL:
        version = _version(name)
        missing = "missing: pip install weft again" if name in NEEDED else "not installed (not needed in this version)"
        lines.append((name, version or missing))
        sound &= version is not None or name in OPTIONAL
    folders = tuple(cache_folders())
    blocked = [folder for folder in folders if not _writable(folder)]
    kept = sum(1 for folder in folders for _ in folder.glob("*.nbi"))
    lines.append(
        (
            "kernel cache",
            f"cannot be written: {blocked[0]}; set NUMBA_CACHE_DIR to a folder that can"
            if blocked
            else "writable" + (f" in {folders[0]}" if os.environ.get("NUMBA_CACHE_DIR") else " beside weft's files"),
        )
    )
    lines.append(
        ("kernels", f"{kept} compiled" if kept else "none compiled yet; the first run takes some seconds more")
    )
    lines.append(("mapping cache", _mapping_cache()))
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        lines.append(("warning", "NUMBA_DISABLE_JIT is set: weft will be slow"))
    return tuple(lines), sound


OFF_BECAUSE = "WEFT_CACHE is 'off', or there is no home folder"


def cleared() -> str:
    """Removes every mapping that is kept, and says so.

    Errors: OptionError where the folder does not let them go.
    """
    folder = place()
    if folder is None:
        return f"nothing is kept: {OFF_BECAUSE}"
    try:
        count = Store(folder / "mappings").clear()
    except OSError as error:
        raise OptionError(
            f"--clear-cache must find a folder that it may empty, not '{folder}': {error.strerror}"
        ) from None
    return f"{_mappings(count)} removed from {folder}"


def _mappings(count: int) -> str:
    return f"{count:,} mapping{'' if count == 1 else 's'}"


def _mapping_cache() -> str:
    folder = place()
    if folder is None:
        return f"off: {OFF_BECAUSE}"
    count, held_bytes = Store(folder / "mappings").holds()
    held = f"{_mappings(count)}, {size(8 * held_bytes)}, in {folder} (weft doctor --clear-cache removes them)"
    if _writable(folder):
        return held
    return f"cannot be written: {folder}; runs search anew. WEFT_CACHE names another folder, or is off"


def usable_processors() -> int:
    """Processors that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _package() -> Path:
    return Path(__file__).resolve().parent.parent


def cache_folders() -> Iterator[Path]:
    """Where numba keeps weft's compiled kernels: NUMBA_CACHE_DIR, or __pycache__ beside each file with kernels."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given:
        root = Path(given)
        yield root
        if root.is_dir():
            yield from sorted(folder for folder in root.iterdir() if folder.is_dir())
        return
    folders = {path.parent for path in _package().rglob("*.py") if "from weft._jit import" in path.read_text("utf-8")}
    for folder in sorted(folders):
        yield folder / "__pycache__"


def _writable(folder: Path) -> bool:
    while not folder.exists():
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
