"""The space a mapper searches: what may lie side by side on the array, and which tile sizes it may use."""

from __future__ import annotations

import math
from functools import cache

from weft.cost.tables import Lattice
from weft.model.chip import LETTERS, ArrayDim, Core, Role
from weft.model.mapping import Loop, Unroll
from weft.model.workload import Op

STATE_LIMIT = 1 << 19
"""Most states of a lattice; larger ones are thinned, and the result says so."""

_MATMUL_ROLES: dict[Role, str] = {
    "output_channel": "N",
    "reduction_channel": "K",
    "output_column": "M",
    "group": "B",
    "batch": "B",
}


def dim_of_role(op: Op, role: Role) -> str | None:
    """The op's dim that plays a role, or None where it has none."""
    table = _MATMUL_ROLES if op.kind in ("gemm", "matmul") else LETTERS
    dim = table.get(role)
    return dim if dim in op.size else None


def fixed_spatial(op: Op, core: Core) -> tuple[Unroll, ...]:
    """The declared dataflow: each side takes the first of its roles whose dim has more than one iteration left.

    A side that shares goes on through its roles with what room is left. A dim that a side could not take whole goes on
    along later sides that have its role.
    """
    left = dict(op.dims)
    unrolls: list[Unroll] = []
    for side in core.array:
        loops = _lay(op, side, left)
        if loops:
            unrolls.append(Unroll(side.name, loops))
    return tuple(unrolls)


def _lay(op: Op, side: ArrayDim, left: dict[str, int]) -> tuple[Loop, ...]:
    """The loops on one side; `left` is how often each dim can still be laid out, and goes down."""
    loops: list[Loop] = []
    room = side.size if side.most is None else side.most
    for role in side.roles:
        dim = dim_of_role(op, role)
        if dim is None or left[dim] < 2 or room < 2:
            continue
        factor = min(left[dim], room)
        loops.append(Loop(dim, factor))
        left[dim] //= factor
        room //= factor
        if not side.shares:
            break
    return tuple(loops)


def compute_cycles(op: Op, unrolls: tuple[Unroll, ...]) -> int:
    """Array steps of the whole op."""
    factor = _unrolled(unrolls)
    return math.prod(math.ceil(size / factor.get(dim, 1)) for dim, size in op.dims)


def _unrolled(unrolls: tuple[Unroll, ...]) -> dict[str, int]:
    """How much of each dim lies on the array."""
    factor: dict[str, int] = {}
    for unroll in unrolls:
        for loop in unroll.loops:
            factor[loop.dim] = factor.get(loop.dim, 1) * loop.factor
    return factor


@cache
def candidates(count: int) -> tuple[int, ...]:
    """Tile sizes for `count` steps: its divisors and every ceil(count / k).

    >>> candidates(7)
    (1, 2, 3, 4, 7)
    """
    found = {math.ceil(count / k) for k in range(1, math.isqrt(count) + 2)}
    found |= set(range(1, math.isqrt(count) + 1))
    found |= {d for k in range(1, math.isqrt(count) + 1) if count % k == 0 for d in (k, count // k)}
    return tuple(
        sorted(size for size in found if size <= count and (size == math.ceil(count / math.ceil(count / size))))
    )


def _counts(op: Op, spatial: tuple[Unroll, ...]) -> list[int]:
    """Steps of each dim when all of it lies outside the array."""
    unrolled = _unrolled(spatial)
    return [math.ceil(size / unrolled.get(dim, 1)) for dim, size in op.dims]


def num_states(op: Op, spatial: tuple[Unroll, ...]) -> int:
    """States of the whole lattice under a spatial choice."""
    return math.prod(len(candidates(count)) for count in _counts(op, spatial))


def lattice(op: Op, spatial: tuple[Unroll, ...], limit: int = STATE_LIMIT) -> tuple[Lattice, bool]:
    """The lattice of tile sizes under a spatial choice, and whether it is whole (not thinned to `limit` states)."""
    unrolled, counts = _unrolled(spatial), _counts(op, spatial)
    options = [list(candidates(count)) for count in counts]
    whole = True
    if math.prod(map(len, options)) > limit:
        whole = False
        options = [[m for m in option if count % m == 0] for option, count in zip(options, counts, strict=True)]
        options = [
            option if len(option) > 2 or count < 8 else list(candidates(count))
            for option, count in zip(options, counts, strict=True)
        ]
    while math.prod(map(len, options)) > limit:
        longest = max(range(len(options)), key=lambda d: len(options[d]))
        if len(options[longest]) < 3:
            break  # each dim keeps the array's size and the whole
        options[longest] = _thin(options[longest])
    sizes = tuple(
        tuple(unrolled.get(dim, 1) * m for m in option) for (dim, _), option in zip(op.dims, options, strict=True)
    )
    return Lattice(tuple(dim for dim, _ in op.dims), sizes), whole


def _thin(option: list[int]) -> list[int]:
    """One candidate fewer: the inner one whose neighbours lie closest (ends stay)."""
    inner = range(1, len(option) - 1)
    drop = min(inner, key=lambda i: option[i + 1] / option[i - 1])
    return option[:drop] + option[drop + 1 :]


def successors(options: tuple[tuple[int, ...], ...]) -> list[tuple[tuple[int, ...], ...]]:
    """For each dim and candidate, the next larger candidates: multiples of it (or the whole), none through another."""
    return [_next_larger(sizes) for sizes in options]


@cache
def _next_larger(sizes: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    above = [multiples(sizes, i) for i in range(len(sizes))]
    return tuple(tuple(j for j in above[i] if not any(j in above[k] for k in above[i])) for i in range(len(sizes)))


def multiples(sizes: tuple[int, ...], number: int) -> list[int]:
    """The larger candidates of a dim that are multiples of one, and the whole.

    >>> multiples((1, 2, 3, 4, 7), 1)
    [3, 4]
    """
    last = len(sizes) - 1
    return [j for j in range(number + 1, last + 1) if sizes[j] % sizes[number] == 0 or j == last]
