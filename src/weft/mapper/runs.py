"""Where a memory re-uses halos: which loop runs next above the cuts that are closed at a choice of tile sizes.

What crosses such a cut depends on the loop just above it, on its dim and its factor. So each choice of tile sizes has
nodes: one from which any loop may come, and one for each loop that changes what some input moves or takes up.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from weft.cost.cuts import Cut
from weft.cost.kernels import Ints
from weft.cost.tables import CutTable, Lattice, Tables, table_of
from weft.mapper.space import multiples
from weft.model.chip import Memory
from weft.model.mapping import Mapping, Problem, Unroll
from weft.model.workload import Axis, Operand

Flags = np.ndarray[Any, np.dtype[np.bool_]]

Growth = tuple[Ints, Ints]
"""What each number leads to, all of it larger: CSR, int64[N + 1], int64[E]."""


@dataclass(frozen=True, slots=True)
class Step:
    """A loop that comes next: its dim, the numbers of the tile sizes below and above it, its factor."""

    dim: str
    low: int
    high: int
    factor: int


@dataclass(frozen=True, slots=True)
class Nodes:
    """Choices of tile sizes, each followed by those loops next that make a difference.

    Args:
        choice: int64[N] of each node.   plain: int64[S] of each choice the node from which any loop may come.
        leads:  int64[N]: the node that the one loop next leads to, or -1 where any may come.
        grow:   how nodes lead to one another.
    """

    choice: Ints
    plain: Ints
    leads: Ints
    grow: Growth


def plain_nodes(grow: Growth) -> Nodes:
    """Choices that grow as given, where no loop next makes a difference."""
    every = np.arange(len(grow[0]) - 1)
    return Nodes(every, every, np.full_like(every, -1), grow)


def nodes(grow: Growth, choice: Ints, then: Ints) -> tuple[Nodes, Ints]:
    """Choices that grow as given, and further nodes, from `choice` to `then` each; with the numbers of these."""
    start, to = grow
    order = np.argsort(choice, kind="stable")
    every = np.arange(len(start) - 1)
    plain = every + np.searchsorted(choice[order], every)
    further = np.empty_like(choice)
    further[order] = np.arange(len(choice)) + choice[order] + 1
    source = np.concatenate([np.repeat(plain, np.diff(start)), plain[choice], further])
    target = np.concatenate([plain[to], further, plain[then]])
    counts = np.bincount(source, minlength=len(every) + len(choice))
    of_node, leads = (np.full(len(counts), -1, np.int64) for _ in range(2))
    of_node[plain], of_node[further], leads[further] = every, choice, plain[then]
    grown = np.concatenate([[0], np.cumsum(counts)]), target[np.argsort(source, kind="stable")]
    return Nodes(of_node, plain, leads, grown), further


def reuses_halos(problem: Problem) -> bool:
    """Whether what some input's tiles take or move below its last place is a matter of which loop runs next."""
    return any(_dims(problem, operand) for operand in problem.op.operands)


