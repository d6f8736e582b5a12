"""From a well-formed chip file to the chip: names looked up, units per cycle, and what must hold between its parts."""

from __future__ import annotations

from collections.abc import Sequence

from weft.errors import did_you_mean, suggestion
from weft.model.chip import (
    FLOWS,
    READING,
    ArrayDim,
    Chip,
    Core,
    Flow,
    Level,
    Link,
    Memory,
    Port,
    Precision,
    Systolic,
    check_chip,
)
from weft.model.workload import SLOTS, Slot
from weft.read.chip.document import Document, Loc, listed
from weft.read.chip.form import ChipForm, CoreForm, LinkForm, MemoryForm, PortForm


def build(form: ChipForm, document: Document) -> Chip:
    """The chip that `form` describes; whatever does not hold is noted in `document`, with its line."""
    _check_names(form, document)
    _check_folds(form, document)
    shared = tuple(
        _memory(name, memory, form.clock, SLOTS, _slots_of_shared(name, form), ("memories", name), document)
        for name, memory in form.memories.items()
    )
    own: list[Memory] = []
    cores: list[Core] = []
    for name, core_form in form.cores.items():
        core, memories = _core(name, core_form, form, document)
        cores.append(core)
        own += memories
    chip = Chip(
        name=form.name,
        cores=tuple(cores),
        memories=(*own, *shared),
        links=tuple(filter(None, (_link(name, it, form, tuple(cores), document) for name, it in form.links.items()))),
        outermost=form.outermost,
        base_clock_hz=form.clock,
        precision=Precision(form.precision.inputs, form.precision.weights, form.precision.outputs),
        folds=frozenset(form.folds),
        static_pj_per_cycle=_pj_per_cycle(form.static_power, form.clock),
        source=form.source,
        notes=tuple(form.notes),
        transfer_engines=form.transfers.engines,
        transfer_setup_cycles=form.transfers.setup,
    )
    if document.sound():
        _check_reach(chip, document)
    if document.sound():
        for sentence in check_chip(chip):
            document.refuse((), sentence)
    return chip


def _pj_per_cycle(power_w: float, clock_hz: int) -> float:
    """Energy per cycle [pJ] of a power [W] at a clock [Hz].

    >>> _pj_per_cycle(0.013_65, 260_000_000)
    52.5
    """
    return round(power_w * 10**12 / clock_hz, 9)


def _check_names(form: ChipForm, document: Document) -> None:
    shared = document.names("memories")
    if shared is not None and form.outermost not in shared and document.sound(("outermost",)):
        document.refuse(
            ("outermost",),
            f"outermost must be one of the chip's shared memories, not '{form.outermost}'",
            suggestion(form.outermost, shared),
        )
    for name in form.cores:
        if name in (shared or ()):
            document.refuse(
                ("cores", name), "a core and a shared memory must have different names", "rename one of them"
            )


_USUAL = frozenset({"Relu", "Clip", "BatchNormalization"})
"""What chips fold: known without a look at the table of operators, which takes its time to load."""


def _check_folds(form: ChipForm, document: Document) -> None:
    if not _USUAL.issuperset(form.folds):
        from weft.read.onnx.table import BUILDERS

        for index, name in enumerate(form.folds):
            if name not in BUILDERS:
                near = did_you_mean(name, list(BUILDERS))
                message = f"each of folds must be an ONNX operator that weft knows, not '{name}'"
                document.refuse(("folds", index), message, near or "for example 'folds: [Relu, Clip]'")


def _slots_of_shared(name: str, form: ChipForm) -> tuple[Slot, ...]:
    """What a shared memory must be able to hold: everything if it is the outermost, else what cores use it for."""
    used = {slot for core in form.cores.values() for slot in core.levels.get(name, [])}
    return tuple(slot for slot in SLOTS if slot in used or name == form.outermost)


