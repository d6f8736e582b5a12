"""The best mapping of one op tile on one core: spatial choices searched in turn, each with what is known of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from weft.cost.legal import broken
from weft.cost.price import active_pj_per_cycle, price
from weft.cost.result import Price
from weft.cost.tables import BUSY, EXPOSED
from weft.cost.units import op_pj, passes
from weft.mapper.fit import fit
from weft.mapper.kernels import EDP, ENERGY, LATENCY
from weft.mapper.pack import Packed, Total, find, pack, total
from weft.mapper.runs import reuses_halos
from weft.mapper.space import STATE_LIMIT, compute_cycles, fixed_spatial, num_states
from weft.mapper.spread import FREE_CHOICES, spread
from weft.model.mapping import Mapping, Problem, Unroll
from weft.model.schedule import Infeasible

Objective = Literal["latency", "energy", "edp"]
OBJECTIVES: dict[Objective, int] = {"latency": LATENCY, "energy": ENERGY, "edp": EDP}

BEAM = 0
"""Labels kept per node that do not dominate one another; 0: all. What is left out bounds how good the rest is."""

RUNGS = (192, 1024)
"""States of the small lattices searched first, narrowly: a good mapping to beat makes the last search short."""

QUICK_CHOICES = 24
"""Spatial choices weighed with a free dataflow where options are only weighed against one another."""

STEP = 8
"""A lattice is searched first where the whole one has this many times its states."""

ROUNDING = 1e-12
"""Two sums of the same terms in another order may differ by this part of them."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """A mapping with its price and what is known about how good it is.

    Args:
        optimal: no mapping in `space` is better.
        bound:   no mapping in `space` is better than this [unit of the objective].
        space:   what was searched, in words;   space_size: states x stages of it.
        evaluated: labels made.
    """

    mapping: Mapping
    price: Price
    objective: Objective
    optimal: bool
    bound: float
    space: str
    space_size: int
    evaluated: int


def value(priced: Price | Total, objective: Objective) -> tuple[float, float]:
    """(objective, tie-breaker) of a price."""
    if objective == "energy":
        return priced.energy_pj, priced.latency_cycles
    return priced.latency_cycles if objective == "latency" else priced.edp, priced.energy_pj


def least_value(problem: Problem, objective: Objective, spatial: Literal["fixed", "free"]) -> float:
    """What no mapping of a problem is better than, seen at once: the array's own time and energy [the objective's]."""
    op, core = problem.op, problem.core
    if spatial == "fixed":
        return _array_value(problem, objective, compute_cycles(op, fixed_spatial(op, core)))
    return _array_value(problem, objective, math.ceil(op.iterations / core.units))


def _array_value(problem: Problem, objective: Objective, steps: int) -> float:
    """The objective if the array's `steps` were all that takes time and energy."""
    cycles = problem.core.launch_cycles + passes(problem) * steps
    energy = op_pj(problem) * problem.op.iterations + active_pj_per_cycle(problem) * cycles
    return {"latency": float(cycles), "energy": energy, "edp": energy * cycles}[objective]


MOST_AXIS = 2**19
"""Elements along one axis of a tensor: traffic is counted position by position, for every tile size. Vocabularies have
a quarter of a million; of a million, one op takes minutes."""
MOST_STEPS = 2**54
"""Iterations of an op whose bits, cycles and energies stay within 64 bits."""


def beyond_reach(problem: Problem) -> Infeasible | None:
    """Why an op is larger than mappings are found for; None where it is not."""
    op = problem.op
    subject, remedy = f"{op.name} on {problem.core.name}", "cut the network's tensors"
    sizes = [(axis.size, it.tensor) for it in op.operands for axis in it.axes]
    size, tensor = max(sizes, key=lambda pair: pair[0], default=(1, ""))
    if size > MOST_AXIS:
        reason = f"an axis of '{tensor}' has {size:,} elements, and mappings are found for at most {MOST_AXIS:,}"
        return Infeasible(subject, reason, remedy=remedy)
    if op.macs > MOST_STEPS:
        reason = f"it has {op.macs:,} iterations, and mappings are found for at most {MOST_STEPS:,}"
        return Infeasible(subject, reason, remedy=remedy)
    return None


