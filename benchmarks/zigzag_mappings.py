"""How good ZigZag's mappings of ResNet-18 on tpu_like are beside weft's, by weft's formula and by the event simulator.

    python -m benchmarks.zigzag_mappings [--steps N]

ZigZag's are those of `tests/data/zigzag_resnet18_tpu_like.json`: what its version 3.8.5 chose for latency, with all its
operands streamed from outside at eight bits; ZigZag need not be there. One line per different layer. A mapping that
breaks weft's rules (room in memories among them) is told, not scored. The simulator knows time alone, so by it an EDP
is a mapping's energy times the simulated cycles; it runs layers of at most N array steps, as it takes each step by
itself. Exit 1 where weft's EDP is worse by the formula on any layer, or is not proved.
"""

from __future__ import annotations

import argparse
import sys

from tests.mapper.test_zigzag_mappings import layers
from tests.oracles.events import simulate

from weft.cost import price
from weft.cost.legal import broken
from weft.mapper import Mapped, best_mapping
from weft.mapper.space import compute_cycles
from weft.model.mapping import Mapping, Problem

STEPS = 6_272
"""Of ResNet-18 the classifier and the three 1 x 1 convolutions: each takes one to two CPU minutes, as the simulator
writes down every move of every unit. The other eight have 9 to 196 times the steps of the largest of these."""
SAME = 1e-9


def different() -> dict[str, tuple[Problem, Mapping, int]]:
    """Each layer and mapping once, by the name of the first, and how many there are."""
    found: dict[object, tuple[str, Problem, Mapping, int]] = {}
    for name, (problem, mapping) in layers().items():
        key = problem.op.dims, tuple(operand.axes for operand in problem.op.operands), mapping
        first, *_, times = found.get(key, (name, problem, mapping, 0))
        found[key] = first, problem, mapping, times + 1
    return {name: (problem, mapping, times) for name, problem, mapping, times in found.values()}


def simulated(problem: Problem, theirs: Mapping, ours: Mapping, most: int) -> str:
    """ZigZag's EDP over weft's by simulated cycles, with both numbers of cycles."""
    if max(compute_cycles(problem.op, mapping.spatial) for mapping in (theirs, ours)) > most:
        return "not simulated"
    cycles = [simulate(problem, mapping).total for mapping in (theirs, ours)]
    energies = [price(problem, mapping).energy_pj for mapping in (theirs, ours)]
    ratio = energies[0] * cycles[0] / (energies[1] * cycles[1])
    return f"{ratio:.3f} ({cycles[0]:,} and {cycles[1]:,} cycles)"


def main() -> int:
    """A line per layer, then what holds of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=STEPS, help="most array steps of a layer to simulate; 0: none")
    most = parser.parse_args().steps
    ratios, worse, barred = [], [], []
    print("layer, how often: EDP of ZigZag's mapping over weft's by the formula | by the event simulator")
    for name, (problem, theirs, times) in different().items():
        if rules := broken(problem, theirs):
            barred.append(name)
            print(f"{name} x{times}: ZigZag's mapping is not scored: {'; '.join(map(str, rules))}")
            continue
        ours = best_mapping(problem, "edp")
        assert isinstance(ours, Mapped), ours
        ratio = price(problem, theirs).edp / ours.price.edp
        ratios.append(ratio)
        if ratio < 1 - SAME or not ours.optimal:
            worse.append(name)
        print(f"{name} x{times}: {ratio:.3f} | {simulated(problem, theirs, ours.mapping, most)}", flush=True)
    print(
        f"{len(ratios)} different layers scored, {len(barred)} not: ZigZag's EDP is {min(ratios):.3f} to "
        f"{max(ratios):.3f} times weft's; weft's is worse or unproved on {len(worse)}: {' '.join(worse) or 'none'}"
    )
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
