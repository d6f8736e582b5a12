"""Whether anything fits: the mapping that takes the least room, or the memory that refuses it and by how much."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from weft.cost.kernels import Ints
from weft.mapper.kernels import ROOM
from weft.mapper.pack import UNLIMITED, Packed, find, pack
from weft.model.mapping import Mapping, Problem, Unroll
from weft.model.schedule import Infeasible

FIT_BEAMS = (8, 128)
"""Labels kept per node, by the room they take; the larger number where the smaller left a better one out."""

REMEDY = "make the memory larger, or give it a buffering that needs no second copy of a tile"


def fit(problem: Problem, spatial: tuple[Unroll, ...], most: int) -> Mapping | Infeasible:
    """A mapping that fits, or the least that a memory needs and has.

    First each memory alone, as if the others had no end; then one after another, each beside those before it. So what
    is named is never a matter of what else a mapping might do: `needs_bits` is the least of all mappings in that memory
    (of those that fit in the memories before it, where each alone would do).

    Args: most: states of the lattice of tile sizes.
    """
    packed = pack(problem, spatial, most)
    mapping: Mapping | None = None
    name = f"{problem.op.name} on {problem.setting.core}"
    for reason, together in (
        ("its smallest tiles do not fit", False),
        ("its tiles fit each memory alone, not all together", True),
    ):
        capacity = np.full(len(packed.memories), UNLIMITED, np.int64)
        for column, memory in enumerate(packed.memories):
            least, needs = _least(packed, column, capacity)
            has = int(packed.capacity[column])
            if needs > has:
                return Infeasible(name, reason, needs, has, memory, REMEDY)
            if together:
                capacity[column] = has
                mapping = least
    assert mapping is not None, "what fits in every memory, beside all others, is a mapping"
    return mapping


def _least(packed: Packed, column: int, capacity: Ints) -> tuple[Mapping | None, int]:
    """The mapping that takes the least room in one memory while it keeps to `capacity`, and that room [bits]."""
    counted = [c for c, bits in enumerate(capacity.tolist()) if bits < UNLIMITED] + [column]
    of_cut = [packed.column_of(table) for table in packed.tables.cuts]
    lengths = [len(table.tile) for table in packed.tables.cuts]
    # Nothing but room sets labels apart: cycles and energy would only keep more of them.
    bare = replace(
        packed,
        terms=np.zeros_like(packed.terms),
        least=np.zeros_like(packed.least),
        comes=np.ones_like(packed.comes),
        start=np.zeros_like(packed.start),
        tiles=packed.tiles * np.repeat(np.isin(of_cut, counted), lengths)[:, None],
        capacity=capacity,
    )
    for beam in FIT_BEAMS:
        found = find(bare, ROOM + column, beam, math.inf)
        if found.floor >= found.value:
            break
    return found.mapping, int(found.value)