def best_mapping(
    problem: Problem,
    objective: Objective = "edp",
    spatial: Literal["fixed", "free"] = "fixed",
    beam: int = BEAM,
    states: int = STATE_LIMIT,
    deadline: int | None = None,
) -> Mapped | Infeasible:
    """The best mapping found for a problem, or why there is none.

    Searches on small lattices give a mapping to beat; the search on the whole one then leaves out every label that
    cannot lead to a better one. A result is optimal where all that was left out is bounded by it.

    Args:    problem: op tile, core and setting.   objective: what to minimise.
             spatial: the core's declared dataflow, or any loop on any side.   beam: labels kept per node, 0 for all.
             states: most states of a lattice.   deadline: core cycles that it may take; None for any number.
    Returns: `Mapped`, priced by the readable formula and legal; or `Infeasible` with what was needed and there is.
    """
    core, op = problem.core, problem.op
    if (refused := beyond_reach(problem)) is not None:
        return refused
    run = _Run(problem, objective, math.inf if deadline is None else deadline)
    free = spread(problem, FREE_CHOICES if beam != 1 else QUICK_CHOICES) if spatial == "free" else None
    choices = free.choices if free else (fixed_spatial(op, core),)
    run.explore_all(choices, beam, states)
    if run.best is None and deadline is not None:
        fastest = best_mapping(problem, "latency", spatial, beam, states)
        if isinstance(fastest, Infeasible):
            return fastest
        if fastest.price.latency_cycles > deadline:
            none = "no mapping takes" if fastest.optimal else "no mapping was found that takes"
            reason = f"{none} at most {deadline:,} cycles: the fastest takes {fastest.price.latency_cycles:,}"
            return Infeasible(f"{op.name} on {core.name}", reason, remedy="allow it more cycles")
        run.consider(fastest.mapping, _total(fastest.price))
        run.explore_all(choices, beam, states)
    if run.best is None:
        # A narrow beam may lose the only mappings that fit: then look for room alone.
        # What a second copy may leave out is a matter of which loop comes next: a small lattice lacks some.
        answers = [
            fit(problem, choice, states if reuses_halos(problem) else min(states, RUNGS[0])) for choice in choices
        ]
        for choice, answer in zip(choices, answers, strict=True):
            if isinstance(answer, Mapping):
                run.consider(answer, _total(price(problem, answer)))
                run.explore(choice, beam, states)
        if run.best is None:
            tight = [answer for answer in answers if isinstance(answer, Infeasible)]
            return min(tight, key=lambda answer: (answer.needs_bits or 0) / (answer.has_bits or 1))
    sizes = "divisors and ceil(n/k)" if run.whole else "a thinned choice of divisors"
    mapping, sums = run.best
    priced = price(problem, mapping)
    assert not broken(problem, mapping, priced.room), f"{mapping} of {op.name} on {core.name} must keep the rules"
    reached = value(priced, objective)[0]
    told = value(sums, objective)[0]
    assert math.isclose(reached, told, rel_tol=ROUNDING), f"{mapping} of {op.name}: tables say {told}, not {reached}"
    dataflow = "fixed dataflow"
    floor = min(reached, *run.floors.values())
    if free:
        unweighed = free.there - len(choices)
        dataflow = (
            f"free dataflow: {run.searched} of {free.there} choices searched, {run.cut} cut by their bound, "
            f"{unweighed} by their array steps"
        )
        if free.floor is not None:
            floor = min(floor, _array_value(problem, objective, free.floor))
    optimal = floor >= reached * (1 - ROUNDING)
    return Mapped(
        mapping,
        priced,
        objective,
        optimal,
        reached if optimal else floor,
        f"{dataflow}, tile sizes: {sizes}, uneven per operand",
        run.size,
        run.evaluated,
    )


