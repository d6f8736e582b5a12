"""Stream's accelerator files as weft chips: cores by file, shared memories, and every link and bus kept as it is."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from weft.errors import Gathered, UserError
from weft.model.workload import KINDS, SLOTS, Kind, Slot
from weft.read.foreign.core import CORE_KEYS, ForeignCore, ForeignMemory, read_core, sums_rest, word
from weft.read.foreign.dataflow import Side, assume, laid, lay_out
from weft.read.foreign.operators import kinds_of
from weft.read.foreign.parts import CLOCK, FOLDS, accumulator_of, core_entries, memory_entries, refuse_ours
from weft.read.foreign.verify import verified
from weft.read.items import Item, ItemError, Part, load
from weft.read.yaml_text import Entry, comment, listed, quoted, real, render

WHAT = "Stream's YAML"
_KEYS = (
    "name",
    "cores",
    "core_connectivity",
    "core_memory_sharing",
    "core_coordinates",
    "offchip_core_id",
    "offchip_core",
    "bandwidth",
    "unit_energy_cost",
    "technology_node",
    "kernel_library",
    "reconfiguration",
    "memory_aliases",
)
_CORE_KEYS = (
    *CORE_KEYS,
    "type",
    "operator_types",
    "operand_precision",
    "banks",
    "utilization",
    "max_object_fifo_depth",
)
_LINK_KEYS = ("type", "cores", "bandwidth", "unit_energy_cost")
_UNUSED = {
    "core_coordinates": "where cores lie does not matter, links say what reaches what",
    "technology_node": "energies are those of the core files",
    "kernel_library": "kernels are of the AIE tools",
    "reconfiguration": "weft configures nothing between designs",
    "memory_aliases": "they are for cost of area",
}
_SLOTS: dict[str, Slot] = {"I1": "I", "I2": "W", "O": "O"}


class _TilesOfKernels(UserError):
    """A core without an array: one such core says it for all of them."""


@dataclass(frozen=True, slots=True)
class StreamCore:
    """A core of the accelerator.

    Args:
        kind:     compute, memory or offchip.
        core:     what its file says.
        kinds:    op kinds of its operator_types; None where it has none and takes any.
        operators: those operator_types.
        sum_bits: width of a partial sum, where the file says.
    """

    number: int
    kind: str
    core: ForeignCore
    kinds: tuple[Kind, ...] | None
    operators: tuple[str, ...]
    sum_bits: int | None


@dataclass(frozen=True, slots=True)
class Connection:
    """A link or a bus between cores, as listed. `pj` is what moving its full width costs."""

    kind: str
    cores: tuple[int, ...]
    bandwidth_bits: int
    pj: float
    remark: str


def import_stream(path: Path) -> str:
    """The weft YAML for one of Stream's accelerators, ending in a newline.

    Args:   path: the accelerator; the files of its cores lie where it says, or in `cores` beside it.
    Errors: ItemError, of all that does not hold at once.
    """
    item = load(path, WHAT)
    refuse_ours(item)
    if isinstance(item.value, dict) and "cores" not in item.value and "operational_array" in item.value:
        raise ItemError(
            "the file must be a Stream accelerator with cores, and this is one core",
            where=str(path),
            remedy="weft import zigzag FILE reads a core as a chip of its own",
        )
    part = Part(item, "", _KEYS)
    problems = Gathered(ItemError)
    cores: list[StreamCore] = []
    files: dict[Path, Item] = {}
    entries = part.parts("cores")
    try:
        for number, entry in entries.items():
            with problems.go_on():
                cores.append(_core(_number(number, part), entry, path.parent, files))
    except _TilesOfKernels as error:
        raise ItemError(error.message, where=error.where, remedy=error.remedy) from None
    if part.has("offchip_core"):
        with problems.go_on():
            found = _core(len(entries), part.get("offchip_core"), path.parent, files)
            cores.append(replace(found, kind="offchip"))
    problems.settle()
    return verified(_chip(part, cores), path)


def _number(key: str, part: Part) -> int:
    if not key.isdigit():
        raise ItemError(f"cores must be numbered, and '{key}' is no number", where=part.get("cores").where(key=key))
    return int(key)


def _core(number: int, entry: Item, folder: Path, files: dict[Path, Item]) -> StreamCore:
    item = entry if isinstance(entry.value, dict) else _core_file(entry, number, folder, files)
    if isinstance(item.value, dict) and "type" in item.value and str(item.value["type"].value).startswith("aie"):
        raise _TilesOfKernels(
            f"a core must say its array and energies, and {item.value['type'].value} cores say neither",
            where=item.where(key="type"),
            remedy="such tiles are described by kernels: describe them as weft cores",
        )
    part = Part(item, f"core {number}", _CORE_KEYS)
    kind = "compute"
    if part.has("type"):
        kind = part.text("type").removeprefix("zigzag.")
        if kind not in ("compute", "memory", "offchip"):
            raise part.error("type", f"type must be one of compute, memory, offchip, not '{part.text('type')}'")
    core = read_core(part, units=kind == "compute")
    if core.imc:
        raise ItemError(
            f"the array must be one of MACs in this version, not {core.imc}",
            where=core.where,
            remedy="in-memory-compute cores come with weft's support for them",
        )
    remarks = list(core.remarks)
    if part.has("banks"):
        banks = ", ".join(f"{key} {value.value}" for key, value in part.parts("banks").items())
        remarks.append(f"not used: banks ({banks}): a memory's ports are always free to it")
    for key in ("utilization", "max_object_fifo_depth"):
        if part.has(key):
            remarks.append(f"not used: {key} of {part.number(key):g}")
    bits, sums = core.input_bits, None
    if part.has("operand_precision"):
        stated = Part(part.get("operand_precision"), f"core {number} operand_precision", ("input", "accumulator"))
        if stated.has("input"):
            bits = (_bits(stated, "input"),) * 2
        if stated.has("accumulator"):
            sums = _bits(stated, "accumulator")
    operators = tuple(part.words("operator_types")) if part.has("operator_types") else ()
    kinds = None
    if part.has("operator_types"):
        kinds, unknown = kinds_of(operators)
        if unknown:
            remarks.append(f"not used: operators {', '.join(unknown)}, which weft has no core kind for")
    return StreamCore(number, kind, replace(core, input_bits=bits, remarks=tuple(remarks)), kinds, operators, sums)


def _bits(part: Part, key: str) -> int:
    match = re.fullmatch(r"[a-z]+([0-9]+)", part.text(key))
    if match is None:
        raise part.error(key, f"{key} must be an element type such as int8, not '{part.text(key)}'")
    return int(match.group(1))


def _core_file(entry: Item, number: int, folder: Path, files: dict[Path, Item]) -> Item:
    """The file that describes a core: where its name says, or in `cores` beside the accelerator, or beside it."""
    if not isinstance(entry.value, str):
        raise ItemError(f"core {number} must be a file or a description", where=entry.where())
    name = Path(entry.value)
    tried = [folder / name, folder / "cores" / name, folder / "cores" / name.name, name]
    found = next((path for path in tried if os.path.isfile(path)), None)
    if found is None:
        raise ItemError(
            f"the file of core {number} must be beside the accelerator or in its folder cores, and '{name}' is not",
            where=entry.where(),
        )
    if found not in files:
        files[found] = load(found, WHAT)
    return files[found]


def _chip(part: Part, cores: list[StreamCore]) -> str:
    by_number = {core.number: core for core in cores}
    offchip = _offchip(part, cores)
    connections = _connections(part, by_number)
    names = _names(cores)
    shared, homes = _shared(part, by_number, offchip, set(names.values()))
    ends = {core.number: homes.get(core.number, names[core.number]) for core in cores}
    computing = [core for core in cores if core.kind == "compute" and core.number != offchip.number]
    if not computing:
        raise part.error("cores", "an accelerator must have at least one core that computes, not none")
    kinds, spread = _kinds(computing)
    first = next((core for core in computing if "conv" in kinds[core.number][0]), computing[0])
    bits = first.core.input_bits
    notes = ["clock of 1 GHz assumed", "buffering of each memory assumed"]
    layouts: dict[int, tuple[dict[str, Side], tuple[str, ...]]] = {}
    for core in computing:
        layouts[core.number] = _layout(core, kinds[core.number][0])
    if any(core.core.dataflows is None for core in computing):
        notes.append("dataflow of cores assumed")
    if not any(connection.pj for connection in connections):
        notes.append("links cost no energy, as in the source")
    if spread:
        notes.append(spread)
    links = _links(connections, ends, names)
    if part.has("offchip_core"):
        links += (_channel(offchip, ends, computing),)
    inputs, weights = bits or (8, 8)
    stated = f"that of {names[first.number]}" if bits else "8 bit, as no width is given"
    entries = (
        Entry("name", word(part.text("name"))),
        Entry("source", quoted(f"Stream accelerator {part.item.file.name}, imported")),
        Entry("notes", listed(map(quoted, notes))),
        Entry("clock", "1 GHz", (CLOCK,)),
        Entry(
            "precision",
            f"{{inputs: {inputs} bit, weights: {weights} bit, outputs: {inputs} bit}}",
            (f"assumed for floats: {stated}",),
        ),
        Entry("folds", "[Relu, Clip, BatchNormalization]", (FOLDS,)),
        Entry("outermost", ends[offchip.number]),
        Entry(
            "memories",
            tuple(
                Entry(
                    name,
                    memory_entries(memory, _SLOTS, (), outermost=name == ends[offchip.number]),
                    memory.remarks,
                )
                for name, memory in shared.items()
            ),
        ),
        Entry(
            "cores",
            tuple(
                Entry(names[core.number], _entries(core, kinds[core.number], layouts[core.number], homes))
                for core in computing
            ),
        ),
        *((Entry("links", links, (LINKS,)),) if links else ()),
    )
    head = [
        f"Imported from Stream's {part.item.file.name}.",
        "Not used: areas, and latencies of memories (a cycle, where no more is said below).",
        *part.repeated(),
        *(f"not used: {key}: {why}" for key, why in _UNUSED.items() if part.has(key)),
    ]
    if part.has("bandwidth") and isinstance(part.get("bandwidth").value, dict):
        rates = ", ".join(part.parts("bandwidth"))
        head.append(f"not used: bandwidth measured at {rates}: the widths of ports and links count")
    return "".join(f"{line}\n" for text in head for line in comment(text)) + render(entries)


LINKS = "each link has its bandwidth in each direction, as Stream books them apart; a bus is one resource"


def _offchip(part: Part, cores: list[StreamCore]) -> StreamCore:
    if part.has("offchip_core"):
        found = cores[-1]
    else:
        number = part.whole("offchip_core_id", 0)
        chosen = next((core for core in cores if core.number == number), None)
        if chosen is None:
            raise part.error("offchip_core_id", f"offchip_core_id must be one of the cores, not {number}")
        found = chosen
    if len(found.core.memories) != 1 or set(found.core.memories[0].holds) != {"I1", "I2", "O"}:
        raise ItemError(
            "the off-chip core must have one memory that holds I1, I2 and O",
            where=found.core.memories[-1].where,
        )
    return found


def _names(cores: Sequence[StreamCore]) -> dict[int, str]:
    """Each core's name: that of its file, with its number where several have it."""
    count = Counter(core.core.name for core in cores)
    return {
        core.number: word(core.core.name if count[core.core.name] == 1 else f"{core.core.name}{core.number}")
        for core in cores
    }


