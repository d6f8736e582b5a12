"""Places tiles one after another: moves what each needs, makes room, books cores, links and ports, runs it."""

from __future__ import annotations

from weft._jit import kernel_in_place
from weft.schedule.lines import CAPACITY, add, earliest_room, finally_used
from weft.schedule.moves import (
    ASK_SPACE,
    ASK_WAYS,
    AT_RATE,
    BOOKED,
    CORE,
    DONE,
    DURATION,
    EVENTS,
    FAULT_MEMORY,
    FAULT_TENSOR,
    FAULT_TILE,
    FROM,
    FULL,
    GLOBAL,
    HAS,
    LOCAL,
    MADE,
    MOVED,
    NEEDS,
    NOT_MADE,
    OUTPUT,
    READ,
    READ_ROWS,
    TILE,
    UNTIL,
    USE,
    USE_ROWS,
    WAY,
    WORK,
    Scratch,
    Trace,
    find_source,
    move,
    window,
)
from weft.schedule.places import (
    BEFORE,
    BITS,
    COPIES,
    GIVEN,
    HOLDING,
    HOLDINGS,
    HOMES,
    IDLES,
    INPUTS,
    KEPT,
    LAST,
    MARK,
    MEMORY,
    NEEDED,
    NEXT_USE,
    OPERANDS,
    PIECE_BITS,
    PLACE_MARK,
    PLACES,
    READS,
    RECIPE,
    ROW,
    SHAPE,
    STAMP,
    TENSOR,
    VALID,
    WANTED,
    Board,
    Ints,
    Small,
    Tiles,
    close,
    close_idle,
    hold,
    list_cells,
    next_use,
    place_of,
    read_once,
)
from weft.schedule.tables import Ways

CHUNK_BITS = 1 << 18
"""What is brought to a memory goes in boxes of not many more bits than this: they fill gaps between what else moves,
take their room one after another, and give it back so. Weights are cut into pieces of half of it."""


@kernel_in_place
def place_tiles(
    tiles: Tiles, ways: Ways, board: Board, trace: Trace, scratch: Scratch, room: int, outermost: int, ahead: int
) -> int:
    """Place all tiles in their order; what happens is in `trace` and `board`. Returns how it ended.

    Args:    room: line of the first memory.     ahead: positions whose reads a multicast may serve.
    """
    order, tile = tiles.order, tiles.tile
    tensor, piece, place, holding = board.tensor, board.piece, board.place, board.holding
    cells, places, begin = scratch.cells, scratch.places, scratch.begin
    board.counts[STAMP] = order.size + 1  # marks of tiles are positions, all others come after
    axes = scratch.extent.size
    for number in range(tensor.shape[0]):
        if tensor[number, GIVEN]:
            for axis in range(axes):
                scratch.box[GLOBAL, axis] = 0
                scratch.box[GLOBAL, axes + axis] = tensor[number, SHAPE + axis]
            if hold(board, room, outermost, number, scratch.box, GLOBAL, 0, 0, -1) < 0:
                return ASK_SPACE
    for position in range(order.size):
        now = order[position]
        scratch.fault[FAULT_TILE] = now
        row, first, inputs, home = tile[now, ROW], tile[now, OPERANDS], tile[now, INPUTS], tile[now, HOMES]
        begin[0] = 0
        for k in range(inputs + 1):
            at = begin[k]
            number = tiles.operand[first + k, 0]
            found = list_cells(tensor, number, tiles.touch, row + k, cells, at)
            for i in range(at, at + found):
                places[i] = place_of(piece, place, cells[i], tiles.homes[home + k])
            begin[k + 1] = at + found
        ended = _make_room(tiles, ways, board, trace, scratch, room, outermost, now, position)
        if ended != DONE:
            return ended
        ready = 0
        for k in range(inputs):
            missing = False
            for i in range(begin[k], begin[k + 1]):
                missing = missing or place[places[i], HOLDING] < 0
            if missing:
                ended = _bring(tiles, ways, board, trace, scratch, room, outermost, now, k, position + ahead)
                if ended != DONE:
                    return ended
                if board.counts[IDLES] > 0:
                    close_idle(board, room, outermost)
        for i in range(begin[inputs]):
            ready = max(ready, holding[place[places[i], HOLDING], VALID])
        ended = _run(tiles, board, trace, scratch, room, now, ready)
        if ended != DONE:
            return ended
        for k in range(inputs):
            kept = tensor[tiles.operand[first + k, 0], KEPT]
            for i in range(begin[k], begin[k + 1]):
                read_once(piece, place, holding, board.idle, board.counts, cells[i], places[i], kept)
        number, memory = tiles.operand[first + inputs, 0], tiles.homes[home + inputs]
        if tensor[number, KEPT] and memory != outermost:
            for axis in range(2 * axes):
                scratch.box[GLOBAL, axis] = tiles.touch[row + inputs, axis]
            ended = move(ways, board, trace, scratch, room, number, memory, outermost, OUTPUT, -1)
            if ended != DONE:
                return ended
        if board.counts[IDLES] > 0:
            close_idle(board, room, outermost)
    return DONE


