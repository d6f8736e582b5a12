"""Reads the node tests that come with the onnx package, and writes docs/conformance.md: by operator, what is read."""

from __future__ import annotations

import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from weft.errors import ModelError
from weft.model.workload import Workload
from weft.read.onnx import read_model

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """One node test: its operator (that of the call it expands, for an expanded one), model, first inputs and outputs.

    `rtol` and `atol` are how close outputs must be.
    """

    name: str
    operator: str
    model: Any
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...] = ()
    rtol: float = 1e-3
    atol: float = 1e-7


@dataclass(frozen=True)
class Outcome:
    """What reading gave: a workload, or why not.

    Args:
        frozen: inputs that had to be made constants, with the values of the test.
        reasons: the problems as printed; empty where it was read.
    """

    case: Case
    workload: Workload | None
    frozen: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


def cases() -> list[Case]:
    """All node tests of the installed onnx package."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_model_tests

        loaded = load_model_tests(kind="node")
    models = {case.name: case.model or onnx.load(Path(case.model_dir) / "model.onnx") for case in loaded}
    result = []
    for case in loaded:
        base = re.sub(r"_expanded(_ver\d+)?$", "", case.name)
        nodes = models.get(base, models[case.name]).graph.node
        operator = next((node.op_type for node in reversed(nodes) if node.op_type != "Constant"), "Constant")
        inputs, outputs = map(tuple, case.data_sets[0]) if case.data_sets else ((), ())
        result.append(Case(case.name, operator, models[case.name], inputs, outputs, case.rtol, case.atol))
    return result


def outcome(case: Case) -> Outcome:
    """Read a case as it stands; where that fails, with its short lists of integers made constants."""
    try:
        return Outcome(case, read_model(case.model, name=case.name))
    except ModelError as error:
        reasons = tuple(problem.line for problem in error.problems)
    model, constants = frozen(case)
    if constants:
        try:
            return Outcome(case, read_model(model, name=case.name), constants)
        except ModelError:
            pass
    return Outcome(case, None, (), reasons)


def frozen(case: Case) -> tuple[Any, tuple[str, ...]]:
    """The model with inputs that say how large or where as weights: numbers in one row, but for the first input."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    names = []
    for value, given in zip(list(model.graph.input)[1:], case.inputs[1:], strict=False):
        if isinstance(given, np.ndarray) and given.ndim < 2 and given.dtype.kind in "ifb":
            model.graph.initializer.append(numpy_helper.from_array(given, value.name))
            model.graph.input.remove(value)
            names.append(value.name)
    return model, tuple(names)


def outcomes() -> Iterator[Outcome]:
    """Every case, read."""
    return map(outcome, cases())


def _kind(reason: str) -> str:
    """A reason without the file, node and names in it."""
    text = re.sub(r"^[^:]*: ((node|input|initializer|tensor) '[^']*'( and \d+ more)?: )?", "", reason)
    return re.sub(r"'[^']*'", "'...'", re.sub(r"-?\d+", "N", text)).replace("|", "\\|")


def page(results: list[Outcome]) -> str:
    """The page: totals, then a row for each operator."""
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for result in results:
        groups[result.case.operator].append(result)
    read = [result for result in results if result.workload]
    frozen = [result for result in read if result.frozen]
    lines = [
        "# Conformance",
        "",
        f"Made by `python docs/conformance.py` with onnx {onnx.__version__}: every node test that comes with the onnx",
        "package, written by others, is read or refused with a line for each problem.",
        "",
        f"**{len(read)} of {len(results)} are read**, {len(frozen)} of them once an input that says how large or where",
        "(axes, pads, a shape) is a constant, as exporters write it; the column *constant* counts these.",
        "",
        "| operator | read | constant | of | refused, and why |",
        "|---|---|---|---|---|",
    ]
    for operator, items in sorted(groups.items()):
        why = Counter(_kind(item.reasons[0]) for item in items if not item.workload)
        words = "; ".join(f"{count} x {text}" for text, count in why.most_common())
        done = [item for item in items if item.workload]
        lines.append(
            f"| {operator} | {len(done)} | {sum(bool(item.frozen) for item in done)} | {len(items)} | {words} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (HERE / "conformance.md").write_text(page(list(outcomes())), "utf-8")
