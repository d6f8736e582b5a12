"""The run folder: what went in, what came out, and a page to read it on."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from weft.errors import OptionError
from weft.model.schedule import LaneLoad, PortLoad, Residency, Schedule, Task, Transfer, Use
from weft.model.workload import Box
from weft.read.fusion import fusion_text
from weft.report.files import cannot_write, why_not, write_bytes, write_text
from weft.report.identity import manifest, short_hash
from weft.report.page import page
from weft.report.trace import trace_bytes
from weft.run import ParetoResult, RunResult
from weft.schedule.given import told

DEFAULT = Path("weft-runs")
FUSION = "groups, steps and places of this run: weft run --fuse fusion.yaml makes the same schedule"
Json = dict[str, Any]


def check_folder(out: Path | None) -> None:
    """Complain about a place that a run folder cannot go to, before the work starts."""
    folder = out or DEFAULT
    there = next(path for path in (folder, *folder.parents, Path.cwd()) if os.path.lexists(path))
    if not there.is_dir():
        given = f"the file '{out}'" if there == folder else f"'{folder}' below the file '{there}'"
        raise OptionError(f"--out must be a folder, not {given}")
    reason = why_not(there / "manifest.json")
    if reason:
        raise OptionError(
            f"the run folder must go to a place that can be written, not '{folder}': {reason}",
            remedy="name another with --out",
        )


def write_run_folder(result: RunResult, out: Path | None, options: Mapping[str, Any]) -> Path:
    """Write what a run came to, each file whole or not at all.

    summary.json, ops.csv, schedule.json, trace.pftrace, fusion.yaml, report.html, manifest.json.

    Args:    out: the folder, made if need be; None: `weft-runs/<model>-<chip>-<hash>`.
             options: as resolved, `model` and `chip` among them.
    Returns: the folder. manifest.json is written last: a folder that has one is complete.
    """
    folder = out or DEFAULT / default_name(result, options)
    network = result.solution.stream.alone if result.solution.stream else result.workload
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "manifest.json").unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    write_text(folder / "summary.json", json.dumps(result.to_json(), indent=1, allow_nan=False) + "\n")
    write_text(folder / "ops.csv", ops_csv(result))
    write_text(folder / "schedule.json", "".join(schedule_lines(result.schedule)))
    write_bytes(folder / "trace.pftrace", trace_bytes(result.schedule, result.chip))
    write_text(folder / "fusion.yaml", fusion_text(told(network, result.solution.design), FUSION))
    write_text(folder / "report.html", page(result))
    write_text(folder / "manifest.json", json.dumps(manifest(result, options), indent=1) + "\n")
    return folder


def write_front_folder(result: ParetoResult, out: Path | None, options: Mapping[str, Any]) -> Path:
    """A run folder for every point of a front (`point01`, `point02`, ...), and summary.json for all of them.

    Args:    as in `write_run_folder`; each point's manifest names the objective that it was found for.
    """
    folder = out or DEFAULT / default_name(result.points[0], options)
    for number, point in enumerate(result.points, 1):
        write_run_folder(point, folder / f"point{number:02}", {**options, "objective": point.objective})
    write_text(folder / "summary.json", json.dumps(result.to_json(), indent=1, allow_nan=False) + "\n")
    return folder


_FILES = (".onnx", ".pt2", ".workload.yaml")


def default_name(result: RunResult, options: Mapping[str, Any]) -> str:
    """`<model>-<chip>-<hash>`, safe as a file name."""
    stem = Path(result.model.removesuffix(".yaml")).stem if result.model.endswith(_FILES) else result.model
    names = (re.sub(r"[^A-Za-z0-9_.]+", "_", name).strip(".") or "x" for name in (stem, result.chip.name))
    return "-".join((*names, short_hash(result, options)))


def ops_csv(result: RunResult) -> str:
    """One line per op; lists are joined by spaces, loop sizes read `K64 C3`."""
    rows = result.op_rows()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows[0])
    for row in rows:
        writer.writerow([_cell(value) for value in row.values()])
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        return " ".join(f"{key}{':' if key[-1].isdigit() else ''}{item}" for key, item in value.items())
    if isinstance(value, list):
        return " ".join(map(str, value))
    return value


def schedule_lines(schedule: Schedule) -> Iterator[str]:
    """The schedule as JSON, one event or residency a line, so that two of them can be compared line by line."""
    yield f'{{\n"workload": {json.dumps(schedule.workload)},\n"chip": {json.dumps(schedule.chip)},\n'
    yield f'"latency_cycles": {schedule.latency_cycles},\n"tasks": '
    yield from _list(_task(task) for task in schedule.tasks)
    yield ',\n"transfers": '
    yield from _list(_transfer(move) for move in schedule.transfers)
    yield ',\n"residencies": '
    yield from _list(_residency(held) for held in schedule.residencies)
    yield "\n}\n"


def _list(items: Iterator[Json]) -> Iterator[str]:
    start = "[\n"
    for item in items:
        yield start + json.dumps(item, allow_nan=False)
        start = ",\n"
    yield "]" if start == ",\n" else "[]"


def _rate(rate: Fraction) -> str:
    return f"{rate.numerator}/{rate.denominator}"


def _loads(ports: Sequence[PortLoad], lanes: Sequence[LaneLoad]) -> Json:
    return {
        "ports": [{"memory": load.memory, "port": load.port, "rate": _rate(load.rate)} for load in ports],
        "lanes": [{"link": load.link, "lane": load.lane, "rate": _rate(load.rate)} for load in lanes],
    }


def _box(box: Box) -> list[list[int]]:
    return [list(side) for side in box]


def _use(use: Use) -> Json:
    return {
        "operand": use.operand,
        "tensor": use.tensor,
        "memory": use.memory,
        "boxes": [_box(box) for box in use.boxes],
        "residencies": list(use.residencies),
        "streamed": use.streamed,
    }


def _task(task: Task) -> Json:
    return {
        "id": task.id,
        "op": task.op,
        "core": task.core,
        "start": task.start,
        "end": task.end,
        "ranges": {dim: list(span) for dim, span in task.ranges},
        "reads": [_use(use) for use in task.reads],
        "writes": _use(task.writes),
        "workspace": [{"memory": memory, "bits": bits} for memory, bits in task.workspace],
        **_loads(task.ports, task.lanes),
        "energy_pj": task.energy_pj,
        "mapping": task.mapping,
    }


def _transfer(move: Transfer) -> Json:
    return {
        "id": move.id,
        "tensor": move.tensor,
        "box": _box(move.box),
        "routes": [
            {"memories": list(route.memories), "links": list(route.links), "residency": made}
            for route, made in zip(move.routes, move.residencies, strict=True)
        ],
        "start": move.start,
        "end": move.end,
        "bits": move.bits,
        "rate": _rate(move.rate),
        "setup_cycles": move.setup_cycles,
        "sources": list(move.sources),
        **_loads(move.ports, move.lanes),
        "energy_pj": move.energy_pj,
    }


def _residency(held: Residency) -> Json:
    return {
        "id": held.id,
        "memory": held.memory,
        "tensor": held.tensor,
        "box": _box(held.box),
        "bits": held.bits,
        "start": held.start,
        "valid_from": held.valid_from,
        "end": held.end,
        "writer": held.writer,
    }
