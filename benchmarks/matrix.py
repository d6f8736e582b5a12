"""Every network on every chip: runs `weft.run.run` and writes the table of docs/matrix.md.

python benchmarks/matrix.py [--budget N] [--only NAME] [--chip NAME] [--models DIR]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from weft import zoo
from weft.chips import library
from weft.run import InfeasibleResult, run
from weft.schedule.solve import BUDGET

SHARED = ("resnet8", "mobilenet_v1", "deepautoencoder", "fsrcnn", "resnet18_weights_missing")


def main() -> int:
    """Run all pairs; exit 1 if any fails or lacks its proof."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--budget", type=int, default=BUDGET)
    parser.add_argument("--only", action="append")
    parser.add_argument("--chip", action="append")
    parser.add_argument("--models", type=Path, default=Path(__file__).parents[2] / "shared" / "models")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    networks = {name: name for name in zoo.names()}
    if options.models.is_dir():
        networks |= {f"{name}.onnx": str(options.models / f"{name}.onnx") for name in SHARED}
    lines = [
        "| network | chip | cycles | bound | energy mJ | tiles | transfers | facts checked | replay | CPU s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    bad = 0
    for name, source in networks.items():
        if options.only and name not in options.only:
            continue
        for chip in library():
            if options.chip and chip not in options.chip:
                continue
            clock = time.process_time()
            try:
                result = run(source, chip, budget=options.budget)
            except Exception as error:
                bad += 1
                print(f"FAILED {name} on {chip}: {type(error).__name__}: {error}", flush=True)
                continue
            spent = time.process_time() - clock
            if isinstance(result, InfeasibleResult):
                bad += 1
                row = f"| {name} | {chip} | infeasible: {result.reason} | | | | | | | {spent:.1f} |"
            else:
                bad += not result.proof.ok
                proof = result.proof
                facts = f"{proof.checked:,}" if not proof.violations else f"{len(proof.violations)} VIOLATIONS"
                row = (
                    f"| {name} | {chip} | {result.latency_cycles:,} | {result.solution.bounds.latency_cycles:,} | "
                    f"{result.energy_pj / 1e9:.3f} | {len(result.schedule.tasks)} | {len(result.schedule.transfers)} | "
                    f"{facts} | {'same' if proof.replay_ok else 'DIFFERS'} | {spent:.1f} |"
                )
                for violation in proof.violations[:3]:
                    print("   ", violation)
                for difference in proof.replay_differences[:3]:
                    print("   ", difference)
            lines.append(row)
            print(row, flush=True)
    if options.write:
        options.write.write_text("\n".join(lines) + "\n")
    print(f"{len(lines) - 2} runs, {bad} bad")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