# -- room --------------------------------------------------------------------------------------------------------------


@kernel_in_place
def _make_room(
    tiles: Tiles,
    ways: Ways,
    board: Board,
    trace: Trace,
    scratch: Scratch,
    room: int,
    outermost: int,
    now: int,
    position: int,
) -> int:
    """Let go, farthest next use first, until all that a tile brings and makes fits."""
    place, piece, holding = board.place, board.piece, board.holding
    demand, asked, begin = scratch.demand, scratch.asked, scratch.begin
    inputs, home, recipe = tiles.tile[now, INPUTS], tiles.tile[now, HOMES], tiles.tile[now, RECIPE]
    number = 0
    for w in range(tiles.recipe[recipe, WORK], tiles.recipe[recipe + 1, WORK]):
        number = _ask(demand, asked, number, tiles.work[w, 0], tiles.work[w, 1])
    for k in range(inputs + 1):
        memory = tiles.homes[home + k]
        bits = 0
        for i in range(begin[k], begin[k + 1]):
            at = scratch.places[i]
            if place[at, HOLDING] >= 0:
                holding[place[at, HOLDING], NEEDED] = position
            elif place[at, PLACE_MARK] != position:
                place[at, PLACE_MARK] = position
                bits += piece[scratch.cells[i], PIECE_BITS]
                for other in range(piece[scratch.cells[i], PLACES], piece[scratch.cells[i] + 1, PLACES]):
                    if place[other, HOLDING] >= 0:
                        holding[place[other, HOLDING], WANTED] = position
        number = _ask(demand, asked, number, memory, bits)
    for k in range(number):
        memory, needs = asked[k], demand[asked[k]]
        demand[memory] = 0
        while finally_used(board.line, board.step, room + memory) + needs > board.line[room + memory, CAPACITY]:
            victim = -1 if memory == outermost else _victim(board, memory, position)
            if victim < 0:
                scratch.fault[FAULT_MEMORY] = memory
                scratch.fault[NEEDS] = finally_used(board.line, board.step, room + memory) + needs
                scratch.fault[HAS] = board.line[room + memory, CAPACITY]
                return FULL
            ended = _evict(ways, board, trace, scratch, room, outermost, victim)
            if ended != DONE:
                return ended
    return DONE


@kernel_in_place
def _ask(demand: Ints, asked: Ints, number: int, memory: int, bits: int) -> int:
    """Add to what is asked of a memory; returns of how many memories something is."""
    if bits > 0:
        if demand[memory] == 0:
            asked[number] = memory
            number += 1
        demand[memory] += bits
    return number


