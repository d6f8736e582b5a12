"""Convolutions: Conv (grouped, dilated, padded, any spatial rank) and ConvTranspose in gather form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import gcd

from weft.errors import ModelError
from weft.model.workload import Axis, Note, Op, Tensor, View
from weft.read.dtypes import dtype_bits
from weft.read.onnx.graph import Emitted, Graph, Node, axis, elements, operand, spatial
from weft.read.onnx.window import Window, windows


@dataclass(frozen=True, slots=True)
class _Channels:
    """Groups, and channels per group on the way in and out."""

    groups: int
    inner: int
    outer: int

    def loops(self, batch: int) -> tuple[tuple[str, int], ...]:
        return (("B", batch), ("G", self.groups), ("K", self.outer), ("C", self.inner))

    def grouped(self, letter: str, per_group: int) -> Axis:
        """A channel axis: group x channels per group + channel."""
        if self.groups == 1:
            return axis(per_group, letter)
        return axis(self.groups * per_group, ("G", per_group), letter)


def conv(graph: Graph, node: Node) -> Emitted:
    """Conv: loops B G K C, output pixels, kernel taps.

    Input index along y: stride x OY + dilation x FY - pad_top; W is [G x K, C, FY, FX].
    """
    data, weight, output = node.inputs[0], node.inputs[1], node.outputs[0]
    shape, kernel = graph.shape(data), graph.shape(weight)
    groups = node.integer("group", 1)
    _check_ranks(graph, node, shape, kernel)
    if groups < 1 or shape[1] != kernel[1] * groups or kernel[0] % groups:
        raise _channels_disagree(graph, node, shape, kernel, groups)
    stated = node.ints("kernel_shape", kernel[2:])
    if stated != kernel[2:]:
        raise ModelError(
            f"kernel_shape must be that of the weights {list(kernel[2:])}, not {list(stated)}",
            where=graph.at(node),
            remedy="export the network again",
        )
    channels = _Channels(groups, kernel[1], kernel[0] // groups)
    axes = windows(node, shape[2:], kernel[2:], graph.at(node))
    outs, taps = spatial(len(axes), "O"), spatial(len(axes), "F")
    result = graph.shape(output)
    sizes = tuple(window.out() for window in axes)
    if result != (shape[0], kernel[0], *sizes):
        raise ModelError(
            f"the output's shape must be {[shape[0], kernel[0], *sizes]}, not {list(result)}",
            where=graph.at(node),
            remedy="export the network again",
        )
    op = Op(
        name=node.name,
        kind="conv",
        onnx=node.op_type,
        dims=(
            *channels.loops(shape[0]),
            *zip(outs, sizes, strict=True),
            *((tap, window.kernel) for tap, window in zip(taps, axes, strict=True)),
        ),
        operands=(
            operand(
                "I",
                "I",
                data,
                [axis(shape[0], "B"), channels.grouped("C", channels.inner)]
                + [
                    axis(w.size, (out, w.stride), (tap, w.dilation), offset=-w.pad_begin)
                    for out, tap, w in zip(outs, taps, axes, strict=True)
                ],
            ),
            operand(
                "W",
                "W",
                weight,
                [channels.grouped("K", channels.outer), axis(kernel[1], "C")]
                + [axis(w.kernel, tap) for tap, w in zip(taps, axes, strict=True)],
            ),
            operand(
                "O",
                "O",
                output,
                [axis(shape[0], "B"), channels.grouped("K", channels.outer)]
                + [axis(size, out) for out, size in zip(outs, sizes, strict=True)],
            ),
        ),
        nodes=(node.name,),
    )
    return Emitted((op,), notes=bias_notes(graph, node, 2))


def bias_notes(graph: Graph, node: Node, position: int) -> tuple[Note, ...]:
    """A note for the bias at input `position`, which is no operand; none where there is no bias."""
    if len(node.inputs) <= position or not node.inputs[position]:
        return ()
    count = elements(graph.shape(node.inputs[position]))
    return (Note(node.name, f"bias: {count} values preloaded into the accumulators, not priced"),)


@dataclass(frozen=True, slots=True)
class _Phases:
    """Output positions stride x q + r for r in start..stop-1, which use the same number of taps.

    Each sees the inputs q + step x t + shift, t < taps, through the kernel elements jump x t + (r - start) + first of
    the kernel with its taps reversed. Positions without taps are zero.
    """

    start: int
    stop: int
    taps: int
    shift: int
    first: int
    step: int
    jump: int


def _phases(window: Window) -> tuple[_Phases, ...]:
    """The phases of one axis of a transposed convolution, in runs that are affine.

    Output o = stride x q + r sums the kernel elements f with stride | r + pad - dilation x f, each with the input at
    q + (r + pad - dilation x f) / stride. With g = gcd(stride, dilation) those are f = first + stride/g x t, and the
    input moves by -dilation/g per t. Reversed (t -> taps - 1 - t), every coefficient is positive.
    """
    common = gcd(window.stride, window.dilation)
    step, jump = window.dilation // common, window.stride // common
    runs: list[_Phases] = []
    for r in range(window.stride):
        at = r + window.pad_begin
        first = next((f for f in range(jump) if (at - window.dilation * f) % window.stride == 0), window.kernel)
        taps = max(0, -(-(window.kernel - first) // jump))
        shift = (at - window.dilation * first) // window.stride - step * (taps - 1) if taps else window.size
        last = runs[-1] if runs else None
        empty = last is not None and not taps and not last.taps
        if last and (empty or (last.taps, last.shift, last.first + r - last.start) == (taps, shift, first)):
            runs[-1] = replace(last, stop=r + 1)
        else:
            runs.append(_Phases(r, r + 1, taps, shift, first, step, jump))
    return tuple(runs)


def conv_transpose(graph: Graph, node: Node) -> Emitted:
    """ConvTranspose as gather: stride^2 interleaved sub-convolutions, no zero-inserted multiplications.

    Output positions that no tap reaches are filled with zeros by a copy that reads nothing.

    Phases that use equally many taps form one op, so the MACs are those of the kernel, exactly, but for taps that
    fall outside the input at its borders. With stride 1 there is one op that writes the output; else ops write a
    tensor `<output>.phases` [B, K, QY, SY, QX, SX], of which the output is a reshape (and a crop, where the output
    is no multiple of the stride). The weights are indexed in an order that is prepared offline: taps reversed.
    """
    data, weight, output = node.inputs[0], node.inputs[1], node.outputs[0]
    shape, kernel, result = graph.shape(data), graph.shape(weight), graph.shape(output)
    groups = node.integer("group", 1)
    _check_ranks(graph, node, shape, kernel)
    if groups < 1 or shape[1] != kernel[0] or kernel[0] % groups or result[1] != kernel[1] * groups:
        raise _channels_disagree(graph, node, shape, kernel, groups)
    axes = tuple(
        _transposed_window(graph, node, i, shape[2 + i], kernel[2 + i], result[2 + i]) for i in range(len(shape) - 2)
    )
    channels = _Channels(groups, kernel[0] // groups, kernel[1])
    rows = tuple(-(-size // window.stride) for size, window in zip(result[2:], axes, strict=True))
    strided = any(window.stride > 1 for window in axes)
    target = f"{output}.phases" if strided else output
    combinations: list[tuple[_Phases, ...]] = [()]
    for window in axes:
        combinations = [(*head, phase) for head in combinations for phase in _phases(window)]
    ops = []
    for index, phases in enumerate(combinations):
        name = f"{node.name}.{index}" if len(combinations) > 1 else node.name
        op = _sub_convolution(graph, node, name, target, channels, axes, rows, phases)
        ops.append(op if all(phase.taps for phase in phases) else _zeros(op))
    notes = [
        *bias_notes(graph, node, 2),
        Note(node.name, "weights stored with their taps reversed, per output phase (prepared offline)"),
    ]
    holes = [op.name for op in ops if op.kind == "copy"]
    if holes:
        notes.append(Note(node.name, f"outputs that no tap reaches are filled with zeros, by {', '.join(holes)}"))
    if not strided:
        return Emitted(tuple(ops), notes=tuple(notes))
    dtype = graph.infos[output].dtype
    interleaved = tuple(n for row, window in zip(rows, axes, strict=True) for n in (row, window.stride))
    parts = Tensor(target, (*result[:2], *interleaved), dtype_bits(dtype), "intermediate", dtype)
    whole = tuple(row * window.stride for row, window in zip(rows, axes, strict=True))
    if whole == result[2:]:
        view = View(output, target, "reshape", node.name)
        return Emitted(tuple(ops), (view,), (parts,), tuple(notes))
    rounded = Tensor(f"{output}.uncropped", (*result[:2], *whole), parts.bits, "intermediate", dtype)
    outs = spatial(len(axes), "O")
    dims = (("B", result[0]), ("G", result[1]), *zip(outs, result[2:], strict=True))
    crop = Op(
        name=f"{node.name}.crop",
        kind="copy",
        onnx=node.op_type,
        dims=dims,
        operands=(
            operand("I", "I", rounded.name, [axis(n, d) for (d, _), n in zip(dims, rounded.shape, strict=True)]),
            operand("O", "O", output, [axis(n, d) for d, n in dims]),
        ),
        nodes=(node.name,),
    )
    notes.append(Note(node.name, "output cropped by a copy: its size is no multiple of the stride"))
    view = View(rounded.name, target, "reshape", node.name)
    return Emitted((*ops, crop), (view,), (parts, rounded), tuple(notes))


def _sub_convolution(
    graph: Graph,
    node: Node,
    name: str,
    target: str,
    channels: _Channels,
    axes: tuple[Window, ...],
    rows: tuple[int, ...],
    phases: tuple[_Phases, ...],
) -> Op:
    """The outputs of one run of phases per axis."""
    data, weight = node.inputs[0], node.inputs[1]
    batch = graph.shape(data)[0]
    strided = target != node.outputs[0]
    outs, subs, taps = (spatial(len(axes), prefix) for prefix in "OSF")
    inputs, kernels, written = [], [], []
    loops: list[tuple[str, int]] = []
    for window, row, phase, out, sub, tap in zip(axes, rows, phases, outs, subs, taps, strict=True):
        inputs.append(axis(window.size, out, (tap, phase.step), offset=phase.shift))
        if strided:
            kernels.append(axis(window.kernel, (tap, phase.jump), sub, offset=phase.first))
            written += [axis(row, out), axis(window.stride, sub, offset=phase.start)]
            loops.append((sub, phase.stop - phase.start))
        else:
            kernels.append(axis(window.kernel, tap))
            written.append(axis(row, out))
    return Op(
        name=name,
        kind="conv",
        onnx=node.op_type,
        dims=(
            *channels.loops(batch),
            *zip(outs, rows, strict=True),
            *loops,
            *((tap, max(1, phase.taps)) for tap, phase in zip(taps, phases, strict=True)),
        ),
        operands=(
            operand("I", "I", data, [axis(batch, "B"), channels.grouped("C", channels.inner), *inputs]),
            operand("W", "W", weight, [channels.grouped("C", channels.inner), axis(channels.outer, "K"), *kernels]),
            operand("O", "O", target, [axis(batch, "B"), channels.grouped("K", channels.outer), *written]),
        ),
        nodes=(node.name,),
    )


def _zeros(op: Op) -> Op:
    """In place of a sub-convolution without taps: its output filled, by a copy whose input is all padding."""
    kept = tuple((dim, size) for dim, size in op.dims if dim in op.output.dims)
    names = {dim for dim, _ in kept}
    data = op.operands[0]
    axes = tuple(replace(item, terms=tuple(t for t in item.terms if t.dim in names)) for item in data.axes)
    return replace(op, kind="copy", dims=kept, operands=(replace(data, axes=axes), op.output))


def _transposed_window(graph: Graph, node: Node, i: int, size: int, kernel: int, out: int) -> Window:
    """Axis `i` of a transposed convolution; its padding follows from the output's size where it is automatic."""
    rank = len(graph.shape(node.inputs[0])) - 2
    stride = node.ints("strides", (1,) * rank)[i]
    dilation = node.ints("dilations", (1,) * rank)[i]
    pads = node.ints("pads", (0,) * (2 * rank))
    extra = node.ints("output_padding", (0,) * rank)[i]
    begin, end = pads[i], pads[rank + i]
    auto = node.text("auto_pad", "NOTSET")
    if auto.startswith("SAME") or "output_shape" in node.attributes:
        total = stride * (size - 1) + extra + dilation * (kernel - 1) + 1 - out
        small, large = total // 2, total - total // 2
        # ONNX puts the odd element at the beginning, except for SAME_UPPER
        begin, end = (small, large) if auto == "SAME_UPPER" else (large, small)
    return Window(size, kernel, stride, dilation, begin, end)


def _check_ranks(graph: Graph, node: Node, shape: tuple[int, ...], kernel: tuple[int, ...]) -> None:
    if len(shape) != len(kernel) or len(shape) < 3:
        raise ModelError(
            f"input and weights must have one rank of at least 3, not {len(shape)} and {len(kernel)}",
            where=graph.at(node),
            remedy="export the network again",
        )


def _channels_disagree(
    graph: Graph, node: Node, shape: tuple[int, ...], kernel: tuple[int, ...], groups: int
) -> ModelError:
    return ModelError(
        f"channels must agree: the input has {shape[1]}, the weights {list(kernel)}, in {groups} group(s)",
        where=graph.at(node),
        remedy="export the network again",
    )