def _memory(
    name: str,
    form: MemoryForm,
    clock_hz: int,
    may_hold: tuple[Slot, ...],
    must_hold: tuple[Slot, ...],
    loc: Loc,
    document: Document,
) -> Memory:
    ports: list[Port] = []
    for port_name, port_form in form.ports.items():
        ports.append(_port(port_name, port_form, may_hold, tuple(ports), (*loc, "ports", port_name), document))
    needed = [(slot, flow) for slot in must_hold for flow in _flows(slot)]
    missing = [(slot, flow) for slot, flow in needed if not any(port.carries(slot, flow) for port in ports)]
    for reading in (True, False) if document.sound((*loc, "ports")) else ():
        lost = [(slot, flow) for slot, flow in missing if (flow in READING) == reading]
        if lost:
            document.refuse(
                (*loc, "ports"),
                f"a memory that holds {', '.join(dict.fromkeys(slot for slot, _ in lost))} must have a port for "
                f"{listed([f'{slot} {flow}' for slot, flow in lost])}, not none",
                f"add {'it' if len(lost) == 1 else 'them'} to the flows of a {'read' if reading else 'write'} "
                "or read_write port",
            )
    for direction in ("read", "write"):
        if not must_hold and all(port.direction not in (direction, "read_write") for port in ports):
            document.refuse(
                (*loc, "ports"),
                f"a memory must have a port that can {direction}, not none",
                f"add one with 'direction: {direction}'",
            )
    return Memory(
        name=name,
        size_bits=form.size,
        ports=tuple(ports),
        read_pj=form.read,
        write_pj=form.write,
        buffering=form.buffering,
        halo_reuse=form.halo_reuse,
        clock_hz=form.clock or clock_hz,
        assumed=form.assumed,
    )


def _flows(slot: Slot) -> tuple[Flow, ...]:
    """The ways an operand passes a memory: inputs come down, outputs go up and, as partial sums, down again."""
    return FLOWS if slot == "O" else ("from_above", "to_below")


def _port(
    name: str, form: PortForm, slots: tuple[Slot, ...], earlier: tuple[Port, ...], loc: Loc, document: Document
) -> Port:
    access = form.bandwidth if form.access is None else form.access
    if access > form.bandwidth:
        document.refuse(
            (*loc, "access"),
            f"access must be at most the port's width of {form.bandwidth} bits, not {access}",
            "make the access smaller or the bandwidth larger",
        )
    able = [
        (slot, flow)
        for slot in slots
        for flow in _flows(slot)
        if form.direction == "read_write" or (form.direction == "read") == (flow in READING)
    ]
    words = {f"{slot} {flow}": (slot, flow) for slot, flow in able}
    if form.flows is None:
        carried = frozenset(able) - {pair for port in earlier for pair in port.flows}
        if not carried:
            document.refuse(
                loc,
                "a port must carry something, not only what the ports before it carry",
                "divide the flows: 'flows: [I to_below, O to_below]'",
            )
        return Port(name, form.direction, form.bandwidth, access, carried, form.exclusive)
    if not form.flows:
        document.refuse((*loc, "flows"), "flows must have at least one entry, not none", "or leave the key out")
    for index, text in enumerate(form.flows):
        at = (*loc, "flows", index)
        if text not in words:
            misspelt = text not in [f"{slot} {flow}" for slot in SLOTS for flow in FLOWS]
            document.refuse(
                at,
                f"each flow of this {form.direction} port must be a held operand and a way it can pass, not '{text}'",
                suggestion(text, list(words)) if misspelt else "known: " + ", ".join(words),
            )
            continue
        taken = next((port.name for port in earlier if words[text] in port.flows), None)
        if taken is not None or text in form.flows[:index]:
            document.refuse(
                at, f"each flow must lie on one port, not '{text}' again", f"port '{taken or name}' carries it"
            )
    known = frozenset(words[text] for text in form.flows if text in words)
    return Port(name, form.direction, form.bandwidth, access, known, form.exclusive)