def _shared(
    part: Part, cores: dict[int, StreamCore], offchip: StreamCore, taken: set[str]
) -> tuple[dict[str, ForeignMemory], dict[int, str]]:
    """Memories that belong to no core alone, outermost first, and which of them each core's number stands for.

    Args: taken: names of cores, which no memory may have.
    """
    owned: dict[int, int] = {offchip.number: offchip.number}
    if part.has("core_memory_sharing"):
        for entry in part.items("core_memory_sharing"):
            group = _numbers(entry, cores)
            for number in group:
                if number in owned:
                    raise ItemError(f"a core must share one memory, and core {number} shares two", where=entry.where())
                mine, first = cores[number].core.memories[-1], cores[group[0]].core.memories[-1]
                if replace(mine, serves=(), where="") != replace(first, serves=(), where=""):
                    raise ItemError(
                        f"cores that share a memory must describe it alike, and '{mine.name}' of core {number} differs "
                        f"from '{first.name}' of core {group[0]}",
                        where=entry.where(),
                    )
                owned[number] = group[0]
    for number, core in cores.items():
        if core.kind == "memory" and number not in owned:
            owned[number] = number
    owners = list(dict.fromkeys(owned.values()))
    count = Counter(cores[owner].core.memories[-1].name for owner in owners)
    label = {}
    for owner in owners:
        name = cores[owner].core.memories[-1].name
        label[owner] = word(name if count[name] == 1 else f"{name}{owner}")
        if label[owner] in taken:
            label[owner] += "_memory"
    memories = {label[owner]: cores[owner].core.memories[-1] for owner in owners}
    return memories, {number: label[owner] for number, owner in owned.items()}


