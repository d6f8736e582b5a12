"""Measures the ranges of activations from which the quantised networks of the library get their scales.

`python -m tests.zoo.calibrate` writes them to src/weft/zoo/qdq_ranges.json: the smallest and largest value of every
tensor over sixteen random inputs, to six digits. A test measures them again.
"""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime

from weft import zoo
from weft.zoo._qdq import RANGES, measured_tensors

NETWORKS = ("deepautoencoder", "ds_cnn", "mobilenet_v1_025", "resnet8")
SAMPLES = 16


def sample(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """A normalised input: mean 0, variance 1."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def measure(name: str) -> dict[str, list[float]]:
    """The smallest and largest value of every measured tensor of a float network."""
    model = zoo.build(name)
    tensors = measured_tensors(model)
    (entry,) = model.graph.input
    shape = tuple(dim.dim_value for dim in entry.type.tensor_type.shape.dim)
    made = [name for name in tensors if name != entry.name]
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in made)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    seen: dict[str, list[float]] = {name: [np.inf, -np.inf] for name in tensors}
    for seed in range(SAMPLES):
        x = sample(seed, shape)
        for tensor, values in zip((entry.name, *made), (x, *session.run(made, {entry.name: x})), strict=True):
            low, high = seen[tensor]
            seen[tensor] = [min(low, float(values.min())), max(high, float(values.max()))]
    return {tensor: [float(f"{bound:.6g}") for bound in bounds] for tensor, bounds in seen.items()}


if __name__ == "__main__":
    RANGES.write_text(json.dumps({f"{name}_qdq": measure(name) for name in NETWORKS}, indent=1) + "\n", "utf-8")