@kernel_in_place
def _victim(board: Board, memory: int, position: int) -> int:
    """What is used farthest ahead of what a memory holds: but nothing that the tile needs there, and what it is to be
    brought from only where nothing else is left. -1 where there is none."""
    holding = board.holding
    best = -1
    number = board.newest[memory]
    while number >= 0:
        if holding[number, NEEDED] != position:
            if holding[number, NEXT_USE] <= position:
                holding[number, NEXT_USE] = next_use(board, number)
            if best < 0:
                best = number
            else:
                first, second = holding[number, WANTED] == position, holding[best, WANTED] == position
                if first != second:
                    if second:
                        best = number
                elif holding[number, NEXT_USE] != holding[best, NEXT_USE]:
                    if holding[number, NEXT_USE] > holding[best, NEXT_USE]:
                        best = number
                elif holding[number, BITS] >= holding[best, BITS]:  # as large: the older one, which comes later here
                    best = number
        number = holding[number, BEFORE]
    return best


@kernel_in_place
def _evict(ways: Ways, board: Board, trace: Trace, scratch: Scratch, room: int, outermost: int, victim: int) -> int:
    """Write out what is held nowhere else and is still wanted, then let go."""
    piece, holding, mask = board.piece, board.holding, scratch.mask
    memory, number = holding[victim, MEMORY], holding[victim, TENSOR]
    kept = board.tensor[number, KEPT]
    axes = scratch.extent.size
    found = list_cells(board.tensor, number, board.box, victim, board.cells, 0)
    for i in range(found):
        part = board.cells[i]
        wanted = piece[part, COPIES] == 1 and (piece[part, READS] > 0 or kept != 0)
        mask[i] = memory if wanted else -1
    for axis in range(axes):
        scratch.extent[axis] = board.box[victim, axes + axis] - board.box[victim, axis]
    first = 0
    while True:
        first = take_box(mask, found, first, scratch.extent, scratch.box, scratch.moved)
        if first < 0:
            break
        _globally(scratch.box, board.box, victim)
        ended = move(ways, board, trace, scratch, room, number, memory, outermost, OUTPUT, -1)
        if ended != DONE:
            return ended
    close(board, room, victim)
    return DONE


# -- moving ------------------------------------------------------------------------------------------------------------


@kernel_in_place
def take_box(mask: Small, number: int, begin: int, extent: Ints, box: Small, cells: Ints) -> int:
    """Find the first box of cells with one mask that is not negative, and take them out (mask -1).

    From the first such cell it grows along the last axis as far as it can, then along the one before, and so on.

    Args:    mask: [number ...] of the cells of a box, row by row.   extent: [axes] of that box.
             box: row LOCAL, out.     cells: [number], scratch.
    Returns: position of the first cell, -1 where there is none.
    """
    first = begin
    while first < number and mask[first] < 0:
        first += 1
    if first == number:
        return -1
    axes = extent.size
    wanted = mask[first]
    whole = first == 0
    for k in range(number):
        whole = whole and mask[k] == wanted
    rest = first
    for axis in range(axes - 1, -1, -1):
        if whole or extent[axis] == 1:
            box[LOCAL, axis], box[LOCAL, axes + axis] = 0, extent[axis]
            continue
        box[LOCAL, axis] = rest % extent[axis]
        box[LOCAL, axes + axis] = box[LOCAL, axis] + 1
        rest //= extent[axis]
    for axis in range(axes - 1, -1, -1):
        low = box[LOCAL, axis]
        while box[LOCAL, axes + axis] < extent[axis]:
            high = box[LOCAL, axes + axis]
            box[LOCAL, axis] = high
            box[LOCAL, axes + axis] = high + 1
            alike = True
            for k in range(_list_local(extent, box, cells)):
                alike = alike and mask[cells[k]] == wanted
            if not alike:
                box[LOCAL, axes + axis] = high
                break
        box[LOCAL, axis] = low
    for k in range(_list_local(extent, box, cells)):
        mask[cells[k]] = -1
    return first