def _core(name: str, form: CoreForm, chip: ChipForm, document: Document) -> tuple[Core, list[Memory]]:
    top: Loc = ("cores", name)
    clock_hz = form.clock or chip.clock
    widths = form.op_precision or chip.precision
    sides = frozenset(form.array)
    _once(form.ops, (*top, "ops"), document)
    for side, side_form in form.array.items():
        _once(side_form.dataflow, (*top, "array", side, "dataflow"), document)
        if side_form.most is not None and side_form.most > side_form.size:
            document.refuse(
                (*top, "array", side, "most"),
                f"most must be at most the side's {side_form.size} units, not {side_form.most}",
                "leave it out where the dataflow may use all",
            )
    memories, levels = list[Memory](), list[Level]()
    for memory_name, memory in form.memories.items():
        loc: Loc = (*top, "memories", memory_name)
        _once(memory.holds, (*loc, "holds"), document)
        served = sides if memory.serves == ["all"] else frozenset(memory.serves) & sides
        for index, side in enumerate(memory.serves):
            if memory.serves != ["all"] and side not in sides:
                document.refuse(
                    (*loc, "serves", index),
                    f"serves must name sides of the core's array, not '{side}'",
                    suggestion(side, list(form.array)),
                )
        slots = tuple(slot for slot in SLOTS if slot in memory.holds)
        level = Level(f"{name}.{memory_name}", frozenset(slots), served)
        _check_nesting(level, levels, form, loc, document)
        memories.append(_memory(level.memory, memory, clock_hz, slots, slots, loc, document))
        levels.append(level)
    for shared, held in form.levels.items():
        loc = (*top, "levels", shared)
        known = document.names("memories")
        if known is not None and shared not in known:
            document.refuse(
                loc,
                f"levels must name shared memories of the chip, not '{shared}'",
                suggestion(shared, known),
            )
        _once(held, loc, document)
        level = Level(shared, frozenset(held), sides)
        _check_nesting(level, levels, form, loc, document)
        levels.append(level)
    for slot in SLOTS:
        if not any(slot in level.slots for level in levels):
            document.refuse(
                top, f"a core must have a memory for {slot}, not none", f"let one of its memories hold {slot}"
            )
    core = Core(
        name=name,
        ops=frozenset(form.ops),
        array=tuple(ArrayDim(side, it.size, tuple(it.dataflow), it.shares, it.most) for side, it in form.array.items()),
        op_pj=form.op_energy,
        op_widths=(widths.inputs, widths.weights),
        levels=tuple(levels),
        accumulator_bits=form.accumulator,
        clock_hz=clock_hz,
        active_pj_per_cycle=_pj_per_cycle(form.active_power, clock_hz),
        systolic=_systolic(form, (*top, "systolic"), document),
        launch_cycles=form.launch,
        note=form.note,
    )
    return core, memories


def _once(entries: Sequence[str], loc: Loc, document: Document) -> None:
    for index, entry in enumerate(entries):
        if entry in entries[:index]:
            document.refuse((*loc, index), f"{loc[-1]} must name each once, not '{entry}' twice", "drop one")


def _check_nesting(level: Level, below: list[Level], form: CoreForm, loc: Loc, document: Document) -> None:
    """A level serves all that the levels below it serve, and the innermost output level has room for a partial sum."""
    memory = form.memories.get(str(loc[-1])) if loc[-2] == "memories" else None
    if memory is not None and "O" in level.slots and memory.size < form.accumulator:
        document.refuse(
            (*loc, "size"),
            f"a memory that holds O must have room for one partial sum of {form.accumulator} bits, not {memory.size}",
            "make it larger or the accumulator narrower",
        )
    for slot in SLOTS:
        inner = next((lower for lower in reversed(below) if slot in lower.slots), None)
        if slot in level.slots and inner and not inner.serves <= level.serves and document.sound((*loc, "serves")):
            missing = ", ".join(sorted(inner.serves - level.serves))
            document.refuse(
                (*loc, "serves"),
                f"a memory must serve every side that '{inner.memory}' below it serves, not leave out {missing}",
                "memories are listed innermost first",
            )


def _systolic(form: CoreForm, loc: Loc, document: Document) -> Systolic | None:
    if form.systolic is None:
        return None
    for key, side in (("rows", form.systolic.rows), ("columns", form.systolic.columns)):
        if side not in form.array:
            document.refuse(
                (*loc, key),
                f"{key} must be a side of the core's array, not '{side}'",
                suggestion(side, list(form.array)),
            )
    if form.systolic.rows == form.systolic.columns:
        document.refuse(loc, "rows and columns must be different sides", "name two sides of the array")
    return Systolic(form.systolic.rows, form.systolic.columns, form.systolic.stationary)


