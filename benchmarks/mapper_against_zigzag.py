"""CPU seconds of mapping ResNet-18: ZigZag (pip, its defaults) and weft in cold processes, one after the other.

    python benchmarks/mapper_against_zigzag.py [--zigzag PYTHON]

PYTHON has `zigzag-dse` and `six` (default: this one). ZigZag gets the ResNet-18, the chip and the mapping file of its
own wheel and optimises EDP, all else as it comes; weft gets the network that both read alike, and keeps no results.
Time is that of the whole process, imports included; then without what a process takes that only imports (and, with
weft, loads its compiled kernels by mapping one small op).
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile

CHIPS = {"tpu_like": ("tpu_like", "tpu_like"), "meta_prototype": ("meta_prototype", "meta_prototype_like")}

ZIGZAG = """
import sys, zigzag
from pathlib import Path
from zigzag.api import get_hardware_performance_zigzag
if len(sys.argv) > 1:
    chip, mapping, network = sys.argv[1:]
    root = Path(zigzag.__file__).parent / "inputs"
    network = network or str(root / "workload" / "resnet18.onnx")
    energy, latency = get_hardware_performance_zigzag(
        network, str(root / "hardware" / f"{chip}.yaml"), str(root / "mapping" / f"{mapping}.yaml"), opt="EDP",
        loma_show_progress_bar=False,
    )[:2]
    print(f"{energy:.6g} pJ {latency:.6g} cycles")
"""

WEFT = """
import sys
from weft.run import map_model
map_model("resnet8", "tpu_like", op="dense")
if len(sys.argv) > 1:
    result = map_model("resnet18", sys.argv[1], cache=False)
    print(f"{result.energy_pj:.6g} pJ {result.latency_cycles:.6g} cycles, {result.unique_ops} different ops, "
          f"{sum(item.mapped.optimal for item in result.ops)} of {len(result.ops)} proved optimal")
"""


def spent(python: str, code: str, *words: str) -> tuple[float, str]:
    """CPU seconds of one process and all that it starts, and its last line."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    alone = os.environ | {"WEFT_CACHE": "off"}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [python, "-c", code, *words], cwd=folder, capture_output=True, text=True, env=alone, check=False
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{python} failed:\n{done.stderr[-2000:]}")
    lines = done.stdout.strip().splitlines()
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, lines[-1] if lines else ""


def main() -> None:
    """Both tools on both chips, with ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--zigzag", default=sys.executable)
    options = parser.parse_args()
    spent(sys.executable, WEFT, "tpu_like")  # compiles the kernels, where they are not on disk yet
    start = {"zigzag": spent(options.zigzag, ZIGZAG)[0], "weft": spent(sys.executable, WEFT)[0]}
    total = {"zigzag": 0.0, "weft": 0.0}
    for chip, (hardware, mapping) in CHIPS.items():
        for tool, python, code, words in (
            ("zigzag", options.zigzag, ZIGZAG, (hardware, mapping, "")),
            ("weft", sys.executable, WEFT, (chip,)),
        ):
            seconds, line = spent(python, code, *words)
            total[tool] += seconds
            print(f"{chip:15} {tool:7} {seconds:7.2f} CPU s, {seconds - start[tool]:7.2f} without the start: {line}")
    whole = total["zigzag"] / total["weft"]
    alone = (total["zigzag"] - 2 * start["zigzag"]) / (total["weft"] - 2 * start["weft"])
    print(f"both chips: ZigZag takes {whole:.0f} times the CPU time of weft, {alone:.0f} times without the start")


if __name__ == "__main__":
    main()