@kernel_in_place
def _list_local(extent: Ints, box: Small, cells: Ints) -> int:
    """Write the LOCAL box's cells to `cells`, counted row by row within `extent`; returns how many there are."""
    axes = extent.size
    cells[0] = 0
    found = stride = 1
    for axis in range(axes - 1, -1, -1):
        low, width = box[LOCAL, axis], box[LOCAL, axes + axis] - box[LOCAL, axis]
        if low > 0:
            for k in range(found):
                cells[k] += low * stride
        for j in range(1, width):
            for k in range(found):
                cells[j * found + k] = cells[k] + j * stride
        found *= width
        stride *= extent[axis]
    return found


@kernel_in_place
def _globally(box: Small, around: Small, row: int) -> None:
    """The taken box, counted from the tensor's first cell."""
    axes = box.shape[1] // 2
    for axis in range(axes):
        box[GLOBAL, axis] = around[row, axis] + box[LOCAL, axis]
        box[GLOBAL, axes + axis] = around[row, axis] + box[LOCAL, axes + axis]


@kernel_in_place
def _bring(
    tiles: Tiles,
    ways: Ways,
    board: Board,
    trace: Trace,
    scratch: Scratch,
    room: int,
    outermost: int,
    now: int,
    k: int,
    until: int,
) -> int:
    """Bring what an operand lacks in its memory, in few boxes."""
    mask, begin = scratch.mask, scratch.begin
    row, operand = tiles.tile[now, ROW] + k, tiles.tile[now, OPERANDS] + k
    memory = tiles.homes[tiles.tile[now, HOMES] + k]
    number, slot = tiles.operand[operand, 0], tiles.operand[operand, 1]
    found = begin[k + 1] - begin[k]
    axes = scratch.extent.size
    for axis in range(axes):
        scratch.extent[axis] = tiles.touch[row, axes + axis] - tiles.touch[row, axis]
    memories = ways.between.shape[0]
    chunk = chunk_bits = across = 0
    for axis in range(axes):
        if across == 0 and scratch.extent[axis] > 1:
            across = found // scratch.extent[axis]
    for i in range(found):
        mask[i] = -1
        if across > 0 and i % across == 0 and chunk_bits >= CHUNK_BITS:
            chunk, chunk_bits = chunk + 1, 0
        part = scratch.cells[begin[k] + i]
        chunk_bits += board.piece[part, PIECE_BITS]
        if board.place[scratch.places[begin[k] + i], HOLDING] < 0:
            source = find_source(board.piece, board.place, ways.between, part, memory, slot, outermost)
            if source < 0:
                scratch.fault[FAULT_TENSOR] = number
                return ASK_WAYS if source == -2 else NOT_MADE
            mask[i] = source + memories * chunk
    first = 0
    while True:
        while first < found and mask[first] < 0:
            first += 1
        if first == found:
            return DONE
        source = int(mask[first] % memories)
        take_box(mask, found, first, scratch.extent, scratch.box, scratch.moved)
        _globally(scratch.box, tiles.touch, row)
        ended = move(ways, board, trace, scratch, room, number, source, memory, slot, until)
        if ended != DONE:
            return ended


# -- running -----------------------------------------------------------------------------------------------------------


