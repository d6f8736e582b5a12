"""Energy by ZigZag's rules, and the two prices put together."""

from __future__ import annotations

import math
from fractions import Fraction

from weft.cost.zigzag.convert import fitted
from weft.cost.zigzag.latency import latency
from weft.cost.zigzag.nest import Nest, flows, memories, nest_of, transfer, width
from weft.cost.zigzag.result import Words, ZigzagPrice, ZigzagShare
from weft.model.chip import READING, Chip, Core, Flow, Memory
from weft.model.workload import Op
from weft.model.zigzag import ZigzagMapping

NAMES: dict[Flow, str] = {
    "to_below": "rd_out_to_low",
    "from_below": "wr_in_by_low",
    "to_above": "rd_out_to_high",
    "from_above": "wr_in_by_high",
}


def zigzag_price(
    op: Op, widths: tuple[tuple[str, int], ...], core: Core, chip: Chip, mapping: ZigzagMapping
) -> ZigzagPrice:
    """What ZigZag would report for a mapping.

    energy = MAC energy x iterations + sum over operands, memories and flows of words x energy of one full access
    No wires, links, control or leakage; one clock for all; bits per cycle as the ports say.
    Args:    widths: bits of each operand's finished element by operand name; partial sums have the core's width.
             mapping: in the op's letters, or in ZigZag's for matrix products (D rows, K columns, C reduction).
    Errors:  MappingError where the mapping does not fit the op, the core or its memories.
    Source:  ZigZag 3.8.5; see the package's docstring.
    """
    mapping = fitted(mapping, op, core, chip)
    bits = dict(widths)
    operands = {operand.slot: operand for operand in op.operands}
    shares: list[ZigzagShare] = []
    busy: dict[str, float] = {}
    for loops in mapping.operands:
        operand = operands[loops.slot]
        nest = nest_of(op, loops)
        final = bits[operand.name]
        chain = memories(core, chip, loops.slot)
        for level, (memory, _) in enumerate(chain):
            words: dict[Flow, int] = {}
            for flow in flows(nest, level, len(chain)):
                words[flow] = word_accesses(
                    nest, level, flow, memory, width(nest, level, flow, final, core.accumulator_bits)
                )
                port = f"{memory.name}.{memory.port(loops.slot, flow).name}"
                busy[port] = busy.get(port, 0.0) + words[flow] / max(1, round(nest.instances[level + 1]))
            pj = sum(count * (memory.read_pj if flow in READING else memory.write_pj) for flow, count in words.items())
            shares.append(
                ZigzagShare(loops.slot, memory.name, Words(**{NAMES[flow]: count for flow, count in words.items()}), pj)
            )
    times = latency(op, bits, core, chip, mapping)
    return ZigzagPrice(
        mac_pj=core.op_pj * op.iterations,
        shares=tuple(shares),
        ideal_cycles=math.ceil(Fraction(op.iterations, core.units)),
        ideal_temporal_cycles=times.total,
        stalls=times.stalls,
        onload_cycles=times.onload,
        offload_cycles=times.offload,
        ends=times.ends,
        busy=tuple(sorted(busy.items())),
    )


def word_accesses(nest: Nest, level: int, flow: Flow, memory: Memory, bits: int) -> int:
    """Full-width accesses of one flow in all instances of a memory.

    ceil(elements x bits / smallest access) x smallest access / full width x transfers x instances, cut to an integer
    once, at the end: whole smallest accesses per transfer, whole words only per flow.
    """
    port = memory.port(nest.operand.slot, flow)
    elements, count = transfer(nest, level, flow)
    accessed = math.ceil(Fraction(elements * bits, port.access_bits)) * port.access_bits
    return int(Fraction(accessed, port.bandwidth_bits) * count * round(nest.instances[level + 1]))
