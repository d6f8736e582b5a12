"""Views and moves of aten as ONNX nodes: from view and permute to pad, roll and indexing."""

from __future__ import annotations

import math
from collections.abc import Sequence

from weft.read.torch.net import Build, Net
from weft.read.torch.program import Call, Meta, Ref


def reshape(net: Net, call: Call) -> None:
    """view, reshape, flatten, squeeze, unsqueeze, ...: the output's shape says it all."""
    data = net.tensor(call)
    shape = net.shape(net.output(call))
    if shape == net.shape(data):
        net.emit(call, "Identity", [data])
    else:
        net.emit(call, "Reshape", [data, net.whole(call, "shape", shape)])


def as_strided(net: Net, call: Call) -> None:
    """Another shape over the same memory, where that is a reshape: axes of one set aside, sizes and strides agree."""
    meta = net.meta(net.tensor(call))
    wanted = tuple(zip(net.ints(call, "size"), net.ints(call, "stride"), strict=True))
    given = tuple(zip(meta.shape, meta.strides, strict=True))
    if [pair for pair in wanted if pair[0] > 1] != [pair for pair in given if pair[0] > 1] or (
        net.integer(call, "storage_offset", 0)
    ):
        raise net.refuse(
            call, "a view by strides must show its tensor's elements in their order", "use reshape, permute or unfold"
        )
    reshape(net, call)


def same(argument: str = "self") -> Build:
    """A builder of what leaves its values alone: clone, contiguous, detach, alias."""

    def build(net: Net, call: Call) -> None:
        net.emit(call, "Identity", [net.tensor(call, argument)])

    return build


def permute(net: Net, call: Call) -> None:
    """permute, transpose, t: axes in another order."""
    data = net.tensor(call)
    rank = len(net.shape(data))
    order = list(range(rank))
    if "dims" in call.arguments:
        order = list(net.axes(call, "dims", rank))
    elif rank > 1:
        names = ("dim0", "dim1") if "dim0" in call.arguments else ("axis0", "axis1")
        one, other = (net.axis(call, name, rank, default) for name, default in zip(names, (0, 1), strict=True))
        order[one], order[other] = order[other], order[one]
    net.emit(call, "Transpose", [data], perm=order)


def expand(net: Net, call: Call) -> None:
    """expand, expand_as, broadcast_to: axes of 1 repeated."""
    shape = net.shape(net.output(call))
    net.emit(call, "Expand", [net.tensor(call), net.whole(call, "shape", shape)])


def repeat(net: Net, call: Call) -> None:
    """Whole copies one after another along each axis: an axis of 1 before each, expanded, and both made one."""
    data = net.tensor(call)
    counts = net.ints(call, "repeats" if "repeats" in call.arguments else "dims")
    shape = (1,) * (len(counts) - len(net.shape(data))) + net.shape(data)
    counts = (1,) * (len(shape) - len(counts)) + counts
    _repeated(net, call, data, [(1, size) for size in shape], list(zip(counts, shape, strict=True)))


def repeat_interleave(net: Net, call: Call) -> None:
    """Each element repeated in place along one axis, the same number of times."""
    data = net.tensor(call)
    shape = net.shape(data)
    axis, times = net.axis(call, "dim", len(shape)), net.integer(call, "repeats")
    apart = [(size, 1) for size in shape]
    wide = [(size, times if i == axis else 1) for i, size in enumerate(shape)]
    _repeated(net, call, data, apart, wide)


def _repeated(
    net: Net, call: Call, data: str, apart: Sequence[tuple[int, int]], wide: Sequence[tuple[int, int]]
) -> None:
    kept = [(a, w) for pair, wider in zip(apart, wide, strict=True) for a, w in zip(pair, wider, strict=True) if w > 1]
    before, after = tuple(a for a, _ in kept) or (1,), tuple(w for _, w in kept) or (1,)
    source = net.reshaped(call, data, before, "apart")
    target = net.whole(call, "wide", after)
    net.shaped(call, "Expand", [source, target], after)


def concat(net: Net, call: Call) -> None:
    """Tensors one after another along an axis; empty ones count as none."""
    names = [name for name in net.tensors(call, "tensors") if math.prod(net.shape(name))]
    rank = len(net.shape(net.output(call)))
    net.emit(call, "Concat", names, axis=net.axis(call, "dim", rank, 0))


