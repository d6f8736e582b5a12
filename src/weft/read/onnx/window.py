"""Kernel, stride, dilation and padding of convolutions and pools, one spatial axis at a time."""

from __future__ import annotations

from dataclasses import dataclass

from weft.errors import ModelError
from weft.read.onnx.graph import Node


@dataclass(frozen=True, slots=True)
class Window:
    """One spatial axis: the output at `o` sees the inputs at stride x o + dilation x f - pad_begin, f < kernel.

    `out` is how many outputs the axis has; positions outside 0..size-1 are padding.
    """

    size: int
    kernel: int
    stride: int
    dilation: int
    pad_begin: int
    pad_end: int

    @property
    def span(self) -> int:
        """Inputs from the first to the last tap."""
        return self.dilation * (self.kernel - 1) + 1

    def out(self, ceil: bool = False) -> int:
        """Outputs along the axis; `ceil` as pools may round, never starting a window inside the trailing padding."""
        room = self.size + self.pad_begin + self.pad_end - self.span
        if not ceil:
            return room // self.stride + 1
        count = -(-room // self.stride) + 1
        return count - ((count - 1) * self.stride >= self.size + self.pad_begin)


def windows(node: Node, sizes: tuple[int, ...], kernel: tuple[int, ...], at: str) -> tuple[Window, ...]:
    """The node's spatial axes, `auto_pad` resolved.

    Args:    sizes: input sizes, outermost first.   kernel: kernel sizes, likewise.   at: where the node is.
    Errors:  ModelError for attributes of another rank, or that are not positive.
    """
    rank = len(sizes)
    strides = node.ints("strides", (1,) * rank)
    dilations = node.ints("dilations", (1,) * rank)
    pads = node.ints("pads", (0,) * (2 * rank))
    checks = (("kernel_shape", kernel, rank, 1), ("strides", strides, rank, 1), ("dilations", dilations, rank, 1))
    for name, values, count, least in (*checks, ("pads", pads, 2 * rank, 0)):
        if len(values) != count or min(values, default=least) < least:
            raise ModelError(
                f"{name} must be {count} numbers of at least {least}, not {list(values)}",
                where=at,
                remedy="export the network again",
            )
    auto = node.text("auto_pad", "NOTSET")
    result = []
    for i, size in enumerate(sizes):
        begin, end = pads[i], pads[rank + i]
        if auto == "VALID":
            begin = end = 0
        elif auto in ("SAME_UPPER", "SAME_LOWER"):
            needed = (-(-size // strides[i]) - 1) * strides[i] + dilations[i] * (kernel[i] - 1) + 1 - size
            small, large = max(0, needed) // 2, max(0, needed) - max(0, needed) // 2
            begin, end = (small, large) if auto == "SAME_UPPER" else (large, small)
        result.append(Window(size, kernel[i], strides[i], dilations[i], begin, end))
    return tuple(result)
