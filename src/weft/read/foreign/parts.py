"""Cores and memories of other tools as entries of a weft chip file; what they do not say is assumed, and says so."""

from __future__ import annotations

from collections.abc import Sequence

from weft.model.chip import FLOWS, READING, Flow
from weft.model.workload import SLOTS, Slot
from weft.read.foreign.core import ForeignCore, ForeignMemory, ForeignPort, sums_rest
from weft.read.foreign.dataflow import Side
from weft.read.items import Item, ItemError
from weft.read.yaml_text import Entry, listed, quoted, real, size

REGISTER_WORDS = 8
"""A memory of at most so many words is taken for a register: it replaces a word as it is last used."""

WIDEST_SUM_BITS = 64
"""A wider port of an output memory carries more than one partial sum."""

CLOCK = "assumed: counts in cycles, so that only seconds and watts depend on it"
FOLDS = "assumed: activations and batch normalisation cost nothing, as they are not priced there"


def refuse_ours(item: Item) -> None:
    """A file of weft's own needs no import."""
    if isinstance(item.value, dict) and ("outermost" in item.value or "workload" in item.value):
        use = "as a network: weft run FILE --chip CHIP" if "workload" in item.value else "as it is: --chip FILE"
        raise ItemError("the file must be another tool's, and this is in weft's form", where=item.where(), remedy=use)


def memory_entries(
    memory: ForeignMemory, slots: dict[str, Slot], sides: Sequence[str], outermost: bool = False
) -> tuple[Entry, ...]:
    """A memory of a core's own, or one that is shared.

    Args: slots: what I1, I2 and O carry.   sides: the array's; none for a shared memory.
    """
    shared = not sides
    held = tuple(slot for slot in SLOTS if slot in [slots[operand] for operand in memory.holds])
    entries = []
    if not shared:
        serves = "all" if set(memory.serves) == set(sides) else listed(memory.serves)
        entries += [Entry("holds", listed(held)), Entry("serves", serves)]
    value, why = ("double", "without consequence: nothing refills it") if outermost else buffering(memory)
    return (
        *entries,
        Entry("size", size(memory.size_bits)),
        Entry("read", f"{real(memory.read_pj)} pJ"),
        Entry("write", f"{real(memory.write_pj)} pJ"),
        Entry("buffering", value, (why,)),
        Entry("ports", _ports(memory, slots, held, SLOTS if shared else held)),
    )


def buffering(memory: ForeignMemory) -> tuple[str, str]:
    """Double or pipelined, and why: the file says at most that it is forced to be double."""
    if memory.doubled:
        return "double", "force_double_buffering is true"
    words = memory.size_bits // max(port.width_bits for port in memory.ports)
    if words <= REGISTER_WORDS:
        return "pipelined", "assumed: a register, as it is few words deep"
    return "double", f"assumed: {words:,} words deep, so that it is refilled while in use"


def _ports(
    memory: ForeignMemory, slots: dict[str, Slot], held: tuple[Slot, ...], may_hold: tuple[Slot, ...]
) -> tuple[Entry, ...]:
    flows: dict[str, list[tuple[Slot, Flow]]] = {
        port.name: [(slots[operand], way) for operand, way in port.flows] for port in memory.ports
    }
    added: dict[str, list[str]] = {port.name: [] for port in memory.ports}
    for slot in held:
        for way in FLOWS if slot == "O" else ("from_above", "to_below"):
            if any((slot, way) in carried for carried in flows.values()):
                continue
            able = [port for port in memory.ports if _fits(port, way)]
            able.sort(key=lambda port: not any(other == slot for other, _ in flows[port.name]))
            if not able:
                raise ItemError(
                    f"a memory that holds {slot} must have a port that can carry it {way.replace('_', ' ')}, not none",
                    where=memory.where,
                    remedy="allocate it to a port of that direction",
                )
            flows[able[0].name].append((slot, way))
            added[able[0].name].append(f"{slot} {way}")
    entries: list[Entry] = []
    taken: set[tuple[Slot, Flow]] = set()
    for port in memory.ports:
        carried = flows[port.name]
        if not carried:
            continue
        able_flows = {
            (slot, way)
            for slot in may_hold
            for way in (FLOWS if slot == "O" else ("from_above", "to_below"))
            if _fits(port, way)
        }
        words = [f"direction: {port.direction}", f"bandwidth: {port.width_bits} bit/cycle"]
        if port.least_bits != port.width_bits:
            words.append(f"access: {port.least_bits} bit")
        if set(carried) != able_flows - taken:
            words.append(f"flows: {listed(f'{slot} {way}' for slot, way in carried)}")
        taken |= set(carried)
        comments = (f"assumed here, as no port is given: {', '.join(added[port.name])}",) if added[port.name] else ()
        entries.append(Entry(port.name, f"{{{', '.join(words)}}}", comments))
    return tuple(entries)


