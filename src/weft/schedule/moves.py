"""Transfers: from where, over which ways, at what rate and when; one for several receivers where that is no later.

Events (tasks and transfers) are numbered in the order in which they are made.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from weft._jit import kernel_in_place
from weft.schedule.lines import CAPACITY, add, earliest_rate, earliest_room, finally_used
from weft.schedule.places import (
    DUE,
    END,
    HOLDING,
    HOLDINGS,
    LAST,
    MARK,
    PIECE_BITS,
    PLACE_MEMORY,
    PLACES,
    STAMP,
    VALID,
    Board,
    Floats,
    Ints,
    Small,
    hold,
    list_cells,
    place_of,
)
from weft.schedule.tables import BEST, FIRST, HOP_FROM, HOP_IN, HOP_LANE, HOP_OUT, HOP_TO, NUMBER, SETUP, UNKNOWN, Ways

CORE, DURATION, BOOKED, WORK = range(4)
"""Columns of `Tiles.recipe`: core, base cycles, first rows in `Tiles.line` [., 2] (lines and rates that a task books)
and in `Tiles.work` [., 2] (memories, bits that it takes)."""

TILE, WAY, FROM, UNTIL, MOVED, AT_RATE, READ, MADE, USE = range(9)
"""Columns of `Trace.event` [events + 1, 9]: tile of a task, -1 for a transfer; (first) way of a transfer, -1 for a
task; start; end; bits; rate; first rows in `read` and `use`; first of the holdings it makes."""

EVENTS, READ_ROWS, USE_ROWS, MORE_ROWS = range(4)
"""What `Trace.counts` counts."""

TO, SPACE, BY, BEGINS, ENDS, PACE = range(6)
"""Columns of `Scratch.best`: a target, when it has room, the best way to it by itself, start, end and rate on that."""

DONE, FULL, NO_WAY, ASK_WAYS, ASK_SPACE, NOT_MADE = range(6)
"""How placing ended: all is placed; a memory is too small; no links lead there; ways are yet to be looked up; the
arrays are too short; a tile reads what no tile before it makes."""

FAULT_TILE, FAULT_MEMORY, NEEDS, HAS, FAULT_TENSOR, TARGET, FAULT_SLOT = range(7)
"""What `Scratch.fault` tells."""

QUARTERS = 4
"""A transfer takes all of its way's rate, or 3, 2 or 1 quarters of it where that ends sooner beside what else runs."""

OUTPUT = 2
"""The slot by which data leaves the memory that it was made in (`SLOTS`)."""

LOCAL, GLOBAL = range(2)
"""Rows of `Scratch.box`: cells counted from a touch's first, or from the tensor's."""


class Trace(NamedTuple):
    """What happens.

    Args:
        event: see above.     pj: [events]: of transfers.
        more:  [., 2]: (event, way): a multicast's ways after the first.
        read:  [., 2]: holding, operand.     use: [., 2]: line, amount: rates, then room.
        counts: see above.
    """

    event: Ints
    pj: Floats
    more: Small
    read: Small
    use: Ints
    counts: Ints


class Scratch(NamedTuple):
    """Room to work in.

    Args:
        fault: see above.      cells, places, mask: of all touches of a tile.
        begin: [operands + 1]: where each operand's begin.
        box: [2, 2 axes].      extent: [axes].      moved: cells of a box on its way.
        demand: [memories].    asked: [memories]: those with demand.      want: [., 2]: line, amount.
        best:   [targets + 1, 6]: see above.     picked: [targets]: ways.     tree: [., 2]: line, how many times over.
        hops:   [.]: rows of `Ways.hop`.     pace: [3]: rate, set-up, hops of the tree.     trial: [., 4]: line, amount,
                start, end.
    """

    fault: Ints
    cells: Ints
    places: Ints
    mask: Small
    begin: Ints
    box: Small
    extent: Ints
    moved: Ints
    demand: Ints
    asked: Ints
    want: Ints
    best: Ints
    picked: Ints
    tree: Ints
    hops: Ints
    pace: Ints
    trial: Ints


