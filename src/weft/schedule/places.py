"""What is held where, on arrays.

A *holding* is a box of pieces in one memory. For each piece and each memory in which some tile touches it (and the
outermost one) there is a *place*: who reads it there next, and which holding has it now. The places of one piece are
numbered one after another, the outermost memory's first.

A holding may go once no piece of it is read there later, unless it is the last copy of something that is read
elsewhere or is an output of the network; `BLOCKED` counts the pieces that keep it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from weft._jit import kernel_in_place
from weft.schedule.lines import add

Ints = np.ndarray[Any, np.dtype[np.int64]]
Small = np.ndarray[Any, np.dtype[np.int32]]
Floats = np.ndarray[Any, np.dtype[np.float64]]

NEVER = 1 << 30
"""A position that no tile has."""

FIRST, GIVEN, KEPT, SHAPE = range(4)
"""Columns of `tensor` [tensors, 3 + 2 axes]: first piece; lies in the outermost memory from the start; has to end
there; then its grid's shape; then the pieces from one cell to the next along each axis."""

PIECE_BITS, COPIES, READS, PLACES = range(4)
"""Columns of `piece` [pieces + 1, 4]: its size, holdings that have it, reads to come, first of its places."""

PLACE_MEMORY, DUE, END, HOLDING, LAST_HOLDING, PLACE_MARK = range(6)
"""Columns of `place` [places, 6]: memory; rows of `read_at` that are yet to come; which holding has it, and had it last
(-1: none); scratch."""

ROW, OPERANDS, INPUTS, HOMES, RECIPE = range(5)
"""Columns of `Tiles.tile`."""

(
    MEMORY,
    TENSOR,
    WRITER,
    BITS,
    START,
    VALID,
    LAST,
    BLOCKED,
    OPEN,
    IDLE,
    BEFORE,
    AFTER,
    NEXT_USE,
    NEEDED,
    WANTED,
    MARK,
) = range(16)
"""Columns of `holding` [holdings, 16]: memory; tensor; event that makes it (-1: there from the start); bits; start;
when its data is there; when its last reader so far ends; pieces that keep it; whether it is held; whether it is in the
list of those that may go; neighbours in its memory's list; next use when last looked up; scratch."""

HOLDINGS, WAITS, STAMP, IDLES = range(4)
"""What `Board.counts` counts: holdings, rows of `wait`, marks given, holdings in `idle`."""


class Tiles(NamedTuple):
    """What is placed.

    Args:
        order:   [tiles]: which tile comes when.
        tile:    [tiles, 5]: first row in `touch` (one per operand, the output last); first row in `operand`; how many
                 inputs; first row in `homes`; recipe.
        touch:   [touches, 2 axes]: first cells, then those after the last.
        operand: [operands, 2]: tensor, slot.       homes: [operands of all recipes]: memory.
        recipe:  [recipes + 1, 4], line, work: see `kernels.py`.
    """

    order: Ints
    tile: Ints
    touch: Small
    operand: Ints
    homes: Ints
    recipe: Ints
    line: Ints
    work: Ints


class Board(NamedTuple):
    """What is held, and what is needed to tell.

    Args:
        tensor, piece, place: see above.     read_at: [reads]: positions of tiles in their order.
        gone:    [places]: when the holding that was there last has left.
        holding: see above.   box: [holdings, 2 axes]: first cells, then those after the last.
        newest:  [memories]: of what is held.     idle: [holdings]: those that may be free to go.
        wait:    [., 2]: (event, holding that has to leave before it starts).
        counts:  see above.   cells: scratch for the pieces of a box.
        line, step: time lines (`lines.py`).
    """

    tensor: Ints
    piece: Ints
    place: Small
    read_at: Small
    gone: Ints
    holding: Ints
    box: Small
    newest: Ints
    idle: Ints
    wait: Small
    counts: Ints
    cells: Ints
    line: Ints
    step: Ints


@kernel_in_place
def list_cells(tensor: Ints, number: int, box: Small, row: int, out: Ints, at: int) -> int:
    """Write the pieces of a tensor's box to `out` from `at` on, row by row; returns how many there are."""
    axes = box.shape[1] // 2
    strides = SHAPE + axes
    found = 1
    first = tensor[number, FIRST]
    for axis in range(axes):
        if box[row, axes + axis] <= box[row, axis]:
            return 0
        first += box[row, axis] * tensor[number, strides + axis]
    out[at] = first
    for axis in range(axes - 1, -1, -1):
        extent = box[row, axes + axis] - box[row, axis]
        if extent > 1:
            stride = tensor[number, strides + axis]
            for j in range(1, extent):
                for i in range(found):
                    out[at + j * found + i] = out[at + i] + j * stride
            found *= extent
    return found


