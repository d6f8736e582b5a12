"""The onnx package's own node tests, written by others: each is read or refused, and what is read holds together."""

from __future__ import annotations

import importlib.util
import math
import random
import re
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest

from weft.errors import ModelError
from weft.model.workload import intersect
from weft.read.onnx import read_model
from weft.report.coverage import coverage

SCRIPT = Path(__file__).parents[2] / "docs" / "conformance.py"
LEAST_READ = 1600
LEAST_READ_AS_THEY_STAND = 1530

LINE = re.compile(r"test_\w+: ((node|input|initializer|tensor) '.*?'( and \d+ more)?: )?\S.*\S(; \S.*\S)?")


@cache
def results():
    """Every node test with what reading it gave (an exception other than ModelError ends this)."""
    spec = importlib.util.spec_from_file_location("conformance", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["conformance"] = script
    spec.loader.exec_module(script)
    return tuple(script.outcomes())


def read():
    return [result for result in results() if result.workload]


def test_most_are_read():
    assert len(results()) >= 1800  # 1,884 in onnx 1.23
    assert len(read()) >= LEAST_READ
    assert sum(not result.frozen for result in read()) >= LEAST_READ_AS_THEY_STAND


def test_the_others_are_refused_with_a_line_for_each_problem_that_names_the_place_and_a_way_out():
    refused = [result for result in results() if not result.workload]
    for result in refused:
        assert result.reasons
        for line in result.reasons:
            assert LINE.fullmatch(line), line
            assert "; " in line, line
            assert len(line) < 400, line
            assert "must fit each other" not in line, line  # what the tests hold does fit


def visits(operand, dims):
    """How often each element of a tensor is touched by an operand while the dims that index it run once."""
    counts = np.ones((), dtype=np.int64)
    for axis in operand.axes:
        index = np.full((1,), axis.offset)
        for term in axis.terms:
            index = (index[:, None] + term.coefficient * np.arange(dims[term.dim])).reshape(-1)
        inside = index[(index >= 0) & (index < axis.size)]
        counts = np.multiply.outer(counts, np.bincount(inside, minlength=axis.size))
    return counts


def test_every_element_that_ops_write_is_written_once():
    for result in read():
        workload = result.workload
        shapes = {tensor.name: tensor.shape for tensor in workload.tensors}
        written = {}
        for op in workload.ops:
            counts = visits(op.output, op.size)
            assert counts.shape == shapes[op.output.tensor], (result.case.name, op.name)
            written[op.output.tensor] = written.get(op.output.tensor, 0) + counts
        for tensor, counts in written.items():
            assert (counts == 1).all(), (result.case.name, tensor)


def test_what_an_op_reads_is_written_before_or_given():
    for result in read():
        workload = result.workload
        made = {tensor.name for tensor in workload.tensors if tensor.role in ("input", "weight")}
        boxes = {}
        for index, op in enumerate(workload.ops):
            boxes.setdefault(op.output.tensor, []).append((index, op.output.box(op.whole())))
        for index, op in enumerate(workload.ops):
            for operand in op.inputs:
                root = workload.root(operand.tensor)
                box = workload.root_box(operand.tensor, operand.box(op.whole()))
                needed = [when for when, written in boxes.get(root, []) if intersect(written, box) is not None]
                assert root in made or needed, (result.case.name, op.name, operand.tensor)
                assert all(when < index for when in needed), (result.case.name, op.name, operand.tensor)
                assert tuple(axis.size for axis in operand.axes) == workload.tensor(operand.tensor).shape


def test_shapes_are_those_that_the_tests_state():
    for result in read():
        stated = {
            value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
            for value in result.case.model.graph.output
            if all(dim.HasField("dim_value") for dim in value.type.tensor_type.shape.dim)
        }
        for tensor in result.workload.tensors:
            if tensor.role == "output":
                assert tensor.shape == stated.get(tensor.name, tensor.shape), result.case.name


def test_no_op_does_fewer_steps_than_it_writes_elements():
    for result in read():
        for op in result.workload.ops:
            sizes = [axis.size for axis in op.output.axes]
            written = visits(op.output, op.size).sum()
            assert op.iterations >= written, (result.case.name, op.name)
            assert op.iterations <= 4 * math.prod(sizes) * max(
                1, *(math.prod(a.size for a in o.axes) for o in op.inputs)
            )


def test_no_node_is_lost_without_a_word():
    for result in read():
        assert [item for item in coverage(result.workload) if item.fate == "lost"] == [], result.case.name


def damaged(model, rng):
    """A copy of a model with one thing changed: an attribute, an input, a size, a type, the operator set."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    node = rng.choice(copy.graph.node)
    whole = [item for item in node.attribute if item.type == onnx.AttributeProto.INT]
    tensor = rng.choice(copy.graph.input).type.tensor_type if copy.graph.input else None
    dims = tensor.shape.dim if tensor else ()
    change = rng.randrange(8)
    if change == 0 and whole:
        rng.choice(whole).i = rng.choice([-5, -1, 0, 1, 2, 3, 100])
    elif change == 1 and node.attribute:
        del node.attribute[rng.randrange(len(node.attribute))]
    elif change == 2 and node.input:
        del node.input[rng.randrange(len(node.input))]
    elif change == 3 and node.input:
        node.input[rng.randrange(len(node.input))] = ""
    elif change == 4 and len(node.input) > 1:
        node.input.insert(0, node.input.pop())
    elif change == 5 and dims:
        rng.choice(dims).dim_value = rng.choice([0, 1, 2, 17])
    elif change == 6 and dims:
        del dims[rng.randrange(len(dims))]
    else:
        copy.opset_import[0].version = rng.choice([1, 8, 11, 13, 17, 21, 23])
    return copy


@pytest.mark.parametrize("count", [400, pytest.param(10_000, marks=pytest.mark.verify)])
def test_damaged_models_are_read_or_refused(count):
    rng = random.Random(count)
    every = [result.case for result in results() if result.case.model.graph.node]
    read, lines = 0, []
    for _ in range(count):
        model = damaged(rng.choice(every).model, rng)
        try:
            read_model(model, name="net")
            read += 1
        except ModelError as error:
            lines += [problem.line for problem in error.problems]
    assert count // 5 < read < count - count // 5
    assert all(line.startswith("net: ") for line in lines)


@pytest.mark.parametrize("operator", ["Conv", "MatMul", "Softmax", "Attention", "LayerNormalization", "Resize"])
def test_no_test_of_a_main_operator_is_refused(operator):
    missing = [result.case.name for result in results() if result.case.operator == operator and not result.workload]
    assert missing == []
