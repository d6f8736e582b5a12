"""Which loops lie on which side of an array, from ZigZag's mapping files: loops with sizes become roles in order."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from weft.errors import suggestion
from weft.model.chip import Role
from weft.read.items import Item, ItemError, Part

MAPPING_KEYS = ("name", "spatial_mapping", "spatial_mapping_hint", "memory_operand_links", "temporal_ordering")
ROLES: dict[str, tuple[Role, ...]] = {
    "K": ("output_channel", "group"),
    "G": ("group",),
    "C": ("reduction_channel",),
    "OX": ("output_column",),
    "OY": ("output_row",),
    "FX": ("kernel_column",),
    "FY": ("kernel_row",),
    "B": ("batch",),
    # matrix products O[D0][D1] += I[D0][D2] * W[D2][D1], as ZigZag's gemm_l1 mapping names them
    "D0": ("output_column",),
    "D1": ("output_channel", "group"),
    "D2": ("reduction_channel",),
}
_DEFAULT: tuple[tuple[Role, ...], ...] = (ROLES["K"], ROLES["C"], ROLES["OX"], ROLES["OY"])
_RESTING: tuple[tuple[Role, ...], ...] = (ROLES["OX"], ROLES["K"], ROLES["OY"])
_LANES: tuple[Role, ...] = ("output_channel", "group", "output_column", "output_row")


@dataclass(frozen=True, slots=True)
class Side:
    """What lies on one side of an array: roles, first choice first, whether several may, on how many units, and why."""

    roles: tuple[Role, ...]
    shares: bool
    why: str
    most: int | None = None


@dataclass(frozen=True, slots=True)
class MappingFile:
    """What a mapping file says for a whole accelerator.

    Args:
        sides:   loops by side of the array, each (loop, units) or (loop, None) for a hint.
        links:   which memory operand (I1, I2, O) carries I, W, O.
        remarks: what it says beside that.
        source:  its name.
    """

    sides: dict[str, tuple[tuple[str, int | None], ...]]
    links: dict[str, str]
    remarks: tuple[str, ...]
    source: str


def read_mapping(item: Item) -> MappingFile:
    """The mapping named `default` in a file; the others are remarked on."""
    if not isinstance(item.value, list):
        raise ItemError("a mapping file must be a list of mappings, not a mapping", where=item.where())
    entries = [Part(entry, "mapping", MAPPING_KEYS) for entry in item.value]
    names = [entry.text("name") for entry in entries]
    if "default" not in names:
        raise ItemError(
            f"a mapping file must have one named 'default', not only {', '.join(names) or 'none'}",
            where=item.where(),
            remedy="it says what lies on the array for every layer that has no mapping of its own",
        )
    chosen = entries[names.index("default")]
    remarks = [remark for entry in entries for remark in entry.repeated()]
    if len(names) > 1:
        others = ", ".join(name for name in names if name != "default")
        remarks.append(f"not used: mappings of {others}: a core has one dataflow")
    sides: dict[str, tuple[tuple[str, int | None], ...]] = {}
    if chosen.has("spatial_mapping_hint"):
        for side, loops in chosen.parts("spatial_mapping_hint").items():
            sides[side] = tuple((_loop(entry.value, entry), None) for entry in _list(loops))
    if chosen.has("spatial_mapping"):
        fixed = laid(chosen.get("spatial_mapping"))
        remarks += [
            f"not used: spatial_mapping_hint of {side}: spatial_mapping says" for side in sides if side in fixed
        ]
        sides |= fixed
    if chosen.has("temporal_ordering"):
        remarks.append("not used: temporal_ordering: weft finds the order of loops itself")
    links = {"O": "O", "W": "I2", "I": "I1"}
    if chosen.has("memory_operand_links"):
        given = Part(chosen.get("memory_operand_links"), "memory_operand_links", links)
        links = {slot: given.text(slot, ("I1", "I2", "O")) for slot in links}
        if sorted(links.values()) != ["I1", "I2", "O"] or links["O"] != "O":
            raise chosen.error(
                "memory_operand_links", "memory_operand_links must give I and W one of I1 and I2 each, and O to O"
            )
    return MappingFile(sides, links, tuple(remarks), item.file.name)


def laid(item: Item) -> dict[str, tuple[tuple[str, int | None], ...]]:
    """Loops by side from `{D1: ["K, 32"]}`."""
    if not isinstance(item.value, dict):
        raise ItemError('a spatial mapping must give loops by side, such as D1: ["K, 32"]', where=item.where())
    found: dict[str, tuple[tuple[str, int | None], ...]] = {}
    for side, loops in item.value.items():
        entries = []
        for entry in _list(loops):
            match = re.fullmatch(r"\s*([A-Z]+[0-9]*)\s*,\s*([0-9]+)\s*", str(entry.value))
            if match is None:
                raise ItemError(
                    f"a loop on the array must read LOOP, UNITS, not '{entry.value}'",
                    where=entry.where(),
                    remedy="for example 'K, 32'",
                )
            entries.append((_loop(match.group(1), entry), int(match.group(2))))
        found[side] = tuple(entries)
    return found


def _list(item: Item) -> list[Item]:
    if not isinstance(item.value, list):
        raise ItemError("the loops of a side must be a list", where=item.where(), remedy="for example [K]")
    return item.value


def _loop(name: object, item: Item) -> str:
    if not isinstance(name, str) or name not in ROLES:
        raise ItemError(
            f"a loop on the array must be one whose role is known, not '{name}'",
            where=item.where(),
            remedy=suggestion(str(name), list(ROLES)),
        )
    return name


def lay_out(
    sides: dict[str, int], given: dict[str, tuple[tuple[str, int | None], ...]], source: str
) -> tuple[dict[str, Side], list[str]]:
    """Each side's roles as a file gives them, and remarks on what it says of sides the array has not."""
    found = {}
    remarks = [
        f"not used: {source} lays {' '.join(loop for loop, _ in loops)} on {side}, which the array has not"
        for side, loops in given.items()
        if side not in sides
    ]
    for side, size in sides.items():
        loops = [(loop, units) for loop, units in given.get(side, ()) if units != 1]
        roles = tuple(dict.fromkeys(role for loop, _ in loops for role in ROLES[loop]))
        kernel = [loop for loop, _ in loops]
        why = f"{source}: " + (", ".join(f"{loop} {units}" if units else loop for loop, units in loops) or "nothing")
        shares = len(kernel) > 1
        if shares:
            why += "; weft fills the side in this order, not by these factors"
        used = math.prod(units or size for _, units in loops)
        if used > size:
            why += f"; the side has {size} units"
        found[side] = Side(roles, shares, why, used if loops and used < size else None)
    return found, remarks


def assume(sides: dict[str, int], macs: bool = True, pools: bool = False, sums_rest: bool = False) -> dict[str, Side]:
    """What weft lays on the sides where no file says.

    Args:
        macs: whether the core takes convolutions.   pools: whether it takes pools and nothing else.
        sums_rest: whether sums rest in a systolic array, so that no sum may run along its sides.
    """
    why = "assumed: no dataflow given; --spatial free lets weft choose"
    if macs:
        order = _RESTING if sums_rest else _DEFAULT
        return {side: Side(order[index] if index < len(order) else (), False, why) for index, side in enumerate(sides)}
    if pools and len(sides) == 3:
        window: tuple[tuple[Role, ...], ...] = (("kernel_column",), ("kernel_row",), ROLES["K"])
        return {side: Side(roles, False, why) for side, roles in zip(sides, window, strict=True)}
    return {side: Side(_LANES, True, why) for side in sides}
