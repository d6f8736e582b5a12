"""ZigZag's conventions against weft's own, on 21 mappings of ZigZag's: writes docs/zigzag_differences.md.

    python benchmarks/zigzag_differences.py [--mappings FILE] [--write PAGE]

The mappings are those that ZigZag 3.8.5 chose for ResNet-18 on its example hardware tpu_like, with the figures that it
reports; every number on the page is computed here.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from weft.schedule.options import setting_for

from weft.cost import Price, price
from weft.cost.legal import broken
from weft.cost.zigzag import Inexpressible, ZigzagPrice, weft_of, zigzag_price
from weft.model.chip import Chip, Flow
from weft.model.mapping import Mapping, Problem
from weft.model.workload import Op, Slot
from weft.model.zigzag import ZigzagMapping, parse_zigzag
from weft.read import load
from weft.read.chip import read_chip
from weft.read.mappings import read_zigzag_mappings

ROOT = Path(__file__).parents[1]
CHIP = "tpu_like"
FLOW: dict[Flow, str] = {
    "to_below": "rd_out_to_low",
    "from_below": "wr_in_by_low",
    "to_above": "rd_out_to_high",
    "from_above": "wr_in_by_high",
}


@dataclass(frozen=True)
class Layer:
    """One layer priced three times: as ZigZag reported it, by its rules here, by weft's."""

    name: str
    report: dict[str, Any]
    problem: Problem
    zigzag_mapping: ZigzagMapping
    zigzag: ZigzagPrice
    mapping: Mapping
    weft: Price
    broken: tuple[str, ...]

    def words(self, slot: Slot, memory: str, flow: Flow) -> int:
        return int(getattr(self.zigzag.share(slot, memory).words, FLOW[flow]))

    def accesses(self, slot: Slot, memory: str, flow: Flow) -> float:
        """weft's accesses in full-width words."""
        operand = next(each.name for each in self.problem.op.operands if each.slot == slot)
        port = self.problem.chip.memory(memory).port(slot, flow)
        count = sum(
            each.accesses
            for each in self.weft.flows
            if (each.operand, each.memory, each.flow) == (operand, memory, flow)
        )
        return count * port.access_bits / port.bandwidth_bits


def priced(name: str, op: Op, chip: Chip, mapping: ZigzagMapping, report: dict[str, Any]) -> Layer:
    """The layer by both rules."""
    core = chip.cores[0]
    bits = {"I": chip.precision.input_bits, "W": chip.precision.weight_bits, "O": chip.precision.output_bits}
    widths = tuple((operand.name, bits[operand.slot]) for operand in op.operands)
    every = frozenset(operand.name for operand in op.operands)
    problem = Problem(op, widths, chip, setting_for(op, core, chip, every, {}))
    own = weft_of(mapping, problem)
    if isinstance(own, Inexpressible):
        raise SystemExit(f"{name}: {own.reason}")
    zigzag = zigzag_price(op, widths, core, chip, mapping)
    wrong = tuple(str(each) for each in broken(problem, own))
    return Layer(name, report, problem, mapping, zigzag, own, price(problem, own), wrong)


def layers(path: Path) -> list[Layer]:
    """All layers of a mapping file."""
    chip, ops = read_chip(CHIP), {op.name: op for op in load("resnet18").ops}
    reports = {entry["name"]: entry for entry in json.loads(path.read_text())["layers"]}
    found = []
    for named in read_zigzag_mappings(path):
        assert isinstance(named.mapping, ZigzagMapping)
        found.append(priced(named.op, ops[named.op], chip, named.mapping, reports[named.op]))
    return found


def variant(layer: Layer, **operands: str) -> Layer:
    """The layer with the temporal levels of some operands replaced (text form)."""
    words = []
    for word in str(layer.zigzag_mapping).split():
        head, bar, _ = word.partition("|")
        slot = word[0]
        words.append(head + bar + operands[slot] if slot in operands else word)
    chip = layer.problem.chip
    return priced(layer.name, layer.problem.op, chip, parse_zigzag(" ".join(words)), layer.report)