def stack(net: Net, call: Call) -> None:
    """Tensors one after another along an axis of their own."""
    out = net.output(call)
    axis = net.axis(call, "dim", len(net.shape(out)), 0)
    parts = []
    for i, name in enumerate(net.tensors(call, "tensors")):
        shape = net.shape(name)
        parts.append(net.reshaped(call, name, (*shape[:axis], 1, *shape[axis:]), f"part{i}"))
    net.emit(call, "Concat", parts, axis=axis)


def split(net: Net, call: Call) -> None:
    """split, chunk, unbind: pieces along an axis, as long as the outputs say."""
    data = net.tensor(call)
    shape = net.shape(data)
    axis = net.axis(call, "dim", len(shape), 0)
    single = "unbind" in call.op
    lengths = [1 if single else net.shape(name)[axis] for name in call.outputs]
    outputs = list(call.outputs)
    if single:
        piece = Meta((*shape[:axis], 1, *shape[axis + 1 :]), net.dtype(data))
        outputs = [net.declare(call, f"piece{i}", piece) for i in range(len(call.outputs))]
    lengths_name = net.whole(call, "lengths", lengths)
    net.emit_all(call, "Split", [data, lengths_name], outputs, axis=axis)
    if single:
        target = net.whole(call, "shape", (*shape[:axis], *shape[axis + 1 :]))
        for piece_name, name in zip(outputs, call.outputs, strict=True):
            net.view(call, "Reshape", [piece_name, target], name)


def slice_(net: Net, call: Call) -> None:
    """slice and narrow: a range along an axis."""
    data = net.tensor(call)
    rank = len(net.shape(data))
    axis = net.axis(call, "dim", rank, 0)
    size = net.shape(data)[axis]
    start = net.integer(call, "start", 0)
    end = start + net.integer(call, "length") if "length" in call.arguments else net.integer(call, "end", size)
    start = start + size if start < 0 else start
    if "length" in call.arguments:
        end = start + net.integer(call, "length")
    _slice(net, call, data, axis, (start, end, net.integer(call, "step", 1)))


def _slice(net: Net, call: Call, data: str, axis: int, span: tuple[int, int, int]) -> None:
    names = [net.whole(call, part, [n]) for part, n in zip(("start", "end", "step"), span, strict=True)]
    net.emit(call, "Slice", [data, names[0], names[1], net.whole(call, "axis", [axis]), names[2]])


def scatter(net: Net, call: Call) -> None:
    """slice_scatter and select_scatter: a tensor with a range along an axis replaced, as pieces put together again."""
    data, source = net.tensor(call), net.tensor(call, "src")
    shape = net.shape(data)
    axis = net.axis(call, "dim", len(shape), 0)
    size = shape[axis]
    if "select" in call.op:
        start = net.integer(call, "index") % size
        end, step = start + 1, 1
        source = net.reshaped(call, source, (*shape[:axis], 1, *shape[axis + 1 :]), "slice")
    else:
        start, end, step = (net.integer(call, n, d) for n, d in (("start", 0), ("end", size), ("step", 1)))
        start, end = (max(0, min(size, n + size if n < 0 else n)) for n in (start, end))
    if step != 1:
        raise net.refuse(call, f"a range that is replaced must be whole, not of steps of {step}")
    parts = []
    for part, low, high in (("before", 0, start), ("", start, end), ("after", end, size)):
        if not part:
            parts.append(source)
        elif low < high:
            inputs = [net.whole(call, f"{part}.{i}", [n]) for i, n in enumerate((low, high, axis))]
            kept = (*shape[:axis], high - low, *shape[axis + 1 :])
            parts.append(net.part(call, part, "Slice", [data, *inputs], kept))
    net.emit(call, "Concat", parts, axis=axis)


def copy(net: Net, call: Call) -> None:
    """copy: another tensor in the shape and type of this one."""
    out = net.output(call)
    source = net.cast(call, net.tensor(call, "src"), net.dtype(out), "cast")
    net.emit(call, "Expand", [source, net.whole(call, "shape", net.shape(out))])


def select(net: Net, call: Call) -> None:
    """One position along an axis, which goes away."""
    data = net.tensor(call)
    shape = net.shape(data)
    axis = net.axis(call, "dim", len(shape))
    index = net.integer(call, "index")
    if not -shape[axis] <= index < shape[axis]:
        raise net.refuse(call, f"an index must be below {shape[axis]}, not {index}")
    net.emit(call, "Gather", [data, net.scalar(call, "index", index % shape[axis], "int64")], axis=axis)


