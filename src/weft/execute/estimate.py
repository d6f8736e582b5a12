"""How long executing a schedule takes, before it is tried."""

from __future__ import annotations

from weft.model.workload import MAC_KINDS, Workload

MOST_SECONDS = 20.0
"""Longer executions are left to those who ask for them."""
_MACS_PER_SECOND = 1.2e9
_VISITS_PER_SECOND = 6e7
_TILES_PER_SECOND = 2e3
_WEIGHTS_PER_SECOND = 1.6e7
"""Of one core (measured on networks of the library, ONNX Runtime and the reading of weights in it)."""


def seconds(workload: Workload, tiles: int) -> float:
    """Seconds that an execution takes, roughly; in quantised networks the products are exact, and made twice."""
    quantised = any(tensor.type is not None and tensor.type.scaled for tensor in workload.tensors)
    visits = sum(op.iterations for op in workload.ops if op.kind not in MAC_KINDS)
    weights = sum(tensor.elements for tensor in workload.tensors if tensor.role == "weight")
    macs = workload.macs * (3 if quantised else 1)
    tiles = tiles * (2 if quantised else 1)
    return (
        tiles / _TILES_PER_SECOND
        + macs / _MACS_PER_SECOND
        + visits / _VISITS_PER_SECOND
        + weights / _WEIGHTS_PER_SECOND
    )
