"""Executes the node tests that come with the onnx package, cut into tiles, and writes them into docs/numerics.md."""

from __future__ import annotations

import sys
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from conformance import Case, cases, frozen, outcome  # noqa: E402
from tests.execute.by_hand import schedule_by_hand  # noqa: E402

from weft.execute.meaning import NoArithmetic  # noqa: E402
from weft.execute.numerics import outputs_of  # noqa: E402
from weft.execute.values import Poisoned  # noqa: E402
from weft.read.onnx import read_graph  # noqa: E402


@dataclass(frozen=True)
class Execution:
    """What became of a node test.

    Args:
        state: "equal" (at the suite's tolerance), "different", "no arithmetic", "refused" by the reader.
        tiles, ops: executed.   parallel: ops with an axis that may be cut.   cut: of these, those in two or more tiles.
    """

    case: Case
    state: str
    reason: str = ""
    ops: int = 0
    tiles: int = 0
    parallel: int = 0
    cut: int = 0


def execution(case: Case) -> Execution:
    """One node test, read, cut, executed, and compared with the outputs that it comes with."""
    read = outcome(case)
    if read.workload is None:
        return Execution(case, "refused", "the reader refuses it (docs/conformance.md)")
    workload = read.workload
    model = frozen(case)[0] if read.frozen else case.model
    graph = read_graph(model, name=case.name)
    names = [value.name for value in case.model.graph.input]
    given = {name: value for name, value in zip(names, case.inputs, strict=False) if name not in read.frozen}
    given = {name: to_array(value) for name, value in given.items()}
    schedule = schedule_by_hand(workload)
    counts = Counter(task.op for task in schedule.tasks)
    parallel = [op.name for op in workload.ops if op.cuttable]
    seen = (len(workload.ops), len(schedule.tasks), len(parallel), sum(counts[name] > 1 for name in parallel))
    try:
        made = outputs_of(workload, schedule, "m", graph, given)
    except NoArithmetic as why:
        return Execution(case, "no arithmetic", str(why), *seen)
    except Poisoned as what:
        return Execution(case, "different", str(what), *seen)
    for value, wanted in zip(case.model.graph.output, case.outputs, strict=False):
        if value.name not in made:
            continue
        found, wanted = made[value.name], to_array(wanted)
        if found.dtype != wanted.dtype:
            return Execution(case, "different", f"{found.dtype} in place of {wanted.dtype}", *seen)
        if not close(found, wanted, case):
            return Execution(case, "different", "numbers", *seen)
    return Execution(case, "equal", "", *seen)


def to_array(value: Any) -> np.ndarray:
    """A tensor of a test as numpy has it."""
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)


def close(found: np.ndarray, wanted: np.ndarray, case: Case) -> bool:
    """As the suite compares: shapes equal, floats within its tolerance, all else equal."""
    if found.shape != wanted.shape:
        return False
    if wanted.dtype.kind in "iub":
        return np.array_equal(found, wanted)
    wide = np.float64
    with np.errstate(all="ignore"):
        return np.allclose(found.astype(wide), wanted.astype(wide), rtol=case.rtol, atol=case.atol, equal_nan=True)


def executions(chosen: Iterable[Case] | None = None) -> list[Execution]:
    """Every case, or the chosen ones."""
    return [execution(case) for case in (cases() if chosen is None else chosen)]


BEGIN = "<!-- made by docs/numerics.py -->"
"""Where in docs/numerics.md the part begins that this script writes."""


def _kind(item: Execution) -> str:
    """The reason without the node's name in front of it."""
    reason = item.reason.rpartition(": ")[2] if item.state == "no arithmetic" else item.reason
    return reason if " " in reason else "no arithmetic for its tiles yet"


def section(results: list[Execution]) -> str:
    """Totals, then a row for each operator whose tests are not all executed."""
    equal = [item for item in results if item.state == "equal"]
    tiled = [item for item in equal if item.tiles > item.ops]
    whole = len(equal) - len(tiled)
    lines = [
        BEGIN,
        "",
        "## Node tests",
        "",
        f"Made by `python docs/numerics.py` with onnx {onnx.__version__}: the node tests that come with the onnx",
        "package, written by others. Each is read, cut, scheduled by hand on one memory (every op in two parts along",
        "each axis that may be cut, at most eight tiles), executed, and compared with the outputs that come with it,",
        "at the suite's own tolerance.",
        "",
        f"**{len(equal)} of {len(results)} are executed and agree**, {len(tiled)} with ops in two or more tiles;",
        f"the other {whole} have no axis that may be cut. The rest by reason:",
        "",
        "| operator | agree | of | not executed, and why |",
        "|---|---|---|---|",
    ]
    groups: dict[str, list[Execution]] = defaultdict(list)
    for item in results:
        groups[item.case.operator].append(item)
    for operator, items in sorted(groups.items()):
        rest = Counter(_kind(item) for item in items if item.state != "equal")
        if rest:
            words = "; ".join(f"{count} x {text}" for text, count in rest.most_common())
            agree = sum(item.state == "equal" for item in items)
            lines.append(f"| {operator} | {agree} | {len(items)} | {words} |")
    complete = sorted(name for name, items in groups.items() if all(item.state == "equal" for item in items))
    lines += ["", "Operators all of whose tests agree:", ""]
    lines += textwrap.wrap(", ".join(complete) + ".", 120)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    page = HERE / "numerics.md"
    page.write_text(page.read_text("utf-8").partition(BEGIN)[0] + section(executions()), "utf-8")