def _numbers(entry: Item, cores: dict[int, StreamCore]) -> tuple[int, ...]:
    """Core numbers from `[0, 1]` or `0, 1`."""
    parts = [item.value for item in entry.value] if isinstance(entry.value, list) else str(entry.value).split(",")
    found = []
    for text in parts:
        number = int(str(text).strip()) if str(text).strip().isdigit() else -1
        if number not in cores:
            raise ItemError(
                f"cores must be named by their numbers, and '{str(text).strip()}' is none of 0 to {max(cores)}",
                where=entry.where(),
            )
        found.append(number)
    if len(found) < 2 or len(set(found)) != len(found):
        raise ItemError("at least two different cores must be named", where=entry.where())
    return tuple(found)


def _connections(part: Part, cores: dict[int, StreamCore]) -> list[Connection]:
    """What joins cores, in the order of the file, each entry one."""
    energy = part.number("unit_energy_cost") if part.has("unit_energy_cost") else 0.0
    problems = Gathered(ItemError)
    found: list[Connection] = []
    for index, entry in enumerate(part.items("core_connectivity")):
        with problems.go_on():
            if isinstance(entry.value, dict):
                link = Part(entry, f"core_connectivity[{index}]", _LINK_KEYS)
                kind = link.text("type", ("link", "bus")) if link.has("type") else "link"
                numbers = _numbers(link.get("cores"), cores)
                exact = link.number("bandwidth")
                pj = link.number("unit_energy_cost") if link.has("unit_energy_cost") else energy
                if kind == "link" and len(numbers) != 2:
                    raise link.error("cores", f"a link must join two cores, not {len(numbers)}", "make it a bus")
            else:
                numbers, exact, pj = _numbers(entry, cores), part.number("bandwidth"), energy
                kind = "link" if len(numbers) == 2 else "bus"
            if int(exact) < 1:
                raise ItemError("a bandwidth must be at least 1 bit per cycle", where=entry.where())
            remark = "" if int(exact) == exact else f"a whole bandwidth, rounded down from {exact:g}"
            if any(set(numbers) == set(other.cores) for other in found):
                remark = f"{remark}; " * bool(remark) + "again between the same: a link of its own"
            found.append(Connection(kind, numbers, int(exact), pj, remark))
    problems.settle()
    return found


