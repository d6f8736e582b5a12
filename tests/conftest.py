"""Tests neither see nor touch the user's cache; those of the cache name a folder of their own.

What a first run says of compiling is left out, so that outputs are the same on a fresh machine.
"""

from __future__ import annotations

import os

import pytest

os.environ["WEFT_CACHE"] = "off"
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command does


@pytest.fixture(autouse=True)
def compiling_is_not_said(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.path.name != "test_jit.py":
        monkeypatch.setattr("weft.cli.console._say_compiling", lambda: None)