def flip(net: Net, call: Call) -> None:
    """Axes read backwards."""
    data = net.tensor(call)
    axes = net.axes(call, "dims", len(net.shape(data)))
    count = len(axes)
    spans = [net.whole(call, part, [n] * count) for part, n in (("start", -1), ("end", -(1 << 62)), ("step", -1))]
    net.emit(call, "Slice", [data, spans[0], spans[1], net.whole(call, "axis", axes), spans[2]])


def roll(net: Net, call: Call) -> None:
    """A tensor shifted round along axes: its end put before its beginning, axis by axis."""
    data = net.tensor(call)
    shape = net.shape(data)
    shifts = net.ints(call, "shifts")
    axes = net.axes(call, "dims", len(shape)) if net.ints(call, "dims", ()) else ()
    if len(shifts) != len(axes):
        raise net.refuse(call, "a roll must have a shift for each axis", "give dims")
    steps = [(axis, shift % shape[axis]) for axis, shift in zip(axes, shifts, strict=True) if shift % shape[axis]]
    for n, (axis, shift) in enumerate(steps):
        halves = []
        for part, (start, end) in (("end", (shape[axis] - shift, shape[axis])), ("front", (0, shape[axis] - shift))):
            size = (*shape[:axis], end - start, *shape[axis + 1 :])
            inputs = [net.whole(call, f"{part}{n}.{i}", [v]) for i, v in enumerate((start, end, axis))]
            halves.append(net.part(call, f"{part}{n}", "Slice", [data, *inputs], size))
        last = n == len(steps) - 1
        data = (
            net.emit(call, "Concat", halves, axis=axis)
            if last
            else net.part(call, f"turn{n}", "Concat", halves, shape, axis=axis)
        )
    if not steps:
        net.emit(call, "Identity", [data])


def pad(net: Net, call: Call) -> None:
    """pad, constant_pad_nd, reflection_pad, replication_pad: pairs from the last axis inward."""
    data = net.tensor(call)
    rank = len(net.shape(data))
    pairs = net.ints(call, "pad" if "pad" in call.arguments else "padding")
    begins, ends = [0] * rank, [0] * rank
    for i, (begin, end) in enumerate(zip(pairs[::2], pairs[1::2], strict=True)):
        begins[rank - 1 - i], ends[rank - 1 - i] = begin, end
    named = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    mode = named.get(str(net.given(call, "mode")), "constant")
    mode = "reflect" if "reflection" in call.op else "edge" if "replication" in call.op else mode
    inputs = [data, net.whole(call, "pads", [*begins, *ends])]
    if mode == "constant":
        inputs.append(net.scalar(call, "value", net.number(call, "value", 0), net.dtype(data)))
    net.emit(call, "Pad", inputs, mode=mode)


def pixel_shuffle(net: Net, call: Call) -> None:
    """Channels to pixels."""
    net.emit(call, "DepthToSpace", [net.tensor(call)], blocksize=net.integer(call, "upscale_factor"), mode="CRD")


