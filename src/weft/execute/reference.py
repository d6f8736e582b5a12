"""ONNX Runtime's values of a network's tensors, and inputs to get them with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
import onnx.helper

from weft.execute.meaning import dtype_of
from weft.execute.values import Array
from weft.read.onnx.graph import Graph

_PICKED_FROM = {"Gather": (1, "axis", 0), "GatherElements": (1, "axis", 0)}
"""Inputs that are indices: their position, and the attribute (and its default) that names the axis they are of."""
_VIEWS = frozenset(["Cast", "Reshape", "Unsqueeze", "Squeeze", "Identity"])

_REWRITING = ["WeightBiasQuantization"]
"""Optimisers that change numbers: this one quantises weights that the network leaves in floats."""


class Refused(Exception):
    """ONNX Runtime does not take the network: its first sentence."""


def drawn(graph: Graph, seed: int) -> dict[str, Array]:
    """Inputs of a network: normal floats, fair booleans, integers below what they pick from, else 0 and 1."""
    rng = np.random.default_rng(seed)
    made: dict[str, Array] = {}
    for name in graph.inputs:
        info = graph.infos[name]
        dtype = np.dtype(dtype_of(info.dtype))
        if dtype.kind in "iu":
            made[name] = rng.integers(0, _most(graph, name), info.shape).astype(dtype)
        elif dtype.kind == "b":
            made[name] = rng.random(info.shape) < 0.5
        else:
            made[name] = rng.standard_normal(info.shape).astype(dtype)
    return made


def _most(graph: Graph, tensor: str) -> int:
    """What integers must stay below: the rows that they pick from; 2 where they pick none."""
    found = []
    for node in graph.nodes:
        if tensor not in node.inputs:
            continue
        if node.op_type in _VIEWS:
            found.append(_most(graph, node.outputs[0]))
        position, attribute, default = _PICKED_FROM.get(node.op_type, (-1, "", 0))
        if position >= 0 and node.given(position) == tensor:
            found.append(graph.shape(node.inputs[0])[node.integer(attribute, default)])
    return min((most for most in found if most > 2), default=2)


def values(model: Any, wanted: Iterable[str], given: Mapping[str, Array]) -> dict[str, Array]:
    """The network's outputs, and the tensors `wanted` of those that it makes, by ONNX Runtime.

    Args:    model: an `onnx.ModelProto`, left as it is.
    Errors:  Refused.
    """
    import onnxruntime

    made = {name for node in model.graph.node for name in node.output if name}
    outputs = [value.name for value in model.graph.output]
    extra = [name for name in dict.fromkeys(wanted) if name in made and name not in outputs]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in extra)
    grown = model.SerializeToString()
    del model.graph.output[len(outputs) :]  # in place: a copy would hold large weights once more
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.add_session_config_entry(*_fusing(model))
    # two quantisers in a row round twice; ONNX Runtime would leave one out
    options.add_session_config_entry("session.disable_double_qdq_remover", "1")
    try:
        session = onnxruntime.InferenceSession(
            grown, options, providers=["CPUExecutionProvider"], disabled_optimizers=_REWRITING
        )
        names = [*outputs, *extra]
        feeds = {value.name: given[value.name] for value in session.get_inputs()}
        return {
            name: np.asarray(value)
            for name, value in zip(names, session.run(names, feeds), strict=True)
            if value is not None
        }
    except Exception as error:  # its exceptions share no class of their own
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Refused(re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)) from error


def _fusing(model: Any) -> tuple[str, str]:
    """The setting with which ONNX Runtime computes a quantised network in integers.

    Signed activations are fused only where they are allowed; with unsigned ones, sums of products do not saturate.
    """
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    for node in model.graph.node:
        zero = node.input[2] if node.op_type == "QuantizeLinear" and len(node.input) > 2 else ""
        if types.get(zero) == onnx.TensorProto.INT8:
            return "session.qdqisint8allowed", "1"
    return "session.x64quantprecision", "1"
