"""One ONNX node on the boxes of a tile, by ONNX's own evaluator: what has no products and no windows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnx.helper

from weft.execute.values import Array
from weft.read.onnx.graph import Node

_LEGACY = frozenset({"broadcast", "axis", "consumed_inputs"})
"""Attributes of elementwise operators before operator set 7 that the tile has obeyed already."""

NEWEST = 13
"""The operator set in which operators older than set 7 are evaluated; they mean the same there."""


class NoArithmetic(Exception):
    """An op that cannot be computed here: what of it."""


class Evaluator:
    """A node that is computed on any inputs of its rank."""

    def __init__(self, node: Node, attributes: dict[str, Any] | None = None) -> None:
        from onnx.reference import ReferenceEvaluator

        given = dict(node.attributes) if attributes is None else attributes
        opset = node.opset
        if opset < 7:
            given = {name: value for name, value in given.items() if name not in _LEGACY}
            opset = NEWEST
        opset = max(opset, onnx.defs.get_schema(node.op_type).since_version if not _known(node.op_type, opset) else 0)
        self.names = [f"i{place}" if name else "" for place, name in enumerate(node.inputs)]
        outputs = [f"o{place}" if name else "" for place, name in enumerate(node.outputs)]
        value = onnx.helper.make_empty_tensor_value_info
        proto = onnx.helper.make_node(node.op_type, self.names, outputs, **given)
        graph = onnx.helper.make_graph(
            [proto], "one", [value(name) for name in self.names if name], [value(name) for name in outputs if name]
        )
        self.outputs = node.outputs
        try:
            self._run = ReferenceEvaluator(
                onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
            )
        except (NotImplementedError, RuntimeError, TypeError) as error:
            raise NoArithmetic(f"ONNX's evaluator lacks {node.op_type}") from error

    def __call__(self, inputs: Sequence[Array | None]) -> dict[str, Array]:
        """The outputs by name, from the inputs in their places."""
        feeds = {name: value for name, value in zip(self.names, inputs, strict=True) if name}
        with np.errstate(all="ignore"):
            made = self._run.run(None, feeds)
        return dict(zip([name for name in self.outputs if name], map(np.asarray, made), strict=True))


@cache
def _known(operator: str, opset: int) -> bool:
    """Whether an operator set has an operator."""
    try:
        onnx.defs.get_schema(operator, opset)
    except onnx.defs.SchemaError:
        return False
    return True