def page(every: list[Layer]) -> str:
    """The page."""
    by = {layer.name: layer for layer in every}
    same = sum(
        abs(layer.zigzag.energy_pj / layer.report["energy"] - 1) < 1e-9
        and layer.zigzag.latency_cycles == layer.report["latency"]
        for layer in every
    )
    illegal = [layer for layer in every if layer.broken]
    below = [layer for layer in every if layer.zigzag.below_roofline]
    negative = [layer for layer in every if any(cycles < 0 for _, cycles in layer.zigzag.ends)]
    text = [
        "# Where ZigZag's conventions and weft's part",
        "",
        *paragraph(
            "`weft evaluate --conventions zigzag` prices a mapping as ZigZag 3.8.5 would; without it, by weft's "
            "own rules",
            "([cost.md](cost.md)). This page says where the two differ, each with a number from one of the 21 "
            "mappings that",
            f"ZigZag chose for ResNet-18 on `{CHIP}`. Priced by its rules here, {same} of {len(every)} give the "
            "energy and the",
            "latency that it reports. It is written by `python benchmarks/zigzag_differences.py`.",
        ),
        *paragraph(
            "The two agree on what a loop re-uses: a tile stays while only loops that do not index it advance, "
            "whatever memory",
            "level those loops belong to. So the large terms are equal - MACs, weights, DRAM - and energies differ "
            "by at most",
            f"{max(abs(layer.weft.energy_pj / layer.zigzag.energy_pj - 1) for layer in every):.1%}. Latencies "
            "differ a lot.",
        ),
        "## Energy",
        "",
        *accumulation(by["/layer3/layer3.0/conv2/Conv"], by["/conv1/Conv"]),
        *last_width(by["/layer3/layer3.0/conv2/Conv"]),
        *padding(by["/layer4/layer4.0/conv2/Conv"], by["/layer1/layer1.0/conv1/Conv"]),
        *shifted_tiles(by["/layer4/layer4.0/conv2/Conv"]),
        *unrolling(by["/fc/Gemm"]),
        *rounding(by["/fc/Gemm"]),
        *unpriced(by["/layer1/layer1.0/conv1/Conv"]),
        "## Latency",
        "",
        *stalls(by["/layer3/layer3.0/conv2/Conv"]),
        *roofline(by["/layer4/layer4.0/conv2/Conv"], below, every),
        *ends(by["/layer1/layer1.0/conv1/Conv"], by["/layer3/layer3.0/downsample/downsample.0/Conv"], negative, every),
        *buffering(by["/layer4/layer4.0/conv1/Conv"]),
        *whole_part(by["/fc/Gemm"]),
        "## What has no counterpart",
        "",
        *paragraph(
            "ZigZag's loops divide their dim, so a weft mapping with a clipped temporal tile (197 in tiles of 64) "
            "has no",
            "ZigZag form; nor has one whose operand goes past a memory. `zigzag_of` says so. The other way, "
            "unrollings are",
            "made whole (125/4 columns become 32, the last fold ragged) and neighbouring loops of one dim are merged;",
            "energy and latency by ZigZag's rules survive the way to weft's form and back on all 21. "
            + (
                "None of the 21 breaks a rule of weft's."
                if not illegal
                else f"{len(illegal)} of the 21 break a rule of weft's:"
            ),
        ),
        *[f"- `{layer.name}`: {'; '.join(layer.broken)}" for layer in illegal],
        *([""] if illegal else []),
        "## All 21 layers",
        "",
        *paragraph(
            "Latency by weft's rules is of one task that brings every operand from DRAM and takes the output back, "
            "with",
            "nothing placed ahead: its fill and drain are in full, where ZigZag lets most of both run during the "
            "layer itself.",
            "`steady` is weft's without fill and drain (its port times count all transfers, those of fill and "
            "drain too); `DRAM busy` is that port's time for all words. (*) marks a "
            "ZigZag",
            "latency below it.",
        ),
        "| layer | ZigZag uJ | weft uJ | ratio | ZigZag cycles | weft cycles | ratio | weft steady | DRAM busy |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
        *[row(layer) for layer in every],
        total(every),
        "",
    ]
    return "\n".join(text)


