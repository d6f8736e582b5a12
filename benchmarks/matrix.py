"""Every network on every chip: runs `weft.run.run` and writes the table of docs/matrix.md.

On chips with several cores for convolutions each is run twice: with ops run together, and layer by layer.

python benchmarks/matrix.py [--budget N] [--only NAME] [--chip NAME] [--models DIR] [--jobs N] [--rows FILE]
                            [--write FILE]

Rows are kept in the file of --rows as they are made, so that an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from weft import zoo
from weft.chips import library
from weft.errors import UserError
from weft.read.chip import read_chip
from weft.run import InfeasibleResult, run
from weft.schedule.solve import BUDGET

HEAD = """# Every network on every chip

Made by `benchmarks/matrix.py`, objective EDP, fixed dataflow, seed 0, at most {budget} schedules tried, numerics left
out. {runs} runs: {done} scheduled, {infeasible} infeasible with the reason given, {bad} failed; {violations}
violations, {differs} replays that differ. `--fuse auto` runs ops together, step by step, where that is better; `off`
one by one (chips with one core for convolutions: `auto` alone). Groups: those of several ops. CPU seconds are of a
shared two-core machine. Names ending in `.onnx` are files exported by others.

| network | chip | fuse | cycles | bound | energy mJ | groups | tiles | transfers | facts checked | replay | CPU s |
|---|---|---|---|---|---|---|---|---|---|---|---|
"""


def one(name: str, source: str, chip: str, fuse: str, budget: int) -> dict[str, Any]:
    """One run as a row."""
    clock = time.process_time()
    row: dict[str, Any] = {"network": name, "chip": chip, "fuse": fuse}
    try:
        result = run(source, chip, fuse=fuse, budget=budget, cache=False, numerics="off")
    except UserError as error:
        return row | {"status": "refused", "reason": str(error), "cpu": time.process_time() - clock}
    except Exception as error:  # a fault of ours is a row of the table
        return row | {
            "status": "failed",
            "reason": f"{type(error).__name__}: {error}",
            "cpu": time.process_time() - clock,
        }
    row["cpu"] = time.process_time() - clock
    if isinstance(result, InfeasibleResult):
        return row | {"status": "infeasible", "reason": str(result.reason)}
    proof = result.proof
    return row | {
        "status": "done",
        "cycles": result.latency_cycles,
        "bound": result.solution.bounds.latency_cycles,
        "energy_mj": result.energy_pj / 1e9,
        "groups": sum(len(group) > 1 for group in result.solution.plan.groups),
        "tiles": len(result.schedule.tasks),
        "transfers": len(result.schedule.transfers),
        "checked": proof.checked,
        "violations": [str(violation) for violation in proof.violations],
        "replay": proof.replay_ok,
    }


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    head = f"| {row['network']} | {row['chip']} | {row['fuse']} |"
    if row["status"] != "done":
        return f"{head} {row['status']}: {row['reason']} | | | | | | | | {row['cpu']:.1f} |"
    facts = f"{row['checked']:,}" if not row["violations"] else f"{len(row['violations'])} VIOLATIONS"
    cells = (
        f"{row['cycles']:,}",
        f"{row['bound']:,}",
        f"{row['energy_mj']:.3f}",
        f"{row['groups']}",
        f"{row['tiles']}",
        f"{row['transfers']}",
        facts,
        "same" if row["replay"] else "DIFFERS",
        f"{row['cpu']:.1f}",
    )
    return f"{head} {' | '.join(cells)} |"


def main() -> int:
    """Run all pairs; exit 1 if any fails or lacks its proof."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--budget", type=int, default=BUDGET)
    parser.add_argument("--only", action="append")
    parser.add_argument("--chip", action="append")
    parser.add_argument("--models", type=Path, default=Path(__file__).parents[2] / "shared" / "models")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rows", type=Path)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    networks = {name: name for name in zoo.names()}
    if options.models.is_dir():
        networks |= {path.name: str(path) for path in sorted(options.models.glob("*.onnx"))}
    kept: dict[tuple[str, str, str], dict[str, Any]] = {}
    if options.rows and options.rows.exists():
        rows = map(json.loads, options.rows.read_text("utf-8").splitlines())
        kept = {(row["network"], row["chip"], row["fuse"]): row for row in rows}
    pairs = [
        (name, chip, fuse)
        for name in networks
        for chip in library()
        for fuse in (("auto", "off") if len(read_chip(chip).cores_for("conv")) > 1 else ("auto",))
        if (not options.only or name in options.only) and (not options.chip or chip in options.chip)
    ]
    with ProcessPoolExecutor(options.jobs) as pool:
        waiting = {
            pool.submit(one, name, networks[name], chip, fuse, options.budget)
            for name, chip, fuse in pairs
            if (name, chip, fuse) not in kept
        }
        for future in as_completed(waiting):
            row = future.result()
            kept[str(row["network"]), str(row["chip"]), str(row["fuse"])] = row
            print(line(row), flush=True)
            if options.rows:
                with options.rows.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
    rows = [kept[pair] for pair in pairs]
    status = [row["status"] for row in rows]
    violations = sum(len(row.get("violations", ())) for row in rows)
    differs = sum(row.get("replay") is False for row in rows)
    bad = status.count("failed") + status.count("refused")
    head = HEAD.format(
        budget=options.budget,
        runs=len(rows),
        done=status.count("done"),
        infeasible=status.count("infeasible"),
        bad=bad,
        violations=violations,
        differs=differs,
    )
    if options.write:
        options.write.write_text(head + "\n".join(map(line, rows)) + "\n", encoding="utf-8")
    infeasible = status.count("infeasible")
    print(f"{len(rows)} runs: {infeasible} infeasible, {bad} bad, {violations} violations, {differs} differ")
    return 1 if bad or violations or differs else 0


if __name__ == "__main__":
    sys.exit(main())