@kernel_in_place
def move(
    ways: Ways,
    board: Board,
    trace: Trace,
    scratch: Scratch,
    room: int,
    number: int,
    source: int,
    target: int,
    slot: int,
    until: int,
) -> int:
    """A transfer of the GLOBAL box, on the way and at the rate that end first.

    Where others read all of it in other memories soon, have room for it and would fetch it from the same source, one
    transfer serves all, if it ends no later than the last of the transfers that would serve one each.

    Args:    room: line of the first memory.     until: last position whose reads are soon; -1: nobody else is served.
    Returns: how it ended.
    """
    piece, place, holding, line, step = board.piece, board.place, board.holding, board.line, board.step
    moved, event, fault, best = scratch.moved, trace.event, scratch.fault, scratch.best
    fault[FAULT_TENSOR], fault[FAULT_MEMORY], fault[TARGET], fault[FAULT_SLOT] = number, source, target, slot
    made = trace.counts[EVENTS]
    reads = trace.counts[READ_ROWS]
    found = list_cells(board.tensor, number, scratch.box, GLOBAL, moved, 0)
    if made + 1 >= event.shape[0] or reads + found > trace.read.shape[0]:
        return ASK_SPACE
    board.counts[STAMP] += 1
    stamp = board.counts[STAMP]
    ready = bits = 0
    for i in range(found):
        held = place[place_of(piece, place, moved[i], source), HOLDING]
        bits += piece[moved[i], PIECE_BITS]
        if holding[held, MARK] != stamp:
            holding[held, MARK] = stamp
            ready = max(ready, holding[held, VALID])
            trace.read[reads, 0], trace.read[reads, 1] = held, 0
            reads += 1
    if ways.between[source, target, slot, NUMBER] == UNKNOWN:
        return ASK_WAYS
    best[0, TO] = target
    best[0, SPACE] = _space(board, room, moved, found, target, ready, bits)
    if best[0, SPACE] < 0:
        fault[FAULT_MEMORY] = target
        fault[NEEDS] = finally_used(line, step, room + target) + bits
        fault[HAS] = line[room + target, CAPACITY]
        return FULL
    if not _alone(ways, board, scratch, source, slot, bits, 0):
        return NO_WAY
    start, end, rate = best[0, BEGINS], best[0, ENDS], best[0, PACE]
    scratch.picked[0] = best[0, BY]
    targets = 1
    if until >= 0:
        others = _others(ways, board, scratch, room, found, source, target, slot, ready, bits, until)
        if others > 1 and _together(ways, board, scratch, source, slot, bits, others):
            targets = others
            start, end, rate = best[others, BEGINS], best[others, ENDS], best[others, PACE]
    rows = _tree(ways, line, scratch, targets)
    uses = trace.counts[USE_ROWS]
    if uses + rows + targets > trace.use.shape[0] or trace.counts[MORE_ROWS] + targets > trace.more.shape[0]:
        return ASK_SPACE
    for row in range(rows):
        amount = max(1, rate * scratch.tree[row, 1])
        add(line, step, scratch.tree[row, 0], start, end, amount)
        trace.use[uses, 0], trace.use[uses, 1] = scratch.tree[row, 0], amount
        uses += 1
    for r in range(trace.counts[READ_ROWS], reads):
        held = trace.read[r, 0]
        holding[held, LAST] = max(holding[held, LAST], end)
    trace.pj[made] = _energy(ways, scratch, bits)
    event[made, TILE], event[made, WAY] = -1, scratch.picked[0]
    event[made, FROM], event[made, UNTIL] = start, end
    event[made, MOVED], event[made, AT_RATE] = bits, rate
    event[made, MADE] = board.counts[HOLDINGS]
    for k in range(targets):
        trace.use[uses, 0], trace.use[uses, 1] = room + best[k, TO], bits
        uses += 1
        if k > 0:
            more = trace.counts[MORE_ROWS]
            trace.more[more, 0], trace.more[more, 1] = made, scratch.picked[k]
            trace.counts[MORE_ROWS] = more + 1
        if hold(board, room, best[k, TO], number, scratch.box, GLOBAL, start, end, made) < 0:
            return ASK_SPACE
    trace.counts[EVENTS], trace.counts[READ_ROWS], trace.counts[USE_ROWS] = made + 1, reads, uses
    event[made + 1, READ], event[made + 1, USE] = reads, uses
    return DONE


@kernel_in_place
def _space(board: Board, room: int, moved: Ints, found: int, target: int, ready: int, bits: int) -> int:
    """When a memory has room for good; what comes again waits until the copy that was let go has really left. -1 where
    it never has."""
    for i in range(found):
        ready = max(ready, board.gone[place_of(board.piece, board.place, moved[i], target)])
    return int(earliest_room(board.line, board.step, room + target, ready, bits))


@kernel_in_place
def _alone(ways: Ways, board: Board, scratch: Scratch, source: int, slot: int, bits: int, k: int) -> bool:
    """The best way to one target by itself, in its row of `best`; False where there is none."""
    best = scratch.best
    target = best[k, TO]
    best[k, ENDS] = best[k, BY] = -1
    first = ways.between[source, target, slot, FIRST]
    for way in range(first, first + ways.between[source, target, slot, NUMBER]):
        scratch.picked[0] = way
        rows = _tree(ways, board.line, scratch, 1)
        if _faster(ways, board.line, board.step, scratch, rows, bits, best[k, SPACE], k):
            best[k, BY] = way
    return bool(best[k, BY] >= 0)


