"""Networks built with the onnx helper: known structure, seeded random weights, no download."""

from __future__ import annotations

from weft.zoo.registry import build, describe, names, parameters

__all__ = ["build", "describe", "names", "parameters"]