class _Run:
    """What is known while spatial choices are searched one after another.

    `floors`: for each choice a value that no mapping of it beats but those already considered.
    `tied`: the last search left something out that may tie with the best.
    """

    def __init__(self, problem: Problem, objective: Objective, deadline: float = math.inf) -> None:
        self.deadline = deadline
        self.problem = problem
        self.objective = objective
        self.best: tuple[Mapping, Total] | None = None
        self.floors: dict[tuple[Unroll, ...], float] = {}
        self.whole, self.tied = True, False
        self.size = self.evaluated = self.searched = self.cut = 0

    @property
    def reached(self) -> float:
        """The best value so far."""
        return math.inf if self.best is None else value(self.best[1], self.objective)[0]

    @property
    def limit(self) -> float:
        """What a label must not exceed: a tie may pass, in whatever order its terms are summed."""
        return self.reached * (1 + ROUNDING)

    @property
    def beside(self) -> float:
        """What the tie-breaker of a label that ties must not exceed."""
        return math.inf if self.best is None else value(self.best[1], self.objective)[1] * (1 + ROUNDING)

    def consider(self, mapping: Mapping, sums: Total) -> None:
        """Keeps a mapping if it is the best so far."""
        if sums.latency_cycles > self.deadline:
            return
        if self.best is None or _better(value(sums, self.objective), value(self.best[1], self.objective)):
            self.best = mapping, sums

    def explore_all(self, choices: tuple[tuple[Unroll, ...], ...], beam: int, states: int) -> None:
        """Searches spatial choices, those with the least bound first, until no bound is below what was reached."""
        if len(choices) == 1:
            self.explore(choices[0], beam, states)
            return
        bounds = {choice: self.bound(choice) for choice in choices}
        for choice in sorted(choices, key=lambda choice: bounds[choice]):
            if bounds[choice] > self.limit:
                self.floors[choice] = bounds[choice]
                self.cut += 1
            else:
                self.explore(choice, beam, states)

    def bound(self, choice: tuple[Unroll, ...]) -> float:
        """What no mapping of a choice is better than, seen from its smallest and largest tiles alone.

        Energy and busy cycles never grow where tiles are joined (accesses and cycles are rounded up per transfer, and
        what tiles share moves once), and what comes at the ends never shrinks. So each column is least where all its
        tiles are the largest, or the smallest, with room for any.
        """
        packed = pack(self.problem, choice, 1, roomy=True)
        return _root_bound(packed, self.objective)

    def explore(self, choice: tuple[Unroll, ...], beam: int, states: int) -> None:
        """Searches one spatial choice: small lattices narrowly, then the whole one where that leaves a doubt."""
        self.searched += 1
        first = self.best is None
        there = min(states, num_states(self.problem.op, choice))
        for rung in (*(rung for rung in RUNGS if first and STEP * rung < there), states):
            packed = self._pack(choice, rung)
            floor = self._search(packed, 1 if first else beam)
            if packed.whole:
                break
        if first and beam != 1 and (floor < self.reached * (1 - ROUNDING) or self.tied):
            floor = self._search(packed, beam)
        self.whole &= packed.whole
        self.size += packed.size
        self.floors[choice] = floor

    def _pack(self, choice: tuple[Unroll, ...], states: int) -> Packed:
        beaten = self.best[1] if self.best else None
        objective = OBJECTIVES[self.objective]
        return pack(self.problem, choice, states, objective, beaten, deadline=self.deadline)

    def _search(self, packed: Packed, beam: int) -> float:
        """Searches once; a value that no mapping of the lattice beats but those considered."""
        bound = _root_bound(packed, self.objective)
        if bound > self.limit or bound == math.inf:
            return bound
        found = find(packed, OBJECTIVES[self.objective], beam, self.limit, self.beside)
        self.evaluated += found.made
        if found.mapping is not None and (self.best is None or found.mapping != self.best[0]):
            # Of loops that re-use halos the tables say too much.
            reuses = reuses_halos(self.problem)
            mapping = found.mapping
            self.consider(mapping, _total(price(self.problem, mapping)) if reuses else total(packed, mapping))
        self.tied = found.floor <= self.limit
        return max(bound, found.floor)


def _better(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether a value with its tie-breaker is below another by more than rounding."""
    if math.isclose(one[0], other[0], rel_tol=ROUNDING):
        return one[1] < other[1] * (1 - ROUNDING)
    return one[0] < other[0]


def _total(priced: Price) -> Total:
    """A price as tables would add it up."""
    array = priced.compute_cycles + priced.exposed_cycles + priced.skew_cycles
    return Total(priced.energy_pj, priced.latency_cycles, array, priced.busy)


def _root_bound(packed: Packed, objective: Objective) -> float:
    """The objective if every column came at its least."""
    total = packed.least[packed.first_least[:, 0]].sum(axis=0)
    total = packed.start[: BUSY + len(packed.tables.resources)] + total[: BUSY + len(packed.tables.resources)]
    if total[0] == math.inf:
        return math.inf
    steady = max([packed.compute + total[EXPOSED], *total[BUSY : BUSY + len(packed.tables.resources)].tolist()])
    latency = steady + total[2]
    energy = total[0] + packed.active * latency
    return float({"latency": latency, "energy": energy, "edp": latency * energy}[objective])