def row(layer: Layer) -> str:
    """One line of the table."""
    zigzag, weft = layer.zigzag, layer.weft
    mark = " (*)" if zigzag.below_roofline else ""
    return (
        f"| `{layer.name}` | {zigzag.energy_pj / 1e6:.3f} | {weft.energy_pj / 1e6:.3f} "
        f"| {weft.energy_pj / zigzag.energy_pj:.4f} | {zigzag.latency_cycles:,.10g}{mark} | "
        f"{weft.latency_cycles:,} "
        f"| {weft.latency_cycles / zigzag.latency_cycles:.3f} | {weft.steady_cycles:,} "
        f"| {dict(zigzag.busy)['dram.rw']:,.10g} |"
    )


def total(every: list[Layer]) -> str:
    """Its last line."""
    energy, own = sum(x.zigzag.energy_pj for x in every), sum(x.weft.energy_pj for x in every)
    cycles, ours = sum(x.zigzag.latency_cycles for x in every), sum(x.weft.latency_cycles for x in every)
    return (
        f"| all | {energy / 1e6:.3f} | {own / 1e6:.3f} | {own / energy:.4f} | {cycles:,.10g} | {ours:,} "
        f"| {ours / cycles:.3f} | {sum(x.weft.steady_cycles for x in every):,} "
        f"| {sum(dict(x.zigzag.busy)['dram.rw'] for x in every):,.10g} |"
    )


def accumulation(layer: Layer, first: Layer) -> list[str]:
    """Partial sums read back before there are any."""
    sram = "core0.sram_2MB"
    return paragraph(
        "**The first accumulation reads.** ZigZag charges a read-back for every write of a partial sum, the "
        "first one of",
        f"an element too; weft's first accumulation reads nothing. {at(layer)}, with FX outermost, brings each output",
        f"three times to the SRAM: ZigZag reads {layer.words('O', sram, 'to_below'):,} words back, weft",
        f"{layer.accesses('O', sram, 'to_below'):,.0f} (two of three). In the accumulator of `{first.name}`, "
        "where 49 taps "
        "are added,",
        f"{first.words('O', 'core0.rf_2B', 'to_below'):,} reads against "
        f"{first.accesses('O', 'core0.rf_2B', 'to_below'):,.0f}"
        " (48 of 49).",
    )


def last_width(layer: Layer) -> list[str]:
    """The width of finished values."""
    sram = "core0.sram_2MB"
    return paragraph(
        "**The last write.** Where partial sums cross a border, ZigZag moves all of them at the partial sums' "
        "width; weft",
        f"moves the last, finished value at the output's. {at(layer)}: "
        f"{layer.words('O', sram, 'from_below'):,} words into",
        f"the SRAM against {layer.accesses('O', sram, 'from_below'):,.0f} (16 + 16 + 8 bits instead of 3 x 16).",
    )


def padding(layer: Layer, wide: Layer) -> list[str]:
    """Reads of padding."""
    sram = "core0.sram_2MB"
    a, b = layer.words("I", sram, "to_below"), layer.accesses("I", sram, "to_below")
    c, d = wide.words("I", sram, "to_below"), wide.accesses("I", sram, "to_below")
    return paragraph(
        "**Padding.** ZigZag knows padding only as a limit to how many values an axis has; a step whose taps "
        "lie outside",
        f"the input still reads. weft reads nothing there. {at(layer)} (7 x 7, 3 x 3 taps): {a:,} input words "
        "out of the",
        f"SRAM against {b:,.0f}, {1 - b / a:.0%} less; `{wide.name}` (56 x 56): {c:,} against {d:,.0f}. MACs "
        "on padding "
        "count in both.",
    )


def shifted_tiles(layer: Layer) -> list[str]:
    """Refetched tiles that reach over the border."""
    changed = variant(layer, I="C16,OY7,OX7,K16;FY3,FX3")
    return paragraph(
        "**Tiles over the border.** A fetched tile, too, has the size of a whole one in ZigZag. "
        f"{at(layer)} with the input's SRAM tile cut below FY3 FX3, so that it moves by one tap in each of nine steps: "
        f"ZigZag fetches {changed.words('I', 'dram', 'to_below'):,} words from DRAM (nine full images), weft "
        f"{changed.accesses('I', 'dram', 'to_below'):,.0f}. (Of ragged unrollings ZigZag counts whole parts when it "
        "counts the values under a window.)"
    )


