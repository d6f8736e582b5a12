"""ZigZag's and Stream's example inputs, as installed from their wheels: imported, run with proof, every link counted.
Writes the page docs/imports.md.

python benchmarks/imports.py [--zigzag DIR] [--stream DIR] [--only NAME] [--budget N] [--write FILE]

DIR: where a wheel was unpacked; by default the installed package, else the wheel is downloaded.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

from weft.chips import library
from weft.errors import UserError
from weft.model.chip import Chip
from weft.read.chip import read_chip
from weft.read.foreign import import_stream, import_zigzag
from weft.run import InfeasibleResult, run

NETWORK = "resnet8"
ODD = ("stands twice", "is given to", "as no port is given", "again between the same", "rounded down")
"""Remarks of an importer that are about what is odd in a file."""
HEAD = """\
# Import from ZigZag and Stream

`weft import zigzag FILE` reads an accelerator (with `--mapping FILE`, what lies on its array) or a workload; `weft
import stream FILE` an accelerator with the files of its cores. Both write weft's YAML, which is yours from then on.
Every number of the source is in it; what is not used is named in a comment, what is assumed is a comment that
begins with `assumed`:

- **clock, precision, folding**: 1 GHz; the widths of the first core that has some, else 8 bit; Relu, Clip and batch
  normalisation cost nothing.
- **buffering**: a memory of at most 8 words of its port's width is a register, any other double, unless the file
  forces it.
- **partial sums**: Stream's `operand_precision`, else the width of the innermost output port, else twice an input.
- **dataflow**: the mapping named `default`, or the file's `dataflows`. Else K, C, OX, OY on the sides in this
  order; where sums rest in a systolic array OX, K, OY. `--spatial free` lets weft choose.
- **ports**: a way given to two ports lies on the last, as ZigZag reads it; a way given to none on one that can.
- **links**: Stream's are all kept, each direction of a link with its bandwidth, a bus one resource; its
  `unit_energy_cost` is for the full width. ZigZag has none: weft joins the core with its library's pooling and SIMD
  cores and the top memory.
- **op kinds**: Stream's `operator_types`; what no core lists goes to the cores for elementwise operators, else to
  those that list nothing.
- **layers**: equations and relations become index maps, sources join tensors, other shapes of as many elements are
  views.

## Examples that come with them

Made by `benchmarks/imports.py` from the inputs in the wheels of zigzag-dse {zigzag} and stream-dse {stream}. Each
file is imported, read as a chip, and runs `{network}` with `--budget {budget}`; the proof is rules and replay of
the whole schedule. *Links* are those that the source lists, *kept* those of the imported chip that come from them;
ZigZag's files list none, and weft assumes some. *Assumed* counts comments that begin with `assumed`. A mapping file
of the same name gives the dataflow of a ZigZag accelerator where there is one, else it is assumed.

| file | cores | memories | links | kept | assumed | cycles | energy uJ | facts checked | replay | CPU s |
|---|---|---|---|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Case:
    """A file to import: its mapping file, if any, and how many links it lists."""

    tool: str
    path: Path
    mapping: Path | None = None

    @property
    def name(self) -> str:
        return f"{self.tool}: {self.path.stem}"

    def imported(self) -> str:
        if self.tool == "zigzag":
            return import_zigzag(self.path, self.mapping)
        return import_stream(self.path)

    def links(self) -> int:
        """Links that the file lists, counted from its YAML alone."""
        if self.tool == "zigzag":
            return 0
        return len(YAML(typ="safe", pure=True).load(self.path.read_text())["core_connectivity"])


