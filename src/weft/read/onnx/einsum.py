"""Einsum: any equation in which no operand repeats an index, as matrix products with loops named by what they are.

An index of both operands and the result is a batch (B), of the first and the result M, of the second and the result N,
of what is summed K (further ones B2, M2, ...). More than two operands are multiplied from left to right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from weft.errors import ModelError
from weft.model.workload import Axis, Note, Op, Tensor, View
from weft.read.dtypes import dtype_bits
from weft.read.onnx.elementwise import binary_op
from weft.read.onnx.graph import Emitted, Graph, Node, axis, letters, operand
from weft.read.onnx.pool import reduced_letter

_ELLIPSIS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""Letters for the axes of an ellipsis; an equation's own capitals come first out of the way."""


@dataclass(frozen=True, slots=True)
class _Term:
    """A tensor and the index of each of its axes; an axis of size 1 under a larger index is broadcast."""

    tensor: str
    indices: str
    shape: tuple[int, ...]


def einsum(graph: Graph, node: Node) -> Emitted:
    """Einsum as a chain of products, a sum, or a transpose."""
    at = graph.at(node)
    shapes = [graph.shape(name) for name in node.inputs]
    sides, result = parsed(node.text("equation", ""), [len(shape) for shape in shapes], at)
    terms = [_Term(*item) for item in zip(node.inputs, sides, shapes, strict=True)]
    sizes = _sizes(terms, at)
    output = node.outputs[0]
    if len(terms) == 1:
        return _alone(node, terms[0], result, output)
    ops: list[Op] = []
    tensors: list[Tensor] = []
    dtype = graph.infos[output].dtype
    left = terms[0]
    for position, right in enumerate(terms[1:], start=1):
        last = position == len(terms) - 1
        later = result + "".join(term.indices for term in terms[position + 1 :])
        both = dict.fromkeys(left.indices + right.indices)
        kept = result if last else "".join(index for index in both if index in later)
        name = node.name if last else f"{node.name}.{position - 1}"
        target = _Term(output if last else f"{output}.{position - 1}", kept, tuple(sizes[index] for index in kept))
        if not last:
            tensors.append(Tensor(target.tensor, target.shape, dtype_bits(dtype), "intermediate", dtype))
        ops.append(_product(graph, node, name, left, right, target, sizes))
        left = target
    notes = []
    if len(ops) > 1:
        names = ", ".join(op.name for op in ops)
        notes.append(Note(node.name, f"Einsum of {len(terms)} operands multiplied from left to right: {names}"))
    return Emitted(tuple(ops), tensors=tuple(tensors), notes=tuple(notes))


def parsed(equation: str, ranks: Sequence[int], at: str) -> tuple[tuple[str, ...], str]:
    """(indices of each operand, indices of the result), an ellipsis written out.

    >>> parsed("bij, bjk", (3, 3), "")
    (('bij', 'bjk'), 'ik')
    >>> parsed("...ij->...j", (4,), "")
    (('ABij',), 'ABj')

    Errors: ModelError for an equation that does not fit the operands, or repeats an index in one of them.
    """
    text = equation.replace(" ", "")
    before, arrow, after = text.partition("->")
    sides = before.split(",")
    letters_of = [side.replace("...", "") for side in sides]
    spare = [letter for letter in _ELLIPSIS if letter not in text]
    deepest = max((rank - len(own) for rank, own in zip(ranks, letters_of, strict=False)), default=0)
    fits = len(sides) == len(ranks) and all(
        rank == len(own) if "..." not in side else rank >= len(own)
        for side, own, rank in zip(sides, letters_of, ranks, strict=False)
    )
    if not fits or not all(own.isalpha() or not own for own in [*letters_of, after.replace("...", "")]):
        raise ModelError(
            f"the equation of Einsum must have an index for each axis of its {len(ranks)} operand(s), not '{equation}'",
            where=at,
            remedy="export the network again",
        )
    hidden = "".join(spare[:deepest])
    whole = tuple(
        side.replace("...", hidden[deepest - (rank - len(own)) :]) if "..." in side else side
        for side, own, rank in zip(sides, letters_of, ranks, strict=True)
    )
    if arrow:
        result = after.replace("...", hidden)
    else:
        once = sorted(letter for letter in set("".join(letters_of)) if "".join(letters_of).count(letter) == 1)
        result = ("" if "..." not in text else hidden) + "".join(once)
    for indices in (*whole, result):
        if len(set(indices)) < len(indices):
            raise ModelError(
                f"an operand of Einsum must not repeat an index, and the equation is '{equation}'",
                where=at,
                remedy="take the diagonal before the network, or write it as Mul and ReduceSum",
            )
    if not set(result) <= set("".join(whole)):
        raise ModelError(
            f"the result of Einsum must have indices of its operands only, not '{result}'",
            where=at,
            remedy="export the network again",
        )
    return whole, result