def unrolling(layer: Layer) -> list[str]:
    """Ragged unrollings in energy."""
    used = layer.zigzag_mapping.of("O").spatial[1][0].factor
    return paragraph(
        "**Unrolling that does not divide.** K of 1000 over 32 columns takes 32 steps. ZigZag's energy spreads "
        "it evenly,",
        f"{float(used):g} columns in every step; weft uses 32 and in the last step 8. {at(layer)}: ZigZag's step sends",
        "round(31.25) = 31 outputs of 8 bits to the SRAM, four accesses of 64 bits, for all 32 steps:",
        f"{layer.words('O', 'core0.sram_2MB', 'from_below')} words; weft sends 32 (four accesses) 31 times and "
        "8 (one) once:",
        f"{layer.accesses('O', 'core0.sram_2MB', 'from_below'):g}.",
    )


def rounding(layer: Layer) -> list[str]:
    """Where counts are rounded."""
    memory = layer.problem.chip.memory("core0.sram_2MB")
    words, accesses = (
        layer.words("O", memory.name, "to_above"),
        layer.accesses("O", memory.name, "to_above"),
    )
    return paragraph(
        "**Whole words once per flow.** ZigZag rounds a transfer up to smallest accesses, and the sum over the "
        "layer *down*",
        "to whole full-width words; weft counts smallest accesses. It also rounds elements per instance, instances and",
        f"elements per broadcast each to an integer before multiplying. {at(layer)}: the 1000 finished outputs "
        "leave the SRAM",
        f"in 125 accesses of 64 bits, {accesses:g} words: {accesses * memory.read_pj:,.1f} pJ. ZigZag charges {words}:",
        f"{words * memory.read_pj:,.1f} pJ.",
    )


def unpriced(layer: Layer) -> list[str]:
    """What ZigZag does not price."""
    chip = layer.problem.chip
    dear = replace(chip, links=tuple(replace(link, pj_per_bit=1.0) for link in chip.links))
    dearer = priced(layer.name, layer.problem.op, dear, layer.zigzag_mapping, layer.report)
    moved = dearer.weft.energy_pj - layer.weft.energy_pj
    return paragraph(
        "**Links, leakage, control.** ZigZag prices none; weft prices links by the bit and static and active "
        "power by the",
        f"cycle where the chip states them (`{CHIP}` states none). {at(layer)}: at 1 pJ/bit on the bus weft adds",
        f"{moved / 1e6:.3f} uJ, ZigZag nothing ({dearer.zigzag.energy_pj - layer.zigzag.energy_pj:.0f}).",
    )


def stalls(layer: Layer) -> list[str]:
    """The stall model."""
    worst = max(layer.zigzag.stalls, key=lambda each: each[1])
    port, busy = max(
        ((name, cycles) for name, cycles in layer.weft.busy if name.startswith("core0.sram")), key=lambda each: each[1]
    )
    return paragraph(
        "**Stalls.** ZigZag gives each transfer a window in its period and counts per port what does not fit "
        "in the union",
        "of the windows; the layer stalls by the worst port. weft's steady time is max(compute + exposed, busy of each",
        f"port). {at(layer)}: the SRAM's read port feeds the array in each of 112,896 cycles and returns "
        "partial sums in",
        f"4,704: ZigZag stalls {worst[1]:,.0f} cycles on {worst[0]} (each count less one, beyond 112,896). "
        "weft does not read",
        f"padding nor return the first sums: {port} is busy {busy:,} cycles, less than the "
        f"{layer.weft.compute_cycles:,} of",
        "compute, and nothing stalls. (ZigZag's words for that port, at full width, would be "
        f"{dict(layer.zigzag.busy)['core0.sram_2MB.r']:,.0f}: its",
        "stalls round each transfer up to a cycle, its energy does not.)",
    )


def roofline(layer: Layer, below: list[Layer], every: list[Layer]) -> list[str]:
    """Latencies below a port's busy time."""
    return paragraph(
        f"**Below the roofline.** {at(layer)}: ZigZag says {layer.zigzag.latency_cycles:,.10g} cycles, and its "
        "own words keep",
        f"the 64-bit DRAM port busy for {dict(layer.zigzag.busy)['dram.rw']:,.10g}. Stalls, on-loading and "
        "off-loading are",
        "found apart and each may overlap with what another has already used. This is so in "
        f"{len(below)} of the {len(every)} layers, marked",
        f"in the table. weft says {layer.weft.latency_cycles:,}; no latency of its can be below the busy time "
        "of a port.",
    )


