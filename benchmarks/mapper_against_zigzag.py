"""CPU seconds of mapping ResNet-18: ZigZag (pip, its defaults) and weft in cold processes, one after the other.

    python benchmarks/mapper_against_zigzag.py [--zigzag PYTHON] [--runs N]

PYTHON has `zigzag-dse` and `six` (default: this one). ZigZag gets the ResNet-18, the chip and the mapping file of its
own wheel and optimises EDP, all else as it comes; weft gets the network that both read alike, and keeps no results.

*In all* is the time of whole processes, seen from outside, imports included. *Search alone* is what each spends from
one layer to the next, by its own clock of CPU time: ZigZag says when it starts a layer, and so does weft; weft's
compiled kernels are loaded before, by mapping one small op. A *unique op* counts once for each tool, however often the
network has it. ZigZag runs once. Of weft's runs the fastest and the slowest are told; a ratio holds where even the
slowest run reaches it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from typing import Any

CHIPS = {"tpu_like": ("tpu_like", "tpu_like"), "meta_prototype": ("meta_prototype", "meta_prototype_like")}

IN_ALL, SEARCH = 30, 100
"""How many times less CPU time weft should take."""

ZIGZAG = """
import json, logging, sys, time, zigzag
from pathlib import Path
from zigzag.api import get_hardware_performance_zigzag

clock = []

class Layers(logging.Handler):
    def emit(self, record):
        if record.msg.startswith("Processing"):
            clock.append((record.args[0], time.process_time()))

logging.getLogger("zigzag.stages.workload_iterator").addHandler(Layers())
chip, mapping = sys.argv[1:]
root = Path(zigzag.__file__).parent / "inputs"
energy, latency = get_hardware_performance_zigzag(
    str(root / "workload" / "resnet18.onnx"), str(root / "hardware" / f"{chip}.yaml"),
    str(root / "mapping" / f"{mapping}.yaml"), opt="EDP", loma_show_progress_bar=False,
)[:2]
clock.append(("", time.process_time()))
layers = [[name, after - before] for (name, before), (_, after) in zip(clock, clock[1:])]
print(json.dumps({"layers": layers, "text": f"{energy:.6g} pJ {latency:.6g} cycles"}))
"""

WEFT = """
import json, sys, time
from weft.run import map_model

clock = []
if sys.argv[2] == "loaded":
    map_model("resnet8", "tpu_like", op="dense", cache=False)
result = map_model("resnet18", sys.argv[1], cache=False, progress=lambda *_: clock.append(time.process_time()))
clock.append(time.process_time())
first = {}
layers = [[item.op.name, after - before, first.setdefault(id(item.mapped.price), item.op.name)]
          for item, before, after in zip(result.ops, clock, clock[1:])]
proved = sum(item.mapped.optimal for item in result.ops)
print(json.dumps({"layers": layers, "text": f"{result.energy_pj:.6g} pJ {result.latency_cycles:.6g} cycles, "
                  f"{len(first)} different ops, {proved} of {len(result.ops)} proved optimal"}))
"""


def spent(python: str, code: str, *words: str) -> tuple[float, dict[str, Any]]:
    """CPU seconds of one process and all that it starts, and what its last line says."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    alone = os.environ | {"WEFT_CACHE": "off"}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [python, "-c", code, *words], cwd=folder, capture_output=True, text=True, env=alone, check=False
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{python} failed:\n{done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, told


def verdict(what: str, peer: float, runs: list[float], aim: int) -> None:
    """One line: how many times less, by the slowest and the fastest run, and whether that is what was aimed at."""
    low, high = peer / max(runs), peer / min(runs)
    answer = "holds" if low >= aim else "holds for the fastest run only" if high >= aim else "falls short"
    print(f"{what}: {low:.0f} to {high:.0f} times less CPU time than ZigZag; aim {aim}: {answer}")


def main() -> None:
    """Both tools on both chips, with ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--zigzag", default=sys.executable)
    parser.add_argument("--runs", type=int, default=3, help="of weft")
    options = parser.parse_args()
    spent(sys.executable, WEFT, "tpu_like", "loaded")  # compiles the kernels, where they are not on disk yet
    whole, search, unique = 0.0, 0.0, 0.0
    mine = {what: [0.0] * options.runs for what in ("whole", "search", "unique")}
    reached: list[float] = []
    for chip, (hardware, mapping) in CHIPS.items():
        seconds, told = spent(options.zigzag, ZIGZAG, hardware, mapping)
        peer = dict(told["layers"])
        whole, search = whole + seconds, search + sum(peer.values())
        print(f"{chip}\n  ZigZag {seconds:7.2f} CPU s, {sum(peer.values()):7.2f} for layers: {told['text']}")
        fastest: dict[str, float] = {}
        for run in range(options.runs):
            cold, _ = spent(sys.executable, WEFT, chip, "cold")
            _, told = spent(sys.executable, WEFT, chip, "loaded")
            took = {name: here for name, here, first in told["layers"] if name == first and name in peer}
            fastest = {name: min(here, fastest.get(name, here)) for name, here in took.items()}
            alone = sum(here for _, here, _ in told["layers"])
            for what, here in (("whole", cold), ("search", alone), ("unique", sum(took.values()))):
                mine[what][run] += here
            print(f"  weft   {cold:7.2f} CPU s, {alone:7.2f} for layers: {told['text']}")
        unique += sum(peer[name] for name in fastest)
        for name, here in fastest.items():
            reached.append(peer[name] / here)
            print(f"    {name:45} {peer[name]:6.2f} s and {1e3 * here:6.1f} ms: {reached[-1]:4.0f} times")
    print(f"both chips together, ZigZag's one run and {options.runs} of weft's")
    verdict("in all, imports included", whole, mine["whole"], IN_ALL)
    verdict("search alone, all layers", search, mine["search"], SEARCH)
    verdict("search alone, each unique op once", unique, mine["unique"], SEARCH)
    print(
        f"each unique op by itself: {min(reached):.0f} to {max(reached):.0f} times by weft's fastest run, "
        f"{sum(ratio >= SEARCH for ratio in reached)} of {len(reached)} at least {SEARCH}"
    )


if __name__ == "__main__":
    main()
