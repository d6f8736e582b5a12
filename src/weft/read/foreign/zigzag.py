"""ZigZag's accelerator files as weft chips: one core, its top memory as the chip's outermost, and what ZigZag does not
have - cores for pools and elementwise operators, links, a clock - assumed as in weft's library."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from weft.model.workload import SLOTS, Slot
from weft.read.foreign.core import CORE_KEYS, ForeignCore, read_core, sums_rest, word
from weft.read.foreign.dataflow import MappingFile, assume, laid, lay_out, read_mapping
from weft.read.foreign.layers import read_layers
from weft.read.foreign.parts import CLOCK, FOLDS, accumulator_of, core_entries, memory_entries, refuse_ours
from weft.read.foreign.verify import verified
from weft.read.items import Item, ItemError, Part, load
from weft.read.workload import write_workload
from weft.read.yaml_text import Entry, comment, listed, quoted, render

WHAT = "ZigZag's YAML"
HELPERS = "assumed: ZigZag's file has one core; pools and all other operators run as in weft's library"


def import_zigzag(path: Path, mapping: Path | None = None) -> str:
    """The weft YAML for one of ZigZag's files, ending in a newline.

    Args:   path: an accelerator or a workload.   mapping: the mapping file that says what lies on its array.
    Errors: ItemError, of all that does not hold at once; ChipError where what it describes is no whole chip.
    """
    item = load(path, WHAT)
    kind = kind_of(item)
    if kind == "mapping":
        raise ItemError(
            "a mapping file must come with its accelerator",
            where=str(path),
            remedy=f"weft import zigzag ACCELERATOR --mapping {path.name}",
        )
    if kind == "workload":
        if mapping is not None:
            raise ItemError(
                "a mapping file must come with an accelerator, not with layers",
                where=str(path),
                remedy="weft finds the mapping of each layer: weft map MODEL --chip CHIP",
            )
        head = comment(f"Imported from ZigZag's {path.name}: its layers; what ZigZag prices at nothing is not in it.")
        return "".join(f"{line}\n" for line in head) + write_workload(read_layers(item))
    laid_out = None if mapping is None else read_mapping(load(mapping, WHAT))
    return verified(_chip(item, laid_out), path)


def kind_of(item: Item) -> str:
    """ "accelerator", "mapping" or "workload", by the keys of a file."""
    if isinstance(item.value, dict) and "operational_array" in item.value:
        return "accelerator"
    refuse_ours(item)
    if isinstance(item.value, dict) and "cores" in item.value:
        raise ItemError(
            "the file must be ZigZag's, and this has cores, as Stream's accelerators do",
            where=item.where(key="cores"),
            remedy="weft import stream FILE",
        )
    if isinstance(item.value, list) and item.value and all(isinstance(entry.value, dict) for entry in item.value):
        keys = {key for entry in item.value for key in entry.value}
        if "equation" in keys or "operator_type" in keys:
            return "workload"
        if keys & {"spatial_mapping", "spatial_mapping_hint", "memory_operand_links", "temporal_ordering"}:
            return "mapping"
    raise ItemError(
        f"the file must be {WHAT}: an accelerator ('memories' and 'operational_array'), a list of mappings or a list "
        "of layers, and is none",
        where=item.where(),
    )


def _chip(item: Item, mapping: MappingFile | None) -> str:
    part = Part(item, "", CORE_KEYS)
    core = read_core(part)
    if core.imc:
        raise ItemError(
            f"the array must be one of MACs in this version, not {core.imc}",
            where=core.where,
            remedy="all else of the file was read; in-memory-compute cores come with weft's support for them",
        )
    top = core.memories[-1]
    if set(top.holds) != {"I1", "I2", "O"}:
        raise ItemError(
            f"the last memory must be the outermost and hold I1, I2 and O, not {' '.join(top.holds)}",
            where=top.where,
            remedy="memories are listed innermost first",
        )
    slots = _slots(mapping)
    sides, remarks = core.sides, list(mapping.remarks if mapping else ())
    if mapping is not None:
        layout, more = lay_out(sides, mapping.sides, mapping.source)
        remarks += more
    elif core.dataflows is not None:
        layout, more = lay_out(sides, laid(core.dataflows), "dataflows in the file")
        remarks += more
    else:
        layout = assume(sides, sums_rest=sums_rest(core))
    own = replace(core, memories=core.memories[:-1])
    held = {slots[operand] for memory in own.memories for operand in memory.holds}
    outermost = word(top.name)
    levels = [(outermost, SLOTS)] if held != set(SLOTS) else []
    notes = [
        "clock of 1 GHz assumed",
        "buffering of each memory assumed",
        "pooling and SIMD cores and all links assumed",
        *(() if mapping or core.dataflows else ("dataflow assumed",)),
    ]
    entries = (
        Entry("name", word(core.name)),
        Entry("source", quoted(f"ZigZag accelerator {item.file.name}, imported")),
        Entry("notes", listed(map(quoted, notes))),
        Entry("clock", "1 GHz", (CLOCK,)),
        Entry("precision", precision(core.input_bits), (precision_comment(core.input_bits),)),
        Entry("folds", "[Relu, Clip, BatchNormalization]", (FOLDS,)),
        Entry("outermost", outermost),
        Entry("memories", (Entry(outermost, memory_entries(top, slots, (), outermost=True), top.remarks),)),
        Entry(
            "cores",
            (
                Entry(
                    "core0",
                    core_entries(
                        own,
                        Entry("ops", "[conv, gemm, matmul]"),
                        layout,
                        slots,
                        accumulator_of(own),
                        levels,
                        f"ZigZag core {core.name}",
                    ),
                ),
                Entry("pooling", "{from: cores/pooling.yaml}", (HELPERS,)),
                Entry("simd", "{from: cores/simd.yaml}", (HELPERS,)),
            ),
        ),
        Entry("links", _links(own, outermost, max(port.width_bits for port in top.ports), bool(levels))),
    )
    head = [
        f"Imported from ZigZag's {item.file.name}{f' with {mapping.source}' if mapping else ''}.",
        "Not used: areas, and latencies of memories (a cycle, where no more is said below).",
        *remarks,
    ]
    return "".join(f"{line}\n" for text in head for line in comment(text)) + render(entries)


def _slots(mapping: MappingFile | None) -> dict[str, Slot]:
    links = mapping.links if mapping else {"O": "O", "W": "I2", "I": "I1"}
    return {links[slot]: slot for slot in SLOTS}


def precision(bits: tuple[int, int] | None) -> str:
    """The chip's default widths."""
    inputs, weights = bits or (8, 8)
    return f"{{inputs: {inputs} bit, weights: {weights} bit, outputs: {inputs} bit}}"


def precision_comment(bits: tuple[int, int] | None) -> str:
    """Where they come from."""
    return "assumed: outputs as wide as inputs" if bits else "assumed: 8 bit for floats, as no width is given"


def _links(core: ForeignCore, top: str, width_bits: int, streams: bool) -> tuple[Entry, ...]:
    """Links as weft's library has them; where the core keeps nothing of an operand it works from the top itself."""
    why = "assumed: ZigZag has no links"
    ends = ["pooling", "simd", top]
    entries = []
    if core.memories and not streams:
        ends.insert(0, "core0")
        entries = [
            Entry(f"core0_{helper}", f"{{between: [core0, {helper}], bandwidth: 32 bit/cycle, duplex: full}}", (why,))
            for helper in ("pooling", "simd")
        ]
    bus = f"{{joins: {listed(ends)}, bandwidth: {width_bits} bit/cycle}}"
    return (*entries, Entry("bus", bus, (f"{why}; as wide as {top}'s port",)))
