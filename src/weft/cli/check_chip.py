"""What `weft check` prints of a chip: its sources, then cores, memories and links, those that are alike on one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from weft.cli.console import Column, table
from weft.cli.show_run import key_values
from weft.model.chip import LETTERS, ArrayDim, Chip, Core, Link
from weft.model.workload import MAC_KINDS
from weft.report.silicon import idle, instances, peak_macs_per_cycle
from weft.report.words import several, size

if TYPE_CHECKING:
    from rich.console import Console


def show_chip(screen: Console, chip: Chip, verbose: bool) -> None:
    """Print all that a chip file holds; `verbose` gives every core and link a line of its own."""
    bits = chip.precision
    pairs = [
        ("source", chip.source or "not given"),
        ("clock", f"{chip.base_clock_hz / 1e6:,g} MHz"),
        ("peak", f"{peak_macs_per_cycle(chip):,.0f} MACs/cycle"),
        ("precision", f"{bits.input_bits}-bit I, {bits.weight_bits}-bit W, {bits.output_bits}-bit O by default"),
        ("folds", ", ".join(sorted(chip.folds)) or "nothing"),
        *(("transfers", text) for text in _transfers(chip)),
        *(("note", note) for note in chip.notes),
        *(("idle", f"{name}: in no core's levels, so nothing lies there; transfers pass") for name in idle(chip)),
        *(("assumed", f"{memory.name}: {memory.assumed}") for memory in chip.memories if memory.assumed),
    ]
    counts = (
        _count(len(chip.cores), "core", "cores"),
        _count(len(chip.memories), "memory", "memories"),
        _count(len(chip.links), "link", "links"),
    )
    key_values(screen, f"{chip.name}: {', '.join(counts)}", pairs)
    groups = [[core] for core in chip.cores] if verbose else alike(chip)
    _cores(screen, groups)
    called = {
        f"{core.name}.{bare}": f"{_name(group)}.{bare}"
        for group in groups
        for core in group
        for bare in (_bare(level.memory, core) for level in core.levels)
    }
    _memories(screen, chip, called)
    owners = called if verbose else {name: label.partition(".")[0] for name, label in called.items()}
    _links(screen, chip, owners, verbose)
    if not verbose and len(groups) < len(chip.cores):
        screen.print()
        screen.print("Lines stand for all that are alike; -v lists each.")


def _transfers(chip: Chip) -> list[str]:
    """What a chip says of its transfers, in words; nothing where it says nothing."""
    most = [] if chip.transfer_engines is None else [f"at most {chip.transfer_engines} at a time"]
    wait = [f"set up in {chip.transfer_setup_cycles:,} cycles"] if chip.transfer_setup_cycles else []
    return [", ".join(most + wait)] if most or wait else []


def arrays(chip: Chip) -> str:
    """The MAC arrays in a few words, like ones counted: `36 of 4x4x8x8`."""
    sizes = Counter(_sides(core) for core in chip.cores if core.ops & MAC_KINDS)
    return ", ".join(f"{count} of {size}" if count > 1 else size for size, count in sizes.items())


def alike(chip: Chip) -> list[list[Core]]:
    """Cores that differ in nothing but names, together; in the order of the first of each."""
    groups: dict[object, list[Core]] = {}
    for core in chip.cores:
        memories = [
            (replace(chip.memory(level.memory), name=_bare(level.memory, core)), level.slots, level.serves)
            for level in core.levels
        ]
        groups.setdefault((replace(core, name="", levels=()), *memories), []).append(core)
    return list(groups.values())


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _bare(memory: str, core: Core) -> str:
    return memory.removeprefix(f"{core.name}.")


def _name(group: Sequence[Core]) -> str:
    return several([core.name for core in group]).replace(" ", ",")


def _cores(screen: Console, groups: Sequence[Sequence[Core]]) -> None:
    columns = (
        Column("core"),
        Column("array"),
        Column("loops"),
        Column("takes", wraps=True),
        Column("memories", wraps=True),
    )
    rows = [
        (
            _name(group),
            _sides(group[0]),
            " | ".join(map(_loops, group[0].array)),
            " ".join(sorted(group[0].ops)),
            " ".join(_bare(level.memory, group[0]) for level in group[0].levels),
        )
        for group in groups
    ]
    table(screen, columns, rows, "Cores")


def _sides(core: Core) -> str:
    return "x".join(str(side.size) for side in core.array)


def _loops(side: ArrayDim) -> str:
    """What lies on one side, first choice first, and how many of its units that uses where not all."""
    letters = " ".join(LETTERS[role] for role in side.roles) or "-"
    return letters if side.most is None else f"{letters} ({side.most})"


def _memories(screen: Console, chip: Chip, called: dict[str, str]) -> None:
    rows: dict[str, tuple[str, ...]] = {}
    count: dict[str, int] = {}
    for memory in chip.memories:
        name = called.get(memory.name, memory.name)
        count[name] = count.get(name, 0) + instances(chip, memory.name)
        rows[name] = (
            name,
            size(memory.size_bits),
            f"{count[name]:,}",
            f"{memory.read_pj:.4g}/{memory.write_pj:.4g}",
            memory.buffering,
            " ".join(f"{port.name}:{port.bandwidth_bits}" for port in memory.ports),
        )
    columns = (
        Column("memory"),
        Column("size", True),
        Column("count", True),
        Column("pJ rd/wr", True),
        Column("buffers"),
        Column("ports", wraps=True),
    )
    table(screen, columns, list(rows.values()), "Memories (ports in bit/cycle)")


def _links(screen: Console, chip: Chip, called: dict[str, str], verbose: bool) -> None:
    groups: dict[object, list[Link]] = {}
    for link in chip.links:
        nameless = replace(link, name=link.name if verbose else "", a=frozenset(), b=frozenset())
        groups.setdefault((nameless, _joins(link, called)), []).append(link)
    columns = (
        Column("link"),
        Column("count", True),
        Column("bit/cycle", True),
        Column("pJ/bit", True),
        Column("duplex"),
        Column("joins"),
    )
    rows = [
        (
            links[0].name + (" ..." if len(links) > 1 else ""),
            str(len(links)),
            f"{links[0].bandwidth_bits:,}",
            f"{links[0].pj_per_bit:.4g}",
            "half" if links[0].half_duplex else "full",
            _joins(links[0], called),
        )
        for links in groups.values()
    ]
    table(screen, columns, rows, "Links")


def _joins(link: Link, called: dict[str, str]) -> str:
    def end(memories: frozenset[str]) -> str:
        return " ".join(sorted({called.get(name, name) for name in memories}))

    return end(link.a) if link.a == link.b else f"{end(link.a)} - {end(link.b)}"
