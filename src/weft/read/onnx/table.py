"""Which builder reads which ONNX operator: the one place to add one."""

from __future__ import annotations

from weft.read.onnx.attention import attention
from weft.read.onnx.axiswise import cumulative, generate, tile, top_k, trilu
from weft.read.onnx.conv import conv, conv_transpose
from weft.read.onnx.einsum import einsum
from weft.read.onnx.elementwise import batch_normalization, elementwise, norm, softmax
from weft.read.onnx.graph import Builder
from weft.read.onnx.matrix import gemm, matmul
from weft.read.onnx.move import (
    cast,
    concat,
    depth_to_space,
    dropout,
    expand,
    pad,
    reshape,
    slice_,
    space_to_depth,
    split,
    transpose,
)
from weft.read.onnx.nbits import GATHER, MATMUL, gather_block_quantized, matmul_nbits
from weft.read.onnx.pick import (
    gather,
    gather_elements,
    gather_nd,
    max_unpool,
    one_hot,
    reverse_sequence,
    scatter_elements,
    scatter_nd,
    tensor_scatter,
)
from weft.read.onnx.pool import global_pool, pool, reduce
from weft.read.onnx.qoperator import FOREIGN, TWINS, dynamic_quantize, on_integers
from weft.read.onnx.quantise import dequantize, quantize
from weft.read.onnx.recurrent import recurrent
from weft.read.onnx.resize import resize
from weft.read.onnx.rotary import rotary
from weft.read.onnx.sample import grid_sample, roi_align
from weft.read.onnx.spectral import dft, stft


def _all(names: str, builder: Builder) -> dict[str, Builder]:
    return dict.fromkeys(names.split(), builder)


COMPARISONS = ("And", "Or", "Xor", "Not", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "IsInf", "IsNaN")
"""Elementwise operators that make booleans."""

BUILDERS: dict[str, Builder] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Gemm": gemm,
    "MatMul": matmul,
    "Einsum": einsum,
    "Attention": attention,
    **_all("LSTM GRU RNN", recurrent),
    "RotaryEmbedding": rotary,
    "BatchNormalization": batch_normalization,
    **_all("MaxPool AveragePool LpPool", pool),
    **_all("GlobalAveragePool GlobalMaxPool GlobalLpPool", global_pool),
    **_all(
        "ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSum "
        "ReduceLogSumExp ArgMax ArgMin",
        reduce,
    ),
    **_all("Softmax LogSoftmax Hardmax", softmax),
    **_all(
        "LRN LayerNormalization RMSNormalization InstanceNormalization GroupNormalization LpNormalization "
        "MeanVarianceNormalization",
        norm,
    ),
    **_all("Add Sub Mul Div Pow Mod Min Max Mean Sum PRelu Where", elementwise),
    **dict.fromkeys(COMPARISONS, elementwise),
    **_all("BitShift BitwiseAnd BitwiseOr BitwiseXor BitwiseNot", elementwise),
    **_all("Relu LeakyRelu ThresholdedRelu Clip Sigmoid HardSigmoid HardSwish Tanh Elu Selu Celu", elementwise),
    **_all("Gelu Mish Swish Softplus Softsign Shrink Erf Exp Log Sqrt Reciprocal Neg Abs Sign", elementwise),
    **_all("Floor Ceil Round Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh", elementwise),
    **_all("Flatten Reshape Squeeze Unsqueeze Identity", reshape),
    "Dropout": dropout,
    **_all("Cast CastLike", cast),
    "BitCast": reshape,
    "Transpose": transpose,
    "Concat": concat,
    "Split": split,
    "Pad": pad,
    "Slice": slice_,
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "ReverseSequence": reverse_sequence,
    "OneHot": one_hot,
    **_all("ScatterElements Scatter", scatter_elements),
    "ScatterND": scatter_nd,
    "TensorScatter": tensor_scatter,
    "MaxUnpool": max_unpool,
    "GridSample": grid_sample,
    "RoiAlign": roi_align,
    "DFT": dft,
    "STFT": stft,
    **_all("CumSum CumProd", cumulative),
    "TopK": top_k,
    "Tile": tile,
    "Trilu": trilu,
    **_all("Range ConstantOfShape", generate),
    "Expand": expand,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
    **_all("Resize Upsample", resize),
    "QuantizeLinear": quantize,
    "DequantizeLinear": dequantize,
    "DynamicQuantizeLinear": dynamic_quantize,
    MATMUL: matmul_nbits,
    GATHER: gather_block_quantized,
    **{key: dequantize if key.endswith("DequantizeLinear") else quantize for key in FOREIGN},
}
BUILDERS.update((key, on_integers(BUILDERS[twin.onnx])) for key, twin in TWINS.items())

WRITTEN = {
    "Split": 1 << 30,
    **dict.fromkeys(("Attention", "LSTM", "DynamicQuantizeLinear"), 3),
    **dict.fromkeys(("GRU", "RNN", "MaxPool", "TopK", "Dropout"), 2),
}
"""Outputs that a builder writes, where it is not the first alone."""