@kernel_in_place
def _run(tiles: Tiles, board: Board, trace: Trace, scratch: Scratch, room: int, now: int, ready: int) -> int:
    """The task of a tile, as soon as its core, its rates and its room allow."""
    place, holding, line, step, event = board.place, board.holding, board.line, board.step, trace.event
    demand, asked, want, begin, mask = scratch.demand, scratch.asked, scratch.want, scratch.begin, scratch.mask
    row, inputs, recipe = tiles.tile[now, ROW], tiles.tile[now, INPUTS], tiles.tile[now, RECIPE]
    memory = tiles.homes[tiles.tile[now, HOMES] + inputs]
    number = tiles.operand[tiles.tile[now, OPERANDS] + inputs, 0]
    duration = tiles.recipe[recipe, DURATION]
    asking = 0
    for w in range(tiles.recipe[recipe, WORK], tiles.recipe[recipe + 1, WORK]):
        asking = _ask(demand, asked, asking, tiles.work[w, 0], tiles.work[w, 1])
    found = begin[inputs + 1] - begin[inputs]
    bits = 0
    for i in range(found):
        mask[i] = -1
        if place[scratch.places[begin[inputs] + i], HOLDING] < 0:
            mask[i] = 0
            bits += board.piece[scratch.cells[begin[inputs] + i], PIECE_BITS]
    asking = _ask(demand, asked, asking, memory, bits)
    start = ready
    for k in range(asking):
        fits = earliest_room(line, step, room + asked[k], start, demand[asked[k]])
        if fits < 0:
            scratch.fault[FAULT_MEMORY] = asked[k]
            scratch.fault[NEEDS] = finally_used(line, step, room + asked[k]) + demand[asked[k]]
            scratch.fault[HAS] = line[room + asked[k], CAPACITY]
            return FULL
        start = fits
    wanted = 1
    want[0, 0], want[0, 1] = tiles.recipe[recipe, CORE], 1
    for used in range(tiles.recipe[recipe, BOOKED], tiles.recipe[recipe + 1, BOOKED]):
        want[wanted, 0], want[wanted, 1] = tiles.line[used, 0], tiles.line[used, 1]
        wanted += 1
    start = window(line, step, want, wanted, start, duration)
    end = start + duration
    made = trace.counts[EVENTS]
    reads, uses = trace.counts[READ_ROWS], trace.counts[USE_ROWS]
    if (
        made + 1 >= event.shape[0]
        or reads + begin[inputs] > trace.read.shape[0]
        or uses + wanted + asking > trace.use.shape[0]
    ):
        return ASK_SPACE
    for k in range(wanted):
        add(line, step, want[k, 0], start, end, want[k, 1])
        trace.use[uses, 0], trace.use[uses, 1] = want[k, 0], want[k, 1]
        uses += 1
    for k in range(asking):
        trace.use[uses, 0], trace.use[uses, 1] = room + asked[k], demand[asked[k]]
        demand[asked[k]] = 0
        uses += 1
    for w in range(tiles.recipe[recipe, WORK], tiles.recipe[recipe + 1, WORK]):
        add(line, step, room + tiles.work[w, 0], start, end, tiles.work[w, 1])
    for k in range(inputs):
        board.counts[STAMP] += 1
        stamp = board.counts[STAMP]
        for i in range(begin[k], begin[k + 1]):
            held = place[scratch.places[i], HOLDING]
            if holding[held, MARK] != stamp:
                holding[held, MARK] = stamp
                holding[held, LAST] = max(holding[held, LAST], end)
                trace.read[reads, 0], trace.read[reads, 1] = held, k
                reads += 1
    event[made, TILE], event[made, WAY] = now, -1
    event[made, FROM], event[made, UNTIL] = start, end
    event[made, MOVED] = event[made, AT_RATE] = 0
    event[made, MADE] = board.counts[HOLDINGS]
    trace.pj[made] = 0.0
    trace.counts[EVENTS], trace.counts[READ_ROWS], trace.counts[USE_ROWS] = made + 1, reads, uses
    event[made + 1, READ], event[made + 1, USE] = reads, uses
    axes = scratch.extent.size
    for axis in range(axes):
        scratch.extent[axis] = tiles.touch[row + inputs, axes + axis] - tiles.touch[row + inputs, axis]
    first = 0
    while True:
        first = take_box(mask, found, first, scratch.extent, scratch.box, scratch.moved)
        if first < 0:
            return DONE
        _globally(scratch.box, tiles.touch, row + inputs)
        if hold(board, room, memory, number, scratch.box, GLOBAL, start, end, made) < 0:
            return ASK_SPACE