@kernel_in_place
def place_of(piece: Ints, place: Small, part: int, memory: int) -> int:
    """The place of a piece in a memory in which some tile touches it."""
    at = piece[part, PLACES]
    while place[at, PLACE_MEMORY] != memory:
        at += 1
    return int(at)


@kernel_in_place
def _tile(tile: Ints, number: int) -> tuple[int, int, int, int]:
    return int(tile[number, ROW]), int(tile[number, OPERANDS]), int(tile[number, INPUTS]), int(tile[number, HOMES])


@kernel_in_place
def file_places(
    tiles: Tiles, tensor: Ints, piece: Ints, link: Small, place: Small, read_at: Small, cells: Ints, outermost: int
) -> int:
    """All places, and which positions read them.

    Args:    piece, place, read_at: out.     link: [as many as places at most, 2], cells: scratch.
    Returns: how many places there are.
    """
    order, tile, touch, operand, homes = tiles.order, tiles.tile, tiles.touch, tiles.operand, tiles.homes
    pieces = piece.shape[0] - 1
    for part in range(pieces):
        link[part, 0], link[part, 1] = -1, outermost
        piece[part, PLACES] = 1
    count = pieces
    for position in range(order.size):
        row, first, inputs, home = _tile(tile, order[position])
        for k in range(inputs + 1):
            memory = homes[home + k]
            for i in range(list_cells(tensor, operand[first + k, 0], touch, row + k, cells, 0)):
                at = cells[i]
                while link[at, 1] != memory:
                    if link[at, 0] < 0:
                        link[at, 0] = count
                        link[count, 0], link[count, 1] = -1, memory
                        piece[cells[i], PLACES] += 1
                        count += 1
                    at = link[at, 0]
    count = 0
    for part in range(pieces):
        at = part
        piece[part, PLACES] = count
        while at >= 0:
            place[count, PLACE_MEMORY] = link[at, 1]
            place[count, DUE] = 0
            place[count, HOLDING] = place[count, LAST_HOLDING] = place[count, PLACE_MARK] = -1
            count += 1
            at = link[at, 0]
    piece[pieces, PLACES] = count
    for position in range(order.size):
        row, first, inputs, home = _tile(tile, order[position])
        for k in range(inputs):
            for i in range(list_cells(tensor, operand[first + k, 0], touch, row + k, cells, 0)):
                place[place_of(piece, place, cells[i], homes[home + k]), DUE] += 1
                piece[cells[i], READS] += 1
    total = 0
    for at in range(count):
        reads = place[at, DUE]
        place[at, DUE] = place[at, END] = total
        total += reads
    for position in range(order.size):
        row, first, inputs, home = _tile(tile, order[position])
        for k in range(inputs):
            for i in range(list_cells(tensor, operand[first + k, 0], touch, row + k, cells, 0)):
                at = place_of(piece, place, cells[i], homes[home + k])
                read_at[place[at, END]] = position
                place[at, END] += 1
    return count


@kernel_in_place
def _blocks(piece: Ints, place: Small, part: int, at: int, kept: int) -> bool:
    """Whether a piece keeps the holding that has it at a place."""
    if place[at, DUE] < place[at, END]:
        return True
    return piece[part, COPIES] == 1 and (piece[part, READS] > 0 or kept != 0)


@kernel_in_place
def _other_holder(piece: Ints, place: Small, part: int, at: int) -> int:
    """Another place of a piece where it is held."""
    found = piece[part, PLACES]
    while found == at or place[found, HOLDING] < 0:
        found += 1
    return int(found)


@kernel_in_place
def loosen(holding: Ints, idle: Ints, count: Ints, number: int) -> None:
    """One piece less keeps a holding; with none left it may be free to go."""
    holding[number, BLOCKED] -= 1
    if holding[number, BLOCKED] == 0:
        _file_idle(holding, idle, count, number)


@kernel_in_place
def _file_idle(holding: Ints, idle: Ints, count: Ints, number: int) -> None:
    if holding[number, IDLE] == 0:
        holding[number, IDLE] = 1
        idle[count[IDLES]] = number
        count[IDLES] += 1


