"""The ONNX model that an export is read through computes what PyTorch computed: ONNX Runtime against saved outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from weft.read.torch.archive import open_archive
from weft.read.torch.convert import convert
from weft.read.torch.program import parse

FILES = Path(__file__).parent.parent / "data" / "pt2"
SIZES = {"cnn": {"x_0": 2}, "llama": {"x_0": 2, "x_1": 6}}
LEFT_OUT = {"memory.pt2", "written.pt2", "resnet18.pt2"}
"""Refused before they are decomposed; without weights."""

NAMES = sorted({path.name for path in FILES.glob("*.pt2")} - LEFT_OUT)


@pytest.mark.parametrize("name", NAMES)
def test_the_model_computes_what_torch_computed(name):
    stem = name.split(".")[0]
    archive = open_archive(FILES / name, name)
    program = parse(archive, SIZES.get(stem, {}))
    model, _ = convert(program)
    model.ir_version = 10
    for tensor in model.graph.initializer:
        if not tensor.raw_data and tensor.name in program.constants:
            tensor.raw_data = archive.constant(program.constants[tensor.name])
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = np.load(FILES / "expected.npz")
    feeds = {item.name: expected[f"{stem}/in{i}"] for i, item in enumerate(session.get_inputs())}
    results = session.run(None, feeds)
    assert len(results) == sum(key.startswith(f"{stem}/out") for key in expected)
    for i, result in enumerate(results):
        wanted = expected[f"{stem}/out{i}"]
        assert result.shape == wanted.shape
        assert result.dtype == wanted.dtype
        tolerance = 2e-3 if wanted.dtype == np.float16 else 1e-4  # of eleven and of twenty-four bits
        np.testing.assert_allclose(result, wanted, rtol=0, atol=tolerance * max(1, np.abs(wanted).max()))
