"""What became of every node of a file: nothing is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from weft import zoo
from weft.read import load
from weft.read.chip import read_chip
from weft.read.fold import fold
from weft.report.coverage import by_operator, coverage

MODELS = sorted((Path(__file__).parents[3] / "shared" / "models").glob("*.onnx"))


@pytest.mark.parametrize("name", zoo.names())
def test_every_node_of_the_zoo_is_accounted_for(name: str) -> None:
    plain = load(name)
    for workload in (plain, fold(plain, read_chip("tpu_like").folds)):
        covered = coverage(workload)
        assert len(covered) == len(workload.nodes) > 0
        assert [item for item in covered if item.fate == "lost"] == []
        assert sum(item.macs for item in covered) == workload.macs


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_node_of_exported_files_is_accounted_for(path: Path) -> None:
    workload = load(str(path))
    assert [item for item in coverage(workload) if item.fate == "lost"] == []


def test_a_node_of_which_nothing_is_left_is_lost() -> None:
    workload = load("resnet8")
    (add,) = (op for op in workload.ops if op.name == "stage1.add")
    gone = replace(workload, ops=tuple(op for op in workload.ops if op is not add))
    assert [item.node for item in coverage(gone) if item.fate == "lost"] == ["stage1.add"]


def test_nodes_are_counted_by_operator() -> None:
    workload = fold(load("resnet8"), frozenset({"Relu"}))
    rows = {row.onnx: (row.fate, row.nodes) for row in by_operator(coverage(workload))}
    assert rows == {
        "Conv": ("op", 9),
        "Gemm": ("op", 1),
        "Add": ("op", 3),
        "AveragePool": ("op", 1),
        "Softmax": ("op", 1),
        "Relu": ("in another op", 7),
        "Flatten": ("free view", 1),
    }