def _fits(port: ForeignPort, way: Flow) -> bool:
    return port.direction == "read_write" or (port.direction == "read") == (way in READING)


def core_entries(
    core: ForeignCore,
    kinds: Entry,
    layout: dict[str, Side],
    slots: dict[str, Slot],
    accumulator: tuple[int, str],
    levels: Sequence[tuple[str, tuple[Slot, ...]]],
    note: str,
) -> tuple[Entry, ...]:
    """A core.

    Args:
        core:   with its own memories only.           kinds:  the entry of the op kinds that it takes.
        layout: what lies on each side.               slots:  what I1, I2 and O carry.
        accumulator: width of a partial sum [bit] and where that comes from.
        levels: shared memories that it works from.   note:   a sentence about it.
    """
    entries = [Entry("note", quoted(note)), kinds, Entry("op_energy", f"{real(core.op_pj)} pJ")]
    if core.input_bits:
        entries.append(
            Entry("op_precision", f"{{inputs: {core.input_bits[0]} bit, weights: {core.input_bits[1]} bit}}")
        )
    bits, why = accumulator
    entries.append(Entry("accumulator", f"{bits} bit", (why,) if why else ()))
    entries.append(
        Entry(
            "array",
            tuple(
                Entry(
                    side,
                    _side(units, layout[side]),
                    (layout[side].why,),
                )
                for side, units in core.sides.items()
            ),
            (*core.remarks, *_not_systolic(core)),
        )
    )
    if len(core.systolic) == 2:
        entries.append(_systolic(core, layout))
    if core.memories:
        entries.append(
            Entry(
                "memories",
                tuple(
                    Entry(memory.name, memory_entries(memory, slots, tuple(core.sides)), memory.remarks)
                    for memory in core.memories
                ),
                ("innermost first",),
            )
        )
    if levels:
        entries.append(Entry("levels", f"{{{', '.join(f'{name}: {listed(held)}' for name, held in levels)}}}"))
    return tuple(entries)


def _side(units: int, side: Side) -> str:
    words = [f"size: {units}", f"dataflow: {listed(side.roles)}"]
    words += ["shares: true"] if side.shares else []
    words += [f"most: {side.most}"] if side.most else []
    return f"{{{', '.join(words)}}}"


def _not_systolic(core: ForeignCore) -> tuple[str, ...]:
    if len(core.systolic) in (0, 2):
        return ()
    return (f"not used: systolic_dimensions {' '.join(core.systolic)}: weft skews data along two sides",)


def _systolic(core: ForeignCore, layout: dict[str, Side]) -> Entry:
    """The two sides along which operands march, and what rests."""
    reducing = [side for side in core.systolic if {"reduction_channel", "kernel_column"} & {*layout[side].roles[:1]}]
    rows = reducing[0] if reducing else core.systolic[1]
    columns = next(side for side in core.systolic if side != rows)
    if reducing:
        rest, why = "W", f"sums march along {rows}"
    elif sums_rest(core):
        rest, why = "O", "inputs and weights have registers in the units"
    else:
        rest, why = "W", "inputs have no register in the units"
    return Entry(
        "systolic",
        f"{{rows: {rows}, columns: {columns}, stationary: {rest}}}",
        (f"assumed: {rest} rests, as {why}",),
    )


def accumulator_of(core: ForeignCore, stated_bits: int | None = None) -> tuple[int, str]:
    """Width of a partial sum [bit], and why where the file does not state it."""
    if stated_bits:
        return stated_bits, ""
    memory = next((memory for memory in core.memories if "O" in memory.holds), None)
    if memory is not None:
        widths = [port.width_bits for port in memory.ports if any(operand == "O" for operand, _ in port.flows)]
        if widths and min(widths) <= WIDEST_SUM_BITS:
            return min(min(widths), memory.size_bits), f"assumed: the width of {memory.name}'s port"
    inputs = (core.input_bits or (8, 8))[0]
    return 2 * inputs, "assumed: twice the width of an input"
