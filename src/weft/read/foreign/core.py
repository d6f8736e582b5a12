"""A core as ZigZag's accelerator files and Stream's core files describe it: an array and the memories around it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from weft.errors import Gathered
from weft.model.chip import Flow
from weft.read.items import Item, ItemError, Part

WAYS: dict[str, Flow] = {"fh": "from_above", "tl": "to_below", "fl": "from_below", "th": "to_above"}
OPERANDS = ("I1", "I2", "O")
CORE_KEYS = ("name", "memories", "operational_array", "multipliers", "dataflows")
_MEMORY_KEYS = (
    "size",
    "r_cost",
    "w_cost",
    "area",
    "latency",
    "mem_type",
    "auto_cost_extraction",
    "operands",
    "ports",
    "served_dimensions",
    "force_double_buffering",
    # as it was until ZigZag 3.6: one width for all ports, and a count of each kind
    "r_bw",
    "w_bw",
    "r_port",
    "w_port",
    "rw_port",
    "min_r_granularity",
    "min_w_granularity",
)
_PORT_KEYS = ("name", "type", "bandwidth_min", "bandwidth_max", "allocation")
_ARRAY_KEYS = (
    "dimensions",
    "sizes",
    "is_imc",
    "imc_type",
    "adc_resolution",
    "bit_serial_precision",
    "systolic_dimensions",
    "input_precision",
    "unit_energy",
    "unit_area",
)


@dataclass(frozen=True, slots=True)
class ForeignPort:
    """One port. `flows` are (operand, way) pairs, each on the last port that the file gives it to: ZigZag's reading."""

    name: str
    direction: str
    least_bits: int
    width_bits: int
    flows: tuple[tuple[str, Flow], ...]


@dataclass(frozen=True, slots=True)
class ForeignMemory:
    """One memory.

    Args:
        holds:    of I1, I2 and O.          serves:  sides of the array.
        doubled:  whether the file forces double buffering.
        remarks:  what the file says that is not taken over, or that was mended.
        where:    file and line.
    """

    name: str
    size_bits: int
    read_pj: float
    write_pj: float
    holds: tuple[str, ...]
    serves: tuple[str, ...]
    ports: tuple[ForeignPort, ...]
    doubled: bool
    remarks: tuple[str, ...]
    where: str


@dataclass(frozen=True, slots=True)
class ForeignCore:
    """An array and its memories, innermost first.

    Args:
        sides:       sizes by name; empty where the core has no units.
        imc:         "" or a description of its in-memory-compute array.
        input_bits:  widths (I, W) that a unit takes, or None where the file does not say.
        dataflows:   the core's own dataflow, as in a mapping file.
        remarks:     what the file says that is not taken over.
        where:       file and line of the array.
    """

    name: str
    sides: dict[str, int]
    op_pj: float
    systolic: tuple[str, ...]
    imc: str
    input_bits: tuple[int, int] | None
    memories: tuple[ForeignMemory, ...]
    dataflows: Item | None
    remarks: tuple[str, ...]
    where: str


def sums_rest(core: ForeignCore) -> bool:
    """Whether a systolic array can be output-stationary: inputs and weights have registers in its units."""
    registers = {operand for memory in core.memories if not memory.serves for operand in memory.holds}
    return len(core.systolic) == 2 and {"I1", "I2"} <= registers


def read_core(part: Part, units: bool = True) -> ForeignCore:
    """The core in a file.

    Args:   part: the file's top.   units: whether it must have some (an off-chip memory has none).
    Errors: ItemError, of all that does not hold at once.
    """
    problems = Gathered(ItemError)
    remarks = list(part.repeated())
    memories: list[ForeignMemory] = []
    name = "core"
    with problems.go_on():
        name = part.text("name")
    array = None
    with problems.go_on():
        key = "multipliers" if part.has("multipliers") else "operational_array"  # its older name
        array = Part(part.get(key), key, _ARRAY_KEYS)
    sides: dict[str, int] = {}
    if array is not None:
        remarks += array.repeated()
        with problems.go_on():
            sides = _sides(array, units)
        with problems.go_on():
            for key, item in part.parts("memories").items():
                with problems.go_on():
                    memories.append(_memory(key, item, sides))
    problems.settle()
    assert array is not None
    if not memories:
        raise part.error("memories", "a core must have at least one memory, not none")
    imc, op_pj = "", 0.0
    if array.truth("is_imc"):
        imc = f"{array.text('imc_type', ('analog', 'digital'))} in-memory compute"
    else:
        op_pj = array.number("unit_energy")
    systolic = tuple(array.words("systolic_dimensions", sides)) if array.has("systolic_dimensions") else ()
    bits = None
    if array.has("input_precision"):
        widths = array.wholes("input_precision", 0)
        if len(widths) != 2:
            raise array.error("input_precision", f"input_precision must be two widths, not {len(widths)}")
        bits = (widths[0], widths[1]) if min(widths) > 0 else None
    if array.has("unit_area"):
        remarks.append(f"not used: unit_area of {array.number('unit_area'):g}")
    return ForeignCore(
        name,
        {} if 0 in sides.values() else sides,
        op_pj,
        systolic,
        imc,
        bits,
        tuple(memories),
        part.get("dataflows") if part.has("dataflows") else None,
        tuple(remarks),
        array.item.where(array.thing),
    )


