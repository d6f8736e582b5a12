"""Rules on movement, on columns; what depends on what many rows share is asked once per kind of row.

Rows alike in all that such a rule looks at are one kind. The rule on nouns is asked of one of each, and of all rows of
a kind where that one breaks it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from weft.model.rules.case import Case, Facts
from weft.model.rules.columns.case import Found, Kinds, PackedCase
from weft.model.rules.columns.kernels import volumes

Ask = Callable[[Case], Facts]


def ask_by_kind(case: PackedCase, asks: Sequence[Ask], kinds: Kinds, tasks: bool) -> dict[Ask, Found]:
    """Asks rules on nouns of one row of each kind."""
    checked, wrong = dict.fromkeys(asks, 0), {ask: [np.zeros(0, np.int64)] for ask in asks}
    for row, count in zip(kinds.rows, kinds.counts, strict=True):
        of_tasks, of_moves = ([case.nouns.task(row)], []) if tasks else ([], [case.nouns.transfer(row)])
        one = case.case_of(of_tasks, of_moves, [])
        for ask in asks:
            facts = list(ask(one))
            checked[ask] += len(facts) * count
            if any(fact is not None for fact in facts):
                wrong[ask].append(np.flatnonzero(kinds.first == row))
    rows = {ask: np.concatenate(found) for ask, found in wrong.items()}
    if tasks:
        return {ask: Found(checked[ask], rows[ask]) for ask in asks}
    return {ask: Found(checked[ask], transfers=rows[ask]) for ask in asks}


def transfers_move_their_bits(case: PackedCase) -> Found:
    """Bits moved are elements times the tensor's width."""
    moves = case.columns.transfers
    wrong = moves.bits != volumes(moves.box) * case.bits[moves.tensor]
    return Found(len(wrong), transfers=np.flatnonzero(wrong))


def transfers_take_their_time(case: PackedCase) -> Found:
    """Duration is bits over rate, rounded up, and the set-up."""
    moves, scale = case.columns.transfers, case.columns.scale
    bits = moves.bits
    if int(bits.max(initial=0)) * scale >= 2**63:
        bits = bits.astype(object)
    cycles = -(-(bits * scale) // moves.rate) + moves.setup_cycles
    return Found(len(bits), transfers=np.flatnonzero(moves.end - moves.start != cycles))