def main() -> int:
    """Import and run all; exit 1 if a link is lost, a proof fails or something else than a user error comes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--zigzag", type=Path)
    parser.add_argument("--stream", type=Path)
    parser.add_argument("--only", action="append")
    parser.add_argument("--budget", type=int, default=3)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        zigzag, zigzag_version = unpacked("zigzag", options.zigzag, Path(folder))
        stream, stream_version = unpacked("stream", options.stream, Path(folder))
        head = HEAD.format(zigzag=zigzag_version, stream=stream_version, network=NETWORK, budget=options.budget)
        rows, odd, refused, differences, bad = [], [], [], [], 0
        for case in cases(zigzag, stream):
            if options.only and case.path.stem not in options.only:
                continue
            try:
                text = case.imported()
            except UserError as error:
                line = str(error).replace(f"{zigzag}/", "").replace(f"{stream}/", "")
                refused.append(f"- `{case.name}`: {line}")
                print(f"refused {case.name}: {line}", flush=True)
                continue
            file = Path(folder) / f"{case.tool}_{case.path.stem}.yaml"
            file.write_text(text, encoding="utf-8")
            row, failed = ran(case, text, file, options.budget)
            rows.append(row)
            bad += failed
            print(row, flush=True)
            odd += [f"- `{case.name}`: {remark}" for remark in remarks(text)]
            if case.tool == "zigzag" and case.path.stem in library():
                found = compared(read_chip(file), read_chip(case.path.stem))
                differences.append(f"- `{case.path.stem}`: {'; '.join(found) or 'none'}")
    page = head + "\n".join(rows) + "\n"
    for title, lines in (
        ("Refused, in one line each", refused),
        ("Odd in the files themselves", odd),
        ("Against the library's chips of the same name, number by number", differences),
    ):
        if lines:
            page += f"\n## {title}\n\n" + "\n".join(lines) + "\n"
    if options.write:
        options.write.write_text(page, encoding="utf-8")
    print(f"{len(rows)} imported and run, {len(refused)} refused, {bad} bad")
    return 1 if bad else 0


def unpacked(package: str, given: Path | None, folder: Path) -> tuple[Path, str]:
    """Where a package lies, and its version: in the folder given, as installed, or from its wheel."""
    if given is None:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            given = Path(spec.origin).parents[1]
    if given is None:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
        command += ["--python-version", "3.12", "--only-binary", ":all:", f"{package}-dse"]
        subprocess.run(command, check=True)
        given = folder / package
        with zipfile.ZipFile(next(folder.glob(f"{package}_dse-*.whl"))) as wheel:
            wheel.extractall(given)
    about = next(given.glob(f"{package}_dse-*.dist-info/METADATA"))
    version = next(line for line in about.read_text().splitlines() if line.startswith("Version: "))
    return given, version.removeprefix("Version: ")


def cases(zigzag: Path, stream: Path) -> list[Case]:
    """All accelerators of both."""
    found = []
    inputs = zigzag / "zigzag" / "inputs"
    for path in sorted((inputs / "hardware").glob("*.yaml")):
        names = (f"{path.stem}.yaml", f"{path.stem}_like.yaml")
        mapping = next((inputs / "mapping" / name for name in names if (inputs / "mapping" / name).is_file()), None)
        found.append(Case("zigzag", path, mapping))
    inputs = stream / "stream" / "inputs"
    found += [Case("stream", path) for path in sorted(inputs.glob("*/hardware/*.yaml"))]
    return found


def ran(case: Case, text: str, file: Path, budget: int) -> tuple[str, bool]:
    """The table's row, and whether something is wrong with it."""
    chip = read_chip(file)
    listed = case.links()
    kept = len(chip.links) if case.tool == "stream" else 0
    start = time.process_time()
    result = run(NETWORK, str(file), budget=budget)
    spent = time.process_time() - start
    links = f"{listed} | {kept}" if case.tool == "stream" else f"0 | 0 (+{len(chip.links)} assumed)"
    row = f"| {case.name} | {len(chip.cores)} | {len(chip.memories)} | {links} | {text.count('# assumed')} | "
    if isinstance(result, InfeasibleResult):
        return f"{row}infeasible: {result.reason} | | | | {spent:.0f} |", listed != kept
    proof = result.proof
    facts = f"{proof.checked:,}" if not proof.violations else f"{len(proof.violations)} VIOLATIONS"
    row += f"{result.latency_cycles:,} | {result.energy_pj / 1e6:.2f} | {facts} | "
    return f"{row}{'same' if proof.replay_ok else 'DIFFERS'} | {spent:.0f} |", listed != kept or not proof.ok


def remarks(text: str) -> list[str]:
    """What an imported text says that is odd in its source; wrapped comments joined."""
    comments: list[str] = []
    for line in text.splitlines():
        _, mark, rest = line.partition("# ")
        if mark and rest.startswith("  ") and comments:
            comments[-1] += f" {rest.strip()}"
        elif mark:
            comments.append(rest.strip())
    return list(dict.fromkeys(comment for comment in comments if any(word in comment for word in ODD)))


def compared(imported: Chip, known: Chip) -> list[str]:
    """Where core0 and the outermost memory of two chips differ."""
    found = []
    mine, theirs = imported.core("core0"), known.core("core0")
    for key in ("array", "op_pj", "ops", "op_widths", "accumulator_bits", "systolic", "clock_hz"):
        a, b = getattr(mine, key), getattr(theirs, key)
        if a != b:
            found.append(f"{key.replace('_', ' ')} {said(a)}, in the library {said(b)}")
    if mine.levels != theirs.levels:
        found.append("the memories around the array")
        return found
    for name in (*(level.memory for level in mine.levels), "dram"):
        a, b = imported.memory(name), known.memory(name)
        for key in ("size_bits", "read_pj", "write_pj", "buffering"):
            if getattr(a, key) != getattr(b, key):
                found.append(f"{name} {key.replace('_', ' ')} {getattr(a, key)}, in the library {getattr(b, key)}")
        ports = [{(p.direction, p.bandwidth_bits, p.access_bits, p.flows) for p in memory.ports} for memory in (a, b)]
        if ports[0] != ports[1]:
            found.append(f"ports of {name}")
    return found


def said(value: object) -> str:
    """A value in few words."""
    if isinstance(value, tuple) and value and hasattr(value[0], "roles"):
        return ", ".join(f"{side.name} {side.size} {'+'.join(side.roles)} at most {side.most}" for side in value)
    return str(value) if value is not None else "none"


if __name__ == "__main__":
    sys.exit(main())