def steps(problem: Problem, lattice: Lattice, operand: Operand) -> list[Step]:
    """The loops next that may change what an operand moves or takes, those with one dim and factor together."""
    found: list[Step] = []
    for dim in _dims(problem, operand):
        sizes = lattice.sizes[lattice.dims.index(dim)]
        for low, size in enumerate(sizes[:-1]):
            found += [Step(dim, low, high, sizes[high] // size) for high in multiples(sizes, low)[:-1]]
            found.append(Step(dim, low, len(sizes) - 1, math.ceil(problem.op.size[dim] / size)))
    return sorted(found, key=lambda step: (step.dim, step.factor))


def num_nodes(problem: Problem, lattice: Lattice) -> int:
    """At most so many nodes come of a lattice."""
    there = {step for operand in problem.op.operands for step in steps(problem, lattice, operand)}
    lengths = dict(zip(lattice.dims, map(len, lattice.sizes), strict=True))
    return lattice.num_states + sum(lattice.num_states // lengths[step.dim] for step in there)


@dataclass(frozen=True, slots=True)
class Rows:
    """Nodes of the dims that index an operand, and its tables with a row for each.

    Args: at: for each loop next that makes a difference somewhere, int64[R]: its node at each choice, or -1.
    """

    nodes: Nodes
    tables: tuple[CutTable, ...]
    at: dict[Step, Ints]


def rows_of(problem: Problem, spatial: tuple[Unroll, ...], tables: Tables, operand: Operand, grow: Growth) -> Rows:
    """One operand's rows. Those from which any loop may come say what moves without re-use: no less than with any.

    Args: grow: how the choices of its dims lead to one another.
    """
    plain = [table for table in tables.cuts if table.operand == operand.name]
    inner = [
        (dim, sizes)
        for dim, sizes in zip(tables.lattice.dims, tables.lattice.sizes, strict=True)
        if dim in operand.dims
    ]
    lattice = Lattice(tuple(dim for dim, _ in inner), tuple(sizes for _, sizes in inner))
    stacked = [[table] for table in plain]
    kept: list[Step] = []
    choice, then, source = ([np.zeros(0, np.int64)] for _ in range(3))
    for (dim, factor), alike in itertools.groupby(steps(problem, tables.lattice, operand), lambda s: (s.dim, s.factor)):
        told = [_followed_by(problem, spatial, tables, table, operand, dim, factor) for table in plain]
        differs = np.any([_differing(*pair) for pair in zip(plain, told, strict=True)], axis=0)
        for step in alike:
            rows, further = _along(lattice, step)
            if (here := differs[rows]).any():
                kept.append(step)
                choice.append(rows[here])
                then.append(further[here])
                source.append(rows[here] + len(differs) * len(stacked[0]))
        for several, table in zip(stacked, told, strict=True):
            several.append(table)
    if not kept:
        return Rows(plain_nodes(grow), tuple(plain), {})
    found, numbers = nodes(grow, np.concatenate(choice), np.concatenate(then))
    take = found.choice.copy()
    take[numbers] = np.concatenate(source)
    at: dict[Step, Ints] = {}
    for step, rows in zip(kept, choice[1:], strict=True):
        at[step] = np.full(lattice.num_states, -1, np.int64)
        at[step][rows], numbers = numbers[: len(rows)], numbers[len(rows) :]
    return Rows(found, tuple(_taken(several, take) for several in stacked), at)


def states_of(lattice: Lattice, row_of: Ints, rows: tuple[Rows, ...], grow: Growth) -> tuple[Nodes, Ints]:
    """All states with the loops next that make a difference to some operand, and int64[X, N]: the rows of each node.

    Args: row_of: int64[X, S]: each state's choice of the sizes of an operand's dims.   grow: how states lead on.
    """
    if not any(item.at for item in rows):
        return plain_nodes(grow), row_of
    of_plain = np.stack([item.nodes.plain[row] for item, row in zip(rows, row_of, strict=True)])
    choice, then, own = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros((len(rows), 0), np.int64)]
    for step in dict.fromkeys(step for item in rows for step in item.at):
        here, further = _along(lattice, step)
        numbers = of_plain[:, here]
        differs = np.zeros(len(here), np.bool_)
        for x, item in enumerate(rows):
            if step in item.at:
                at = item.at[step][row_of[x, here]]
                differs |= at >= 0
                numbers[x] = np.where(at >= 0, at, numbers[x])
        choice.append(here[differs])
        then.append(further[differs])
        own.append(numbers[:, differs])
    found, numbers = nodes(grow, np.concatenate(choice), np.concatenate(then))
    row_of_node = of_plain[:, found.choice]
    row_of_node[:, numbers] = np.concatenate(own, axis=1)
    return found, row_of_node


def _dims(problem: Problem, operand: Operand) -> tuple[str, ...]:
    """Dims whose loops may change what an operand moves or takes below its last place."""
    if operand.slot == "O":
        return ()
    stores = [problem.chip.memory(place.memory) for place in problem.setting.of(operand.name)[:-1]]
    axes = [axis for axis in operand.axes if any(_matters(store, axis) for store in stores)]
    return tuple(dict.fromkeys(term.dim for axis in axes for term in axis.terms))


def _matters(store: Memory, axis: Axis) -> bool:
    """Whether a loop along an axis may change what a memory takes.

    Tiles overlap where several dims index an axis. Of a second copy any dim may ask for less: all steps of a run but
    its first may be clipped.
    """
    return store.halo_reuse and (len(axis.terms) > 1 or store.buffering == "double")


def _along(lattice: Lattice, step: Step) -> tuple[Ints, Ints]:
    """The choices that a loop may follow, and those that it leads to."""
    position = lattice.dims.index(step.dim)
    lengths = [len(sizes) for sizes in lattice.sizes]
    stride = math.prod(lengths[position + 1 :])
    every = np.arange(lattice.num_states)
    low = every[(every // stride) % lengths[position] == step.low]
    return low, low + (step.high - step.low) * stride


def _followed_by(
    problem: Problem,
    spatial: tuple[Unroll, ...],
    tables: Tables,
    plain: CutTable,
    operand: Operand,
    dim: str,
    factor: int,
) -> CutTable:
    """A cut's table where this loop comes next, at all rows."""
    places = problem.setting.of(operand.name)
    if plain.lower < 0 or not problem.chip.memory(places[plain.lower].memory).halo_reuse:
        return plain
    cut = Cut(operand, plain.lower + 1, places[plain.lower], places[plain.upper], (), (dim, factor))
    names = {name: number for number, name in enumerate(tables.resources)}
    array = Mapping(spatial, (), ())
    return table_of(problem, array, tables.lattice, names, operand, plain.lower, plain.upper, cut)


def _differing(plain: CutTable, other: CutTable) -> Flags:
    """bool[R]: the rows in which a table says something else."""
    pairs = [(plain.energy, other.energy), (plain.busy, other.busy), (plain.waits, other.waits)]
    differs = plain.fresh != other.fresh if plain.doubled else np.zeros(len(plain.fresh), np.bool_)
    for one, two in pairs:
        differs = differs | (one != two).reshape(len(one), -1).any(axis=1)
    return differs


def _taken(several: list[CutTable], take: Ints) -> CutTable:
    """Rows of tables under one another."""

    def rows(name: str) -> Any:
        return np.concatenate([getattr(table, name) for table in several])[take]

    return replace(
        several[0],
        energy=rows("energy"),
        busy=rows("busy"),
        waits=rows("waits"),
        skew=rows("skew"),
        ends=rows("ends"),
        steps=rows("steps"),
        tile=rows("tile"),
        fresh=rows("fresh"),
        moved=rows("moved"),
    )
