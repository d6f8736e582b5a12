"""Puts mutants before weft's own command line, one after another in this process, and says what became of each.

`python -m tests.fuzz.judge chips|models FIRST COUNT` prints one JSON object per mutant. Data of the process may not
outgrow 2 GiB.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.fuzz import chips, models

LIMIT_BYTES = 2 * 2**30
LIMIT_S = 20
"""For one mutant; the slowest take a second, and the machine may be busy."""
RUN_EVERY = {"chips": 1, "models": 3}
"""Of those that can be read and are small, one of so many is run, too."""

NETWORK, CHIP = "network.onnx", "tpu_like"
"""What spoilt chips run, and what spoilt networks run on."""


class Hang(BaseException):
    """A mutant took too long; no `except Exception` may swallow it."""


def judge(kind: str, seed: int, folder: Path) -> tuple[str, str]:
    """What became of a mutant, and what is wrong with that ("" where nothing is)."""
    small = True
    if kind == "chips":
        path = folder / "chip.yaml"
        path.write_bytes(chips.mutant(seed))
    else:
        path = folder / "net.onnx"
        content, small = models.mutant(seed)
        path.write_bytes(content)
    code, wrong = called("check", str(path))
    outcome = f"check {code}"
    if code == 0 and not wrong and small and seed % RUN_EVERY[kind] == 0:
        words = (NETWORK, "--chip", str(path)) if kind == "chips" else (str(path), "--chip", CHIP)
        code, wrong = called("run", *words, "--budget", "1", "--out", str(folder / "run"))
        outcome = f"run {code}"
    return outcome, wrong


def called(*words: str) -> tuple[int | None, str]:
    """The exit code of a command line, and what is wrong about how it ended."""
    from weft.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    signal.alarm(LIMIT_S)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(words)
    except Hang:
        return None, f"{words[0]} takes longer than {LIMIT_S} s: " + traceback.format_exc()[-1500:]
    except MemoryError:
        return None, f"{words[0]} needs more than 2 GiB: " + traceback.format_exc()[-1500:]
    except Exception:
        return None, f"{words[0]}: {traceback.format_exc()[-1500:]}"
    finally:
        signal.alarm(0)
    said = err.getvalue().splitlines()
    if code == 0:
        return code, ""
    start = {2: "error: ", 3: "infeasible: "}.get(code)
    if start is None or not said or not all(line.startswith(start) and len(line) < 2000 for line in said):
        return code, f"{words[0]} leaves with {code} and says: {err.getvalue()[:1500]}"
    return code, ""


def small_network(folder: Path) -> None:
    """Convolution, pool, matrix product, softmax: what every library chip takes."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("MaxPool", ["r"], ["p"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"], name="flat"),
        helper.make_node("Gemm", ["f", "v"], ["g"], name="dense"),
        helper.make_node("Softmax", ["g"], ["y"], name="softmax"),
    ]
    value = helper.make_tensor_value_info
    weights = {"w": np.ones((4, 3, 3, 3), np.float32), "v": np.ones((64, 5), np.float32)}
    graph = helper.make_graph(
        nodes,
        "net",
        [value("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [value("y", TensorProto.FLOAT, [1, 5])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), folder / NETWORK)


def _alarm(*_: object) -> None:
    raise Hang


def work(kind: str, first: int, count: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT_BYTES, LIMIT_BYTES))
    signal.signal(signal.SIGALRM, _alarm)
    os.environ["WEFT_DEBUG"] = "1"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        small_network(folder)
        for seed in range(first, first + count):
            started = time.process_time()
            outcome, wrong = judge(kind, seed, folder)
            line = {"seed": seed, "outcome": outcome, "wrong": wrong, "seconds": time.process_time() - started}
            print(json.dumps(line), file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