@kernel_in_place
def hold(
    board: Board, room: int, memory: int, number: int, box: Small, row: int, start: int, valid: int, writer: int
) -> int:
    """A new holding of a tensor's box; notes which earlier ones have to leave first.

    Args:    room: line of the first memory.   box, row: the cells.
    Returns: its number; -1 where the arrays are too short.
    """
    tensor, piece, place, holding = board.tensor, board.piece, board.place, board.holding
    count, wait, cells = board.counts, board.wait, board.cells
    made = count[HOLDINGS]
    if made >= holding.shape[0]:
        return -1
    count[HOLDINGS] += 1
    for axis in range(box.shape[1]):
        board.box[made, axis] = box[row, axis]
    holding[made, MEMORY] = memory
    holding[made, TENSOR] = number
    holding[made, WRITER] = writer
    holding[made, START] = start
    holding[made, VALID] = holding[made, LAST] = valid
    holding[made, OPEN] = 1
    holding[made, IDLE] = 0
    holding[made, NEXT_USE] = holding[made, NEEDED] = holding[made, WANTED] = holding[made, MARK] = -1
    newest = board.newest[memory]
    holding[made, BEFORE], holding[made, AFTER] = newest, -1
    if newest >= 0:
        holding[newest, AFTER] = made
    board.newest[memory] = made
    count[STAMP] += 1
    stamp = count[STAMP]
    kept = tensor[number, KEPT]
    bits = blocked = 0
    for k in range(list_cells(tensor, number, box, row, cells, 0)):
        part = cells[k]
        at = place_of(piece, place, part, memory)
        bits += piece[part, PIECE_BITS]
        last = place[at, LAST_HOLDING]
        if last >= 0 and holding[last, MARK] != stamp:
            holding[last, MARK] = stamp
            if count[WAITS] >= wait.shape[0]:
                return -1
            wait[count[WAITS], 0] = writer
            wait[count[WAITS], 1] = last
            count[WAITS] += 1
        if piece[part, COPIES] == 1:
            other = _other_holder(piece, place, part, at)
            if place[other, DUE] >= place[other, END] and (piece[part, READS] > 0 or kept != 0):
                loosen(holding, board.idle, count, place[other, HOLDING])  # it is no longer the last copy
        piece[part, COPIES] += 1
        place[at, HOLDING] = place[at, LAST_HOLDING] = made
        if _blocks(piece, place, part, at, kept):
            blocked += 1
    holding[made, BITS] = bits
    holding[made, BLOCKED] = blocked
    add(board.line, board.step, room + memory, start, -1, bits)
    if blocked == 0:
        _file_idle(holding, board.idle, count, made)
    return int(made)


@kernel_in_place
def close(board: Board, room: int, number: int) -> None:
    """Let go of a holding: its room is free when its last reader so far has ended."""
    piece, place, holding, cells = board.piece, board.place, board.holding, board.cells
    memory, named = holding[number, MEMORY], holding[number, TENSOR]
    kept = board.tensor[named, KEPT]
    holding[number, OPEN] = 0
    before, after = holding[number, BEFORE], holding[number, AFTER]
    if before >= 0:
        holding[before, AFTER] = after
    if after >= 0:
        holding[after, BEFORE] = before
    else:
        board.newest[memory] = before
    last = holding[number, LAST]
    add(board.line, board.step, room + memory, last, -1, -holding[number, BITS])
    for k in range(list_cells(board.tensor, named, board.box, number, cells, 0)):
        part = cells[k]
        at = place_of(piece, place, part, memory)
        place[at, HOLDING] = -1
        board.gone[at] = last
        piece[part, COPIES] -= 1
        if piece[part, COPIES] == 1:
            other = _other_holder(piece, place, part, at)
            if place[other, DUE] >= place[other, END] and (piece[part, READS] > 0 or kept != 0):
                holding[place[other, HOLDING], BLOCKED] += 1  # it is the last copy now


@kernel_in_place
def close_idle(board: Board, room: int, outermost: int) -> None:
    """Let go of every holding that nothing keeps."""
    holding, count = board.holding, board.counts
    while count[IDLES] > 0:
        count[IDLES] -= 1
        number = board.idle[count[IDLES]]
        holding[number, IDLE] = 0
        stays = holding[number, MEMORY] == outermost and (
            holding[number, WRITER] < 0 or board.tensor[holding[number, TENSOR], KEPT] != 0
        )
        if holding[number, OPEN] != 0 and holding[number, BLOCKED] == 0 and not stays:
            close(board, room, number)


@kernel_in_place
def read_once(piece: Ints, place: Small, holding: Ints, idle: Ints, count: Ints, part: int, at: int, kept: int) -> None:
    """One read of a piece at a place is done."""
    place[at, DUE] += 1
    piece[part, READS] -= 1
    if not _blocks(piece, place, part, at, kept):
        loosen(holding, idle, count, place[at, HOLDING])


@kernel_in_place
def next_use(board: Board, number: int) -> int:
    """Position of the next tile that reads a holding in its memory; elsewhere, where none reads it there."""
    piece, place, cells = board.piece, board.place, board.cells
    memory = board.holding[number, MEMORY]
    here = anywhere = NEVER
    for k in range(list_cells(board.tensor, board.holding[number, TENSOR], board.box, number, cells, 0)):
        for at in range(piece[cells[k], PLACES], piece[cells[k] + 1, PLACES]):
            due = place[at, DUE]
            if due < place[at, END]:
                position = board.read_at[due]
                anywhere = min(anywhere, position)
                if place[at, PLACE_MEMORY] == memory:
                    here = min(here, position)
    return here if here < NEVER else anywhere