@kernel_in_place
def _tree(ways: Ways, line: Ints, scratch: Scratch, number: int) -> int:
    """What the picked ways use together: a memory sends once over each lane and is read once; each entered is written
    once. In `tree`: lines, and how many times over (0: one unit at any rate); in `hops` the rows of the ways' hops;
    in `pace` the highest rate and the set-up.

    Returns: how many lines; -1 where the ways enter a memory twice.
    """
    hop, hops, tree = ways.hop, scratch.hops, scratch.tree
    rows = taken = 0
    setup = 0
    for k in range(number):
        way = scratch.picked[k]
        longest = 0
        for h in range(ways.way[way], ways.way[way + 1]):
            longest += hop[h, SETUP]
            known = sent = read = False
            for t in range(taken):
                g = hops[t]
                alike = hop[g, HOP_FROM] == hop[h, HOP_FROM]
                same = alike and hop[g, HOP_LANE] == hop[h, HOP_LANE]
                if hop[g, HOP_TO] == hop[h, HOP_TO]:
                    if not same:
                        return -1
                    known = True
                sent = sent or same
                read = read or alike
            if known:
                continue
            if taken > 0 and hop[h, HOP_TO] == hop[hops[0], HOP_FROM]:
                return -1
            hops[taken] = h
            taken += 1
            rows = _use(tree, rows, hop[h, HOP_IN])
            if not sent:
                rows = _use(tree, rows, hop[h, HOP_LANE])
            if not read:
                rows = _use(tree, rows, hop[h, HOP_OUT])
        setup = max(setup, longest)
    rate = line[tree[0, 0], CAPACITY] // tree[0, 1]
    for row in range(rows):
        rate = min(rate, line[tree[row, 0], CAPACITY] // tree[row, 1])
    scratch.pace[0], scratch.pace[1], scratch.pace[2] = rate, ways.fixed[1] + setup, taken
    if ways.fixed[2] >= 0:
        tree[rows, 0], tree[rows, 1] = ways.fixed[2], 0
        rows += 1
    return rows


@kernel_in_place
def _use(tree: Ints, rows: int, at: int) -> int:
    """One use more of a line; returns how many lines are used."""
    for row in range(rows):
        if tree[row, 0] == at:
            tree[row, 1] += 1
            return rows
    tree[rows, 0], tree[rows, 1] = at, 1
    return rows + 1


@kernel_in_place
def _faster(ways: Ways, line: Ints, step: Ints, scratch: Scratch, rows: int, bits: int, space: int, k: int) -> bool:
    """Whether the `tree` ends sooner, at some rate, than what row k of `best` says; it then says that."""
    best, want, tree = scratch.best, scratch.want, scratch.tree
    better = False
    for quarters in range(QUARTERS, 0, -1):
        rate = max(1, scratch.pace[0] * quarters // QUARTERS)
        duration = scratch.pace[1] + -(-bits * ways.fixed[0] // rate)
        if best[k, ENDS] >= 0 and space + duration >= best[k, ENDS]:
            break
        for row in range(rows):
            want[row, 0], want[row, 1] = tree[row, 0], max(1, rate * tree[row, 1])
        start = window(line, step, want, rows, space, duration)
        if best[k, ENDS] < 0 or start + duration < best[k, ENDS]:
            best[k, BEGINS], best[k, ENDS], best[k, PACE] = start, start + duration, rate
            better = True
    return better


@kernel_in_place
def _others(
    ways: Ways,
    board: Board,
    scratch: Scratch,
    room: int,
    found: int,
    source: int,
    target: int,
    slot: int,
    ready: int,
    bits: int,
    until: int,
) -> int:
    """Memories in which one tile soon reads all that is moved (more than it needs might leave it no room), and which
    lack all of it, have room, and would fetch it from the same source; in `best` from row 1 on.

    Returns: how many targets that makes.
    """
    piece, place, moved = board.piece, board.place, scratch.moved
    number = 1
    for at in range(piece[moved[0], PLACES], piece[moved[0] + 1, PLACES]):
        memory = int(place[at, PLACE_MEMORY])
        wanted = memory != target and memory != source and ways.between[source, memory, slot, NUMBER] > 0
        due = -1
        for i in range(found if wanted else 0):
            here = -1
            for other in range(piece[moved[i], PLACES], piece[moved[i] + 1, PLACES]):
                if place[other, PLACE_MEMORY] == memory:
                    here = other
            if here < 0 or place[here, HOLDING] >= 0 or place[here, DUE] >= place[here, END]:
                wanted = False
                break
            now = board.read_at[place[here, DUE]]
            if now > until or (due >= 0 and now != due):
                wanted = False
                break
            due = now
        if not wanted:
            continue
        if find_source(piece, place, ways.between, moved[0], memory, slot, source) != source:
            continue
        space = _space(board, room, moved, found, memory, ready, bits)
        if space >= 0:
            scratch.best[number, TO], scratch.best[number, SPACE] = memory, space
            number += 1
    return number


@kernel_in_place
def _together(ways: Ways, board: Board, scratch: Scratch, source: int, slot: int, bits: int, number: int) -> bool:
    """Whether one transfer to all targets ends no later than the last of one each; it is then in row `number` of
    `best`, and its ways are picked."""
    line, step, best, trial = board.line, board.step, scratch.best, scratch.trial
    # one each, one after another on what they share
    tried = last = space = 0
    for k in range(number):
        space = max(space, best[k, SPACE])
        if not _alone(ways, board, scratch, source, slot, bits, k):
            last = -1
            break
        scratch.picked[0] = best[k, BY]
        for row in range(_tree(ways, line, scratch, 1)):
            amount = max(1, best[k, PACE] * scratch.tree[row, 1])
            trial[tried, 0], trial[tried, 1] = scratch.tree[row, 0], amount
            trial[tried, 2], trial[tried, 3] = best[k, BEGINS], best[k, ENDS]
            add(line, step, trial[tried, 0], trial[tried, 2], trial[tried, 3], amount)
            tried += 1
        last = max(last, best[k, ENDS])
    for row in range(tried):
        add(line, step, trial[row, 0], trial[row, 2], trial[row, 3], -trial[row, 1])
    chosen = best[0, BY]
    best[number, ENDS] = best[number, BY] = -1
    first = ways.between[source, best[0, TO], slot, FIRST]
    for way in range(first, first + ways.between[source, best[0, TO], slot, NUMBER]):
        scratch.picked[0] = way
        if last >= 0 and _attach(ways, line, scratch, source, slot, number):
            rows = _tree(ways, line, scratch, number)
            if _faster(ways, line, step, scratch, rows, bits, space, number):
                best[number, BY] = way
    if best[number, BY] < 0 or best[number, ENDS] > last:
        scratch.picked[0] = chosen
        return False
    scratch.picked[0] = best[number, BY]
    return _attach(ways, line, scratch, source, slot, number)


@kernel_in_place
def _attach(ways: Ways, line: Ints, scratch: Scratch, source: int, slot: int, number: int) -> bool:
    """Pick for each target after the first a way that makes a tree with those picked before."""
    for k in range(1, number):
        first = ways.between[source, scratch.best[k, TO], slot, FIRST]
        found = False
        for way in range(first, first + ways.between[source, scratch.best[k, TO], slot, NUMBER]):
            scratch.picked[k] = way
            if _tree(ways, line, scratch, k + 1) >= 0:
                found = True
                break
        if not found:
            return False
    return True


@kernel_in_place
def _energy(ways: Ways, scratch: Scratch, bits: int) -> float:
    """Links, once per lane and sender; accesses of every memory read or written (`Fabric.transfer_pj`) [pJ]."""
    hop, pj, hops = ways.hop, ways.hop_pj, scratch.hops
    total = 0.0
    for t in range(scratch.pace[2]):
        h = hops[t]
        sent = read = False
        for k in range(t):
            alike = hop[hops[k], HOP_FROM] == hop[h, HOP_FROM]
            read = read or alike
            sent = sent or (alike and hop[hops[k], HOP_LANE] == hop[h, HOP_LANE])
        if not sent:
            total += bits * pj[h, 0]
        if not read:
            total += np.ceil(bits / pj[h, 1]) * pj[h, 1] * pj[h, 2]
        total += np.ceil(bits / pj[h, 3]) * pj[h, 3] * pj[h, 4]
    return total


@kernel_in_place
def find_source(piece: Ints, place: Small, between: Ints, part: int, memory: int, slot: int, outermost: int) -> int:
    """The holder with the fastest way, on-chip ones first on ties; -1: nothing holds it; -2: ways are not known."""
    best = -1
    best_rate = -1
    for at in range(piece[part, PLACES], piece[part + 1, PLACES]):
        if place[at, HOLDING] >= 0:
            source = int(place[at, PLACE_MEMORY])
            if between[source, memory, slot, NUMBER] == UNKNOWN:
                return -2
            rate = between[source, memory, slot, BEST]
            if rate > best_rate or (
                rate == best_rate and (best == outermost or (source < best and source != outermost))
            ):
                best, best_rate = source, rate
    return best


@kernel_in_place
def window(line: Ints, step: Ints, want: Ints, wanted: int, start: int, duration: int) -> int:
    """The first time from which every line wanted has its amount free for the whole duration."""
    while True:
        latest = start
        for k in range(wanted):
            latest = earliest_rate(line, step, want[k, 0], latest, duration, want[k, 1])
        if latest == start or wanted < 2:
            return latest
        start = latest
