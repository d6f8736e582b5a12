"""Where the operands of a task lie: what rests in the core, what is streamed past it, and what room there is."""

from __future__ import annotations

from weft.model.chip import Chip, Core
from weft.model.mapping import Place, Setting
from weft.model.workload import Op, Slot


def hub_memory(core: Core, chip: Chip, slot: Slot) -> str | None:
    """The memory of a core in which whole boxes of a slot can rest: its outermost own one, if it has one instance."""
    chain = core.chain(slot)
    if not chain or chain[-1].serves != frozenset(dim.name for dim in core.array):
        return None
    return chain[-1].memory


def setting_for(
    op: Op, core: Core, chip: Chip, streamed: frozenset[str], free: dict[str, int], divisor: int = 1
) -> Setting:
    """Places of every operand on a core when those in `streamed` come from and go to the outermost memory."""
    sides = frozenset(dim.name for dim in core.array)
    places: list[tuple[str, tuple[Place, ...]]] = []
    resident: set[str] = set()
    for operand in op.operands:
        chain = [Place(level.memory, level.serves) for level in core.chain(operand.slot)]
        if operand.name in streamed and chain[-1].memory != chip.outermost:
            route = chip.routes(chip.outermost, chain[-1].memory)[0]
            chain.append(
                Place(chip.outermost, sides, tuple(reversed(route.links)), tuple(reversed(route.memories[1:-1])))
            )
        else:
            resident.add(operand.name)
        places.append((operand.name, tuple(chain)))
    return Setting(core.name, tuple(places), frozenset(resident), tuple(sorted(free.items())), divisor)
