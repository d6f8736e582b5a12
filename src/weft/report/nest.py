"""A mapping as a picture: loops nested as they run, and between them where each operand's tile rests."""

from __future__ import annotations

from weft.cost.result import Price
from weft.model.mapping import Mapping
from weft.report.words import size


def picture(mapping: Mapping, price: Price | None) -> list[str]:
    """The nest, outermost first, one line per loop or resting place.

    >>> from weft.model.mapping import parse_mapping
    >>> print(*picture(parse_mapping("D1:K32 D2:C3 | FX7 O@rf OX112 I@sram O@sram"), None), sep=chr(10))
    sram: I O
    for OX in 112
      rf: O
      for FX in 7
        side by side: K32 on D1, C3 on D2
    """
    room = {(item.operand, item.memory): item.bits for item in price.room} if price else {}
    lines: list[str] = []
    depth = 0
    for inside in range(len(mapping.loops), -1, -1):
        here: dict[str, list[str]] = {}
        # rests are listed innermost first for each operand, so the last ones here lie outermost
        for rest in reversed([rest for rest in mapping.rests if rest.inside == inside]):
            bits = room.get((rest.operand, rest.memory))
            here.setdefault(rest.memory, []).append(rest.operand + (f" {size(bits)}" if bits else ""))
        for memory, operands in here.items():
            lines.append(
                f"{'  ' * depth}{memory}: {', '.join(sorted(operands)) if price else ' '.join(sorted(operands))}"
            )
        if inside:
            loop = mapping.loops[inside - 1]
            lines.append(f"{'  ' * depth}for {loop.dim} in {loop.factor}")
            depth += 1
    sides = ", ".join(f"{' '.join(map(str, unroll.loops))} on {unroll.array_dim}" for unroll in mapping.spatial)
    return [*lines, f"{'  ' * depth}side by side: {sides or 'nothing'}"]