def _sides(array: Part, units: bool) -> dict[str, int]:
    names, sizes = array.words("dimensions"), array.wholes("sizes", 1 if units else 0)
    if len(names) != len(sizes) or len(set(names)) != len(names):
        raise array.error(
            "sizes", f"sizes must be one for each of the dimensions {' '.join(names)}, not {len(sizes)} numbers"
        )
    return dict(zip(names, sizes, strict=True))


def _memory(name: str, item: Item, sides: dict[str, int]) -> ForeignMemory:
    part = Part(item, f"memory '{name}'", _MEMORY_KEYS)
    remarks = list(part.repeated())
    if part.truth("auto_cost_extraction") and not (part.has("r_cost") and part.has("w_cost")):
        raise part.error(
            "auto_cost_extraction",
            "the energies of a memory must be given, not left to auto_cost_extraction",
            "weft does not run CACTI: write r_cost and w_cost in pJ per access of a port's full width",
        )
    if part.truth("auto_cost_extraction"):
        remarks.append("auto_cost_extraction is not followed: the r_cost and w_cost given count")
    holds = part.words("operands", OPERANDS)
    if part.has("r_bw"):
        ports = older_ports(part, holds)
    else:
        ports = [_port(entry, part.thing, tuple(holds)) for entry in part.items("ports")]
    last = {flow: port.name for port in ports for flow in port.flows}
    kept = []
    for port in ports:
        lost = [flow for flow in port.flows if last[flow] != port.name]
        for operand, way in lost:
            remarks.append(f"{operand} {way} is given to {port.name} too; the last port it is given to counts")
        kept.append(
            ForeignPort(
                port.name,
                port.direction,
                port.least_bits,
                port.width_bits,
                tuple(flow for flow in port.flows if flow not in lost),
            )
        )
    if part.has("area") and part.number("area"):
        remarks.append(f"not used: area of {part.number('area'):g}")
    if part.has("latency") and part.whole("latency", 0) > 1:
        remarks.append(f"not used: latency of {part.whole('latency', 0)} cycles")
    if part.has("mem_type"):
        remarks.append(f"not used: mem_type {part.text('mem_type')}")
    return ForeignMemory(
        name,
        part.whole("size"),
        part.number("r_cost"),
        part.number("w_cost"),
        tuple(holds),
        tuple(part.words("served_dimensions", sides)),
        tuple(kept),
        part.truth("force_double_buffering"),
        tuple(remarks),
        part.item.where(part.thing),
    )


def _port(item: Item, thing: str, holds: tuple[str, ...]) -> ForeignPort:
    part = Part(item, thing, _PORT_KEYS)
    name = part.text("name")
    part.thing = f"{thing} port '{name}'"
    direction = part.text("type", ("read", "write", "read_write"))
    least, width = part.whole("bandwidth_min"), part.whole("bandwidth_max")
    if least > width:
        raise part.error("bandwidth_min", f"bandwidth_min must be at most bandwidth_max of {width}, not {least}")
    flows: list[tuple[str, Flow]] = []
    for entry in part.items("allocation"):
        match = re.fullmatch(r"\s*(I1|I2|O)\s*,\s*(fh|tl|fl|th)\s*", str(entry.value))
        if match is None:
            raise ItemError(
                f"each allocation must read OPERAND, WAY, not '{entry.value}'",
                where=entry.where(part.thing),
                remedy="for example 'I1, fh'; operands are I1 I2 O, ways fh tl fl th",
            )
        operand, way = match.group(1), WAYS[match.group(2)]
        if operand not in holds:
            raise ItemError(
                f"each allocation must be of an operand that the memory holds, not of {operand}",
                where=entry.where(part.thing),
                remedy=f"it holds {' '.join(holds)}",
            )
        if direction == ("write" if way in ("to_below", "to_above") else "read"):
            raise ItemError(
                f"a {direction} port must not carry '{operand}, {match.group(2)}'",
                where=entry.where(part.thing),
                remedy="fh and fl are writes, tl and th are reads",
            )
        flows.append((operand, way))
    return ForeignPort(word(name), direction, least, width, tuple(flows))


def older_ports(part: Part, holds: list[str]) -> list[ForeignPort]:
    """Ports as written until ZigZag 3.6: counts of r_port, w_port, rw_port; for each operand each way's port."""
    entries = part.items("ports")
    if len(entries) != len(holds):
        raise part.error("ports", f"ports must have one entry for each of {' '.join(holds)}, not {len(entries)}")
    flows: dict[str, list[tuple[str, Flow]]] = {}
    widths: dict[str, tuple[str, int, int]] = {}
    for kind, direction, key in (("r_port", "read", "r"), ("w_port", "write", "w"), ("rw_port", "read_write", "r")):
        width = part.whole(f"{key}_bw")
        least = part.whole(f"min_{key}_granularity") if part.has(f"min_{key}_granularity") else width
        for index in range(part.whole(kind, 0) if part.has(kind) else 0):
            widths[f"{kind}_{index + 1}"] = (direction, min(least, width), width)
    for operand, entry in zip(holds, entries, strict=True):
        ways = Part(entry, part.thing, WAYS)
        for way in ways.item.value:
            flows.setdefault(ways.text(way, widths), []).append((operand, WAYS[way]))
    return [
        ForeignPort(name, direction, least, width, tuple(flows.get(name, ())))
        for name, (direction, least, width) in widths.items()
    ]


def word(name: str) -> str:
    """A name as weft's files can have it.

    >>> word("core 2/a")
    'core_2_a'
    """
    clean = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    return clean if re.match(r"[A-Za-z_]", clean) else f"_{clean}"
