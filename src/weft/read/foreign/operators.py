"""Which op kinds a core takes, from the ONNX operators that another tool lists for it."""

from __future__ import annotations

from collections.abc import Iterable

from weft.model.workload import KINDS, Kind

_OPERATORS: dict[Kind, str] = {
    "conv": "Conv ConvTranspose QLinearConv ConvInteger DepthwiseConv",
    "gemm": "Gemm QGemm",
    "matmul": "MatMul MatMulInteger QLinearMatMul Einsum",
    "pool": "MaxPool AveragePool GlobalMaxPool GlobalAveragePool LpPool GlobalLpPool Pooling",
    "elementwise": "Add Sub Mul Div Pow Exp Log Sqrt Erf Abs Neg Min Max Clip Relu LeakyRelu PRelu Elu Selu Celu "
    "Sigmoid HardSigmoid HardSwish Silu Swish Gelu Mish Tanh Softplus Reciprocal Cast Where QLinearAdd QLinearMul",
    "reduce": "ReduceMax ReduceMin ReduceSum ReduceMean ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ArgMax ArgMin",
    "softmax": "Softmax LogSoftmax",
    "norm": "LayerNormalization RMSNormalization InstanceNormalization GroupNormalization BatchNormalization LRN",
    "copy": "Concat Split Slice Pad Transpose Expand Gather Resize Upsample Tile DepthToSpace SpaceToDepth Reshape",
}


def kinds_of(operators: Iterable[str]) -> tuple[tuple[Kind, ...], tuple[str, ...]]:
    """Kinds in canonical order, and the operators that are of none.

    >>> kinds_of(["MaxPool", "Relu", "Frob"])
    (('pool', 'elementwise'), ('Frob',))
    """
    kind_of = {name: kind for kind, names in _OPERATORS.items() for name in names.split()}
    given = list(operators)
    known = {kind_of[name] for name in given if name in kind_of}
    return tuple(kind for kind in KINDS if kind in known), tuple(name for name in given if name not in kind_of)