def pixel_unshuffle(net: Net, call: Call) -> None:
    """Pixels to channels, channel first: ONNX has the block first, so it is written as the views it is."""
    data = net.tensor(call)
    factor = net.integer(call, "downscale_factor")
    *front, rows, columns = net.shape(data)
    apart = (*front, rows // factor, factor, columns // factor, factor)
    n = len(front)
    _turned(net, call, data, apart, (*range(n), n + 1, n + 3, n, n + 2))


def channel_shuffle(net: Net, call: Call) -> None:
    """Channels of all groups interleaved."""
    data = net.tensor(call)
    batch, channels, *rest = net.shape(data)
    groups = net.integer(call, "groups")
    apart = (batch, groups, channels // groups, *rest)
    _turned(net, call, data, apart, (0, 2, 1, *range(3, len(apart))))


def _turned(net: Net, call: Call, data: str, apart: tuple[int, ...], order: tuple[int, ...]) -> None:
    """A reshape, axes in another order, and a reshape."""
    split_axes = net.reshaped(call, data, apart, "apart")
    net.shaped(call, "Transpose", [split_axes], tuple(apart[i] for i in order), perm=order)


def embedding(net: Net, call: Call) -> None:
    """Rows of a table."""
    net.emit(call, "Gather", [net.tensor(call, "weight"), net.tensor(call, "indices")], axis=0)


def index_select(net: Net, call: Call) -> None:
    """Positions along an axis, by a tensor of indices."""
    data = net.tensor(call)
    axis = net.axis(call, "dim", len(net.shape(data)))
    net.emit(call, "Gather", [data, net.tensor(call, "index")], axis=axis)


def index(net: Net, call: Call) -> None:
    """Positions along one axis, or along neighbouring axes at once, each by a tensor of whole numbers."""
    data, out = net.tensor(call), net.output(call)
    stated = net.given(call, "indices")
    items = stated if isinstance(stated, tuple) else ()
    found = [(i, item.name) for i, item in enumerate(items) if isinstance(item, Ref)]
    first, count, rank = found[0][0] if found else 0, len(found), len(net.shape(data))
    beside = [i for i, _ in found] == list(range(first, first + count))
    if not found or not beside or any(net.dtype(name) == "bool" for _, name in found):
        raise net.refuse(
            call, "a tensor must be indexed along neighbouring axes, by whole numbers", "index one axis after another"
        )
    if count == 1:
        net.emit(call, "Gather", [data, found[0][1]], axis=first)
        return
    wide = len(net.shape(out)) - (rank - count)
    shape = net.shape(out)[first : first + wide]
    columns = []
    for i, name in found:
        target = net.whole(call, f"wide{i}.shape", shape)
        each = net.part(call, f"wide{i}", "Expand", [net.cast(call, name, "int64", f"whole{i}"), target], shape)
        columns.append(net.reshaped(call, each, (*shape, 1), f"column{i}"))
    rows = net.part(call, "rows", "Concat", columns, (*shape, count), axis=wide)
    if not first:
        net.emit(call, "GatherND", [data, rows])
        return
    order = (*range(first, first + count), *range(first), *range(first + count, rank))
    front = net.part(call, "front", "Transpose", [data], tuple(net.shape(data)[i] for i in order), perm=order)
    whole = (*shape, *net.shape(out)[:first], *net.shape(out)[first + wide :])
    picked = net.part(call, "picked", "GatherND", [front, rows], whole)
    net.emit(
        call, "Transpose", [picked], perm=(*range(wide, wide + first), *range(wide), *range(wide + first, len(whole)))
    )


def difference(net: Net, call: Call) -> None:
    """Each element less the one before it along an axis, what is put in front and behind included."""
    data, out = net.tensor(call), net.output(call)
    axis = net.axis(call, "dim", len(net.shape(data)), -1)
    if net.integer(call, "n", 1) != 1:
        raise net.refuse(call, "a difference must be taken once", "call diff as often")
    parts = [net.tensor(call, n) for n in ("prepend",) if net.has(call, n)]
    parts += [data, *(net.tensor(call, n) for n in ("append",) if net.has(call, n))]
    shape = list(net.shape(out))
    shape[axis] += 1
    whole = net.part(call, "whole", "Concat", parts, tuple(shape), axis=axis) if len(parts) > 1 else data
    ends = []
    for part, start, end in (("later", 1, shape[axis]), ("sooner", 0, shape[axis] - 1)):
        inputs = [net.whole(call, f"{part}.{i}", [n]) for i, n in enumerate((start, end, axis))]
        ends.append(net.part(call, part, "Slice", [whole, *inputs], net.shape(out)))
    net.emit(call, "Sub", ends)


def gather(net: Net, call: Call) -> None:
    """Elements along an axis, each by its own index."""
    data = net.tensor(call)
    axis = net.axis(call, "dim", len(net.shape(data)))
    net.emit(call, "GatherElements", [data, net.tensor(call, "index")], axis=axis)


def triangle(upper: bool) -> Build:
    """A builder of triu and tril."""

    def build(net: Net, call: Call) -> None:
        diagonal = net.scalar(call, "diagonal", net.integer(call, "diagonal", 0), "int64")
        net.emit(call, "Trilu", [net.tensor(call), diagonal], upper=int(upper))

    return build


def top_k(net: Net, call: Call) -> None:
    """The largest elements along an axis."""
    data = net.tensor(call)
    axis = net.axis(call, "dim", len(net.shape(data)), -1)
    net.emit_all(
        call,
        "TopK",
        [data, net.whole(call, "k", [net.integer(call, "k")])],
        list(call.outputs),
        axis=axis,
        largest=int(net.flag(call, "largest", True)),
    )