def ends(layer: Layer, shared: Layer, negative: list[Layer], every: list[Layer]) -> list[str]:
    """On- and off-loading."""
    dram = {name: cycles for name, cycles in layer.zigzag.ends if " dram " in name}
    return paragraph(
        "**Before and after.** What is moved once may, in ZigZag, run during the layer's own cycles if the "
        "port has idle",
        "time then - an input before the MACs that need it, too, and an output before it is computed. Idle "
        "time is handed",
        "out from the longest transfer down, and the longer ones are shortened again with each shorter one, also below",
        f"zero ({len(negative)} of {len(every)} layers). {at(layer)}: the input takes 25,088 cycles from DRAM "
        "and is left",
        f"with {dram['I dram to_below']:,.10g}, the output with {dram['O dram from_below']:,.10g}; on-loading is "
        f"{layer.zigzag.onload_cycles:,.10g} (the SRAM's side), off-loading",
        f"{layer.zigzag.offload_cycles:,.10g}. weft's fill is {layer.weft.fill_cycles:,} and its drain "
        f"{layer.weft.drain_cycles:,}: overlap with a neighbouring task is the scheduler's to place,",
        f"not the formula's to assume. Shares need not be whole: `{shared.name}` takes",
        f"{shared.zigzag.latency_cycles:,.10g} cycles.",
    )


def buffering(layer: Layer) -> list[str]:
    """Double buffering, inferred and declared."""
    changed = variant(
        layer,
        O="FY3;OY7,OX7,K16,C2,C4,FX3;-",
        I="FY3,OY7,OX7,K16,C2,C4,FX3;-",
        W="FY3,OY7,OX7,K16,C2;C4,FX3",
    )
    wrong = "; ".join(changed.broken) or "nothing"
    return paragraph(
        "**Double buffering.** ZigZag infers it from room: a tile that is used up piece by piece needs a "
        "second copy of the",
        "piece only, and a memory that is half empty so has two copies. weft's memories declare it, and two "
        "copies take",
        f"two copies' room. {at(layer)} with the weights' tile grown by C2 to 96 of the register's 128 bytes: "
        "ZigZag takes",
        f"it for double buffered and stalls {changed.zigzag.stall_cycles:,.10g} cycles; weft refuses it ({wrong}). "
        "Of 63 mappings of small layers on four chips (tests/cost/test_zigzag.py), 10 have no room for a second copy, "
        "nine of them in the 64-byte registers of `eyeriss_like`.",
    )


def whole_part(layer: Layer) -> list[str]:
    """Ragged unrollings in latency."""
    per_fold, folds = 64 * 31 * 32 * 8 // 64, 8
    return paragraph(
        "**Another rounding.** Latency takes the whole part of an unrolling where energy takes its fraction.",
        f"{at(layer)}: each of {folds} loads of weights is {per_fold:,} cycles (31 of 31.25 columns), "
        f"{per_fold * folds:,} in",
        f"all, while energy counts {layer.words('W', 'dram', 'to_below'):,} words. weft counts "
        f"{layer.accesses('W', 'dram', 'to_below'):,.0f} in both.",
    )


def paragraph(*parts: str) -> list[str]:
    """The parts as one wrapped paragraph and an empty line."""
    text = " ".join(part.strip() for part in parts)
    return [*textwrap.wrap(text, 110, break_long_words=False, break_on_hyphens=False), ""]


def at(layer: Layer) -> str:
    """The layer as the page names it."""
    return f"`{layer.name}`"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--mappings", type=Path, default=ROOT / "tests" / "data" / "zigzag_resnet18_tpu_like.json", help="ZigZag's"
    )
    parser.add_argument("--write", type=Path, default=ROOT / "docs" / "zigzag_differences.md")
    options = parser.parse_args()
    options.write.write_text(page(layers(options.mappings)), encoding="utf-8")
    print(options.write)


if __name__ == "__main__":
    main()