def _sizes(terms: Sequence[_Term], at: str) -> dict[str, int]:
    """Size of each index: the largest, where others are 1."""
    sizes: dict[str, int] = {}
    for term in terms:
        for index, size in zip(term.indices, term.shape, strict=True):
            known = sizes.setdefault(index, size)
            if known != size and 1 not in (known, size):
                raise ModelError(
                    f"index '{index}' of Einsum must have one size, not {known} and {size}",
                    where=at,
                    remedy="export the network again",
                )
            sizes[index] = max(known, size)
    return sizes


def _product(
    graph: Graph, node: Node, name: str, left: _Term, right: _Term, target: _Term, sizes: Mapping[str, int]
) -> Op:
    """One product of two tensors; elementwise where nothing is summed and one operand has every index."""
    own = [{i for i, n in zip(t.indices, t.shape, strict=True) if n == sizes[i]} for t in (left, right)]
    order = [*target.indices, *(i for i in dict.fromkeys(left.indices + right.indices) if i not in target.indices)]
    loops: dict[str, str] = {}
    count: dict[str, int] = {}
    for index in order:
        inside = (index in own[0], index in own[1], index in target.indices)
        letter = {(True, True, True): "B", (True, False, True): "M", (False, True, True): "N"}.get(inside, "K")
        count[letter] = count.get(letter, 0) + 1
        loops[index] = letter if count[letter] == 1 else f"{letter}{count[letter]}"
    one_sided = "K" not in count and ("M" not in count or "N" not in count)
    if one_sided and all(target.indices.endswith(term.indices) for term in (left, right)):
        read = tuple((term.tensor, term.shape, graph.is_constant(term.tensor)) for term in (left, right))
        return binary_op(name, node, "Mul", read, target.tensor, target.shape)
    dims = {loops[index]: sizes[index] for index in order}
    for letter in "MNK":
        dims.setdefault(letter, 1)
    names = sorted(dims, key=lambda dim: ("BMNK".index(dim[0]), int(dim[1:] or 1)))

    def seen(term: _Term) -> tuple[Axis, ...]:
        return tuple(
            axis(size, loops[index]) if size == sizes[index] else axis(size)
            for index, size in zip(term.indices, term.shape, strict=True)
        )

    return Op(
        name,
        "matmul",
        node.op_type,
        tuple((dim, dims[dim]) for dim in names),
        (
            operand("A", "I", left.tensor, seen(left)),
            operand("B", "W", right.tensor, seen(right)),
            operand("O", "O", target.tensor, seen(target)),
        ),
        nodes=(node.name,),
    )


def _alone(node: Node, term: _Term, result: str, output: str) -> Emitted:
    """One operand: a transpose where every index stays, else a sum."""
    if len(result) == len(term.indices):
        order = tuple(term.indices.index(index) for index in result)
        view = View(output, term.tensor, "transpose", node.name, order)
        return Emitted(views=(view,), notes=(Note(node.name, "Einsum read as a view: no data moves"),))
    names = dict(zip(term.indices, letters(len(term.indices)), strict=True))
    loops = {index: name if index in result else reduced_letter(name) for index, name in names.items()}
    sizes = dict(zip(term.indices, term.shape, strict=True))
    order_of = [*(i for i in term.indices if i in result), *(i for i in term.indices if i not in result)]
    op = Op(
        node.name,
        "reduce",
        node.op_type,
        tuple((loops[index], sizes[index]) for index in order_of),
        (
            operand("I", "I", term.tensor, [axis(sizes[index], loops[index]) for index in term.indices]),
            operand("O", "O", output, [axis(sizes[index], loops[index]) for index in result]),
        ),
        nodes=(node.name,),
    )
    return Emitted((op,))