def _links(connections: list[Connection], ends: dict[int, str], names: dict[int, str]) -> tuple[Entry, ...]:
    taken: Counter[str] = Counter()
    entries = []
    for connection in connections:
        joined = list(dict.fromkeys(ends[number] for number in connection.cores))
        words = [f"{'between' if connection.kind == 'link' else 'joins'}: {listed(joined)}"]
        words.append(f"bandwidth: {connection.bandwidth_bits} bit/cycle")
        if connection.kind == "link":
            words.append("duplex: full")
        comments = [connection.remark] if connection.remark else []
        if connection.pj:
            words.append(f"energy: {real(connection.pj / connection.bandwidth_bits)} pJ/bit")
            comments.append(f"assumed: unit_energy_cost of {connection.pj:g} pJ is for its full width")
        base = "_".join(names[number] for number in connection.cores) if connection.kind == "link" else "bus"
        taken[base] += 1
        name = base if taken[base] == 1 else f"{base}_{taken[base]}"
        entries.append(Entry(name, f"{{{', '.join(words)}}}", tuple(comments)))
    return tuple(entries)


def _channel(offchip: StreamCore, ends: dict[int, str], computing: list[StreamCore]) -> Entry:
    """The older form's way off chip: one shared link of the memory port's width."""
    width = max(port.width_bits for port in offchip.core.memories[0].ports)
    joined = list(dict.fromkeys(ends[core.number] for core in computing))
    value = f"{{hub: {ends[offchip.number]}, joins: {listed(joined)}, bandwidth: {width} bit/cycle, duplex: half}}"
    return Entry("channel", value, ("offchip_core: one shared half-duplex link of its port's width, as Stream has it",))


