from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from weft import _jit
from weft.cli.main import main


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Weft = Callable[..., Outcome]


@pytest.fixture
def weft(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Weft:
    """Runs a command line in this process, in an empty folder, 80 columns wide."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_jit, "kept", lambda _: True)  # whether kernels are compiled yet is no matter of the test
    monkeypatch.setenv("COLUMNS", "80")

    def call(*words: object) -> Outcome:
        capsys.readouterr()
        code = main([str(word) for word in words])
        found = capsys.readouterr()
        return Outcome(code, found.out, found.err)

    return call


@pytest.fixture
def no_softmax(tmp_path: Path) -> Path:
    """A chip on which no core takes a softmax."""
    from weft.chips import library_path

    text = library_path("tpu_like").read_text("utf-8")
    path = tmp_path / "no_softmax.yaml"
    path.write_text(text.replace("from: cores/simd.yaml", "from: cores/simd.yaml, ops: [elementwise]"), "utf-8")
    return path