def _link(name: str, form: LinkForm, chip: ChipForm, cores: tuple[Core, ...], document: Document) -> Link | None:
    """The link; None where what it joins does not hold."""
    loc: Loc = ("links", name)
    shapes = (form.joins is not None, form.between is not None, form.hub is not None)
    if shapes not in ((True, False, False), (False, True, False), (True, False, True)):
        document.refuse(
            loc,
            "a link must have 'joins' (a bus), 'between' (point to point), or 'hub' and 'joins' (a channel)",
            "give one of the three",
        )
        return None
    key = "between" if form.between is not None else "joins"
    named = form.between or form.joins or []
    _once(named, (*loc, key), document)
    ends = [_joined(entry, chip, cores, (*loc, key, index), document) for index, entry in enumerate(named)]
    hub = _joined(form.hub, chip, cores, (*loc, "hub"), document) if form.hub is not None else None
    if key == "between" and len(ends) != 2:
        document.refuse((*loc, key), f"between must name two, not {len(ends)}", "use 'joins' for a bus over many")
    bus = key == "joins" and hub is None
    if bus and form.duplex == "full":
        document.refuse((*loc, "duplex"), "a bus must be half duplex, not full", "use 'between' or a 'hub'")
    if not document.sound(loc) or not all(ends) or hub == frozenset():
        return None
    every = frozenset[str]().union(*ends)
    if key == "between":
        a, b = ends
    elif hub is not None:
        a, b = hub, every - hub
    else:
        a = b = every if len(ends) > 1 else frozenset()
    if not a or not b:
        document.refuse((*loc, key), "a link must join at least two things, not fewer", "name cores or shared memories")
        return None
    return Link(
        name=name,
        a=a,
        b=b,
        bandwidth_bits=form.bandwidth,
        latency_cycles=form.latency,
        pj_per_bit=form.energy,
        half_duplex=form.duplex == "half",
        exclusive=form.exclusive,
        clock_hz=form.clock or chip.clock,
    )


def _joined(name: str, chip: ChipForm, cores: tuple[Core, ...], loc: Loc, document: Document) -> frozenset[str]:
    """The memories that a name in a link stands for: itself, or a core's outermost own ones; none where it has a
    problem, now or already."""
    own = {f"{core}.{memory}" for core, form in chip.cores.items() for memory in form.memories}
    if name in chip.memories or name in own:
        return frozenset({name})
    for core in cores:
        if core.name == name:
            homes = frozenset(home for slot in SLOTS if (home := core.home(slot)) in own if home is not None)
            if not homes and document.sound(("cores", name)):
                above = listed(list(dict.fromkeys(core.home(slot) or "" for slot in SLOTS)))
                document.refuse(
                    loc,
                    f"a core named in a link must have outermost memories of its own, and above those of '{name}' "
                    f"stands {above} for every operand",
                    f"join {above} in its place, or drop '{name}' where that is joined already",
                )
            return homes
    named, shared = document.names("cores"), document.names("memories")
    owner = name.partition(".")[0]
    if named is None or shared is None or name in (*named, *shared):
        return frozenset()
    if owner not in named or document.sound(("cores", owner)):
        document.refuse(
            loc,
            f"a link must join cores and memories of the chip, not '{name}'",
            suggestion(name, sorted(own) if "." in name else [*named, *shared]),
        )
    return frozenset()


def _check_reach(chip: Chip, document: Document) -> None:
    for core in chip.cores:
        homes = dict.fromkeys(home for slot in SLOTS if (home := core.home(slot)) is not None)
        for home in homes:
            if home != chip.outermost and not chip.routes(chip.outermost, home):
                document.refuse(
                    ("cores", core.name),
                    f"a link must lead from '{chip.outermost}' to '{home}', not none",
                    f"join '{home if home in document.data['memories'] else core.name}' to it",
                )