def _kinds(computing: list[StreamCore]) -> tuple[dict[int, tuple[tuple[Kind, ...], str]], str]:
    """Op kinds of each core with a comment, and a note where some are given to a core that does not list them.

    A core without operator_types takes matrix products and convolutions, and whatever no core lists. What is left
    goes to the cores for elementwise operators where there are some.
    """
    named = {kind for core in computing for kind in core.kinds or ()}
    general = [core for core in computing if core.kinds is None]
    macs: tuple[Kind, ...] = ("conv", "gemm", "matmul") if general else ()
    left = [kind for kind in KINDS if kind not in named and kind not in macs]
    lanes = [core for core in computing if core.kinds is not None and "elementwise" in core.kinds]
    found: dict[int, tuple[tuple[Kind, ...], str]] = {}
    for core in computing:
        if core.kinds is None:
            extra = () if lanes else tuple(left)
            why = "assumed: its file lists no operator_types"
            why += ", so it takes all that no other core lists" if extra else ""
            found[core.number] = (macs + extra, why)
        else:
            extra = tuple(left) if core in lanes else ()
            why = f"operator_types {', '.join(core.operators)}"
            why += f"; assumed: {', '.join(extra)}, which no core lists" if extra else ""
            found[core.number] = (tuple(kind for kind in KINDS if kind in {*core.kinds, *extra}), why)
    without = [] if lanes or general else left
    return found, f"no core takes {', '.join(without)}" if without else ""


def _layout(core: StreamCore, kinds: tuple[Kind, ...]) -> tuple[dict[str, Side], tuple[str, ...]]:
    if core.core.dataflows is not None:
        layout, remarks = lay_out(core.core.sides, laid(core.core.dataflows), "dataflows in the file")
        return layout, tuple(remarks)
    macs = bool({"conv", "gemm", "matmul"} & set(kinds))
    return assume(core.core.sides, macs, kinds == ("pool",), sums_rest(core.core)), ()


def _entries(
    core: StreamCore,
    kinds: tuple[tuple[Kind, ...], str],
    layout: tuple[dict[str, Side], tuple[str, ...]],
    homes: dict[int, str],
) -> tuple[Entry, ...]:
    memories = core.core.memories
    levels: list[tuple[str, tuple[Slot, ...]]] = []
    if core.number in homes:
        held = tuple(slot for slot in SLOTS if slot in [_SLOTS[operand] for operand in memories[-1].holds])
        levels.append((homes[core.number], held))
        memories = memories[:-1]
    own = replace(core.core, memories=memories, remarks=(*core.core.remarks, *layout[1]))
    return core_entries(
        own,
        Entry("ops", listed(kinds[0]), (kinds[1],)),
        layout[0],
        _SLOTS,
        accumulator_of(own, core.sum_bits),
        levels,
        f"Stream core {core.number}, {core.core.name}",
    )
