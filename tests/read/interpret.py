"""A naive executor of workloads for tests: walks every point of the loops and indexes tensors by their affine maps."""

from __future__ import annotations

from itertools import product

import numpy as np
import onnx
from onnx import helper, numpy_helper

from weft.model.workload import Op, Workload

TYPES = {"float32": onnx.TensorProto.FLOAT, "int64": onnx.TensorProto.INT64, "int8": onnx.TensorProto.INT8}


def make_model(nodes, inputs, outputs, weights=None, opset=17, functions=(), name="net", dtype="float32"):
    """A ModelProto; `inputs` and `outputs` are {name: shape}, `weights` {name: array}."""
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(key, TYPES[dtype], shape) for key, shape in inputs.items()],
        [helper.make_tensor_value_info(key, TYPES[dtype], shape) for key, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in (weights or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset)] + [helper.make_opsetid(f.domain, 1) for f in functions]
    return helper.make_model(graph, opset_imports=opsets, functions=list(functions), ir_version=8)


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def points(op: Op):
    """Every point of an op's loops, as {dim: index}."""
    names = [name for name, _ in op.dims]
    for index in product(*(range(size) for _, size in op.dims)):
        yield dict(zip(names, index, strict=True))


def index_of(operand, point):
    """The tensor index that an operand touches at a point, and whether it is inside the tensor."""
    index = tuple(sum(t.coefficient * point[t.dim] for t in axis.terms) + axis.offset for axis in operand.axes)
    return index, all(0 <= i < axis.size for i, axis in zip(index, operand.axes, strict=True))


BASE = 1000
"""Coordinates of an address are digits to this base."""


def is_picked(operand):
    return any(axis.scattered for axis in operand.axes)


def picked(op, operand, point, value):
    """The index of an operand whose scattered axes are named by the op's other input."""
    other = [item for item in op.inputs if not is_picked(item)][-1]
    named = int(value(other.tensor)[index_of(other, point)[0]])
    index = list(index_of(operand, point)[0])
    places = [i for i, axis in enumerate(operand.axes) if axis.scattered]
    if op.onnx == "ReverseSequence":
        (time,) = places
        index[time] = named - 1 - index[time] if index[time] < named else index[time]
        return tuple(index)
    for i in reversed(places):
        named, index[i] = divmod(named, BASE) if len(places) > 1 else (0, named % operand.axes[i].size)
    return tuple(index)


def run(workload: Workload, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """All tensors of a workload, computed point by point from its inputs and weights."""
    values = dict(given)
    shapes = {tensor.name: tensor.shape for tensor in workload.tensors}
    views = {view.tensor: view for view in workload.views}

    def value(name):
        if name not in views:
            return values[name]
        view = views[name]
        source = value(view.source)
        return source.transpose(view.order) if view.kind == "transpose" else source.reshape(shapes[name])

    for op in workload.ops:
        target = op.output.tensor
        if target not in values:
            values[target] = np.full(shapes[target], np.nan, dtype=np.float64)
        gathered: dict[tuple[int, ...], list] = {}
        for point in points(op):
            where, inside = index_of(op.output, point)
            if not inside:
                continue
            read = []
            for operand in op.inputs:
                if any(axis.scattered for axis in operand.axes):
                    index, present = picked(op, operand, point, value), True
                else:
                    index, present = index_of(operand, point)
                read.append(value(operand.tensor)[index] if present else None)
            if op.kind == "copy" and any(map(is_picked, op.inputs)):
                read = [item for item, operand in zip(read, op.inputs, strict=True) if is_picked(operand)]
            if op.onnx == "RotaryEmbedding" and op.kind == "reduce":
                read = [turned(point["R"], point["C"], *read[:3])]
            gathered.setdefault(where, []).append(read)
        for where, reads in gathered.items():
            assert np.isnan(values[target][where]), f"{op.name} writes {where} of {target} twice"
            values[target][where] = RULES[op.onnx if op.kind in ("pool", "reduce", "elementwise") else op.kind](reads)
        if op.kind == "softmax":
            powers = np.exp(values[target] - values[target].max(axis=-1, keepdims=True))
            values[target] = powers / powers.sum(axis=-1, keepdims=True)
    for name in views:
        values[name] = value(name)
    return values


def turned(written, read, number, cosine, sine):
    """What one member of a pair adds to a member of the turned pair."""
    return number * (cosine if written == read else sine if written else -sine)


def _products(reads):
    return sum(a * b for a, b in reads if a is not None)


def _inside(reads):
    return [read[0] for read in reads if read[0] is not None]


RULES = {
    "conv": _products,
    "gemm": _products,
    "matmul": _products,
    "softmax": lambda reads: reads[0][0],
    "RotaryEmbedding": lambda reads: sum(read[0] for read in reads),
    "copy": lambda reads: 0.0 if reads[0][0] is None else reads[0][0],
    "MaxPool": lambda reads: max(_inside(reads)),
    "AveragePool": lambda reads: np.mean(_inside(reads)),
    "GlobalAveragePool": lambda reads: np.mean(_inside(reads)),
    "GlobalMaxPool": lambda reads: max(_inside(reads)),
    "GatherND": lambda reads: sum(int(read[0]) * BASE**i for i, read in enumerate(reversed(reads))),
    "Einsum": lambda reads: sum(read[0] for read in reads),
    "TopK": lambda reads: max(read[0] for read in reads),
    "ReduceMean": lambda reads: np.mean(_inside(reads)),
    "ReduceSum": lambda reads: np.sum(_inside(reads)),
    "ReduceMax": lambda reads: np.max(_inside(reads)),
    "Relu": lambda reads: max(0.0, reads[0][0]),
    "Add": lambda reads: sum(reads[0]),
    "Sum": lambda reads: sum(reads[0]),
    "Mul": lambda reads: np.prod(reads[0]),
    "Sub": lambda reads: reads[0][0] - reads[0][1],
    "PRelu": lambda reads: reads[0][0] * (1 if reads[0][0] > 0 else reads[0][1]),
}


def tap_reversed(weight, strides, dilations=(1, 1)):
    """Weights as a transposed convolution reads them: the taps that one output position uses, in reverse."""
    for axis, (stride, dilation) in enumerate(zip(strides, dilations, strict=True), start=2):
        jump = stride // np.gcd(stride, dilation)
        order = np.arange(weight.shape[axis])
        for phase in range(jump):
            order[phase::jump] = order[phase::jump][::-1]
        weight = np.take(weight, order, axis=axis)
    return weight


def run_onnx(model, given):
    """The model's outputs by ONNX Runtime, {name: array}."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    feeds = {value.name: given[value.name] for value in session.get_inputs()}
    return dict(zip(names, session.run(names, feeds), strict=True))


def reference(model, given):
    """The model's outputs by ONNX's own evaluator, for operators that ONNX Runtime does not have."""
    from onnx.reference import ReferenceEvaluator

    names = [output.name for output in model.graph.output]
    feeds = {value.name: given[value.name] for value in model.graph.input}
    return dict(zip(names, ReferenceEvaluator(model).run(names, feeds), strict=True))
