"""Formats in words: of an op's operands, and of all tensors together."""

from __future__ import annotations

from weft.model.chip import Precision
from weft.model.tensor_type import TensorType
from weft.model.workload import Tensor
from weft.read import load
from weft.read.precision import assume_precision
from weft.report.formats import element, formats, operand_words


def test_a_float_priced_at_another_width_is_a_number():
    net, _ = assume_precision(load("resnet8"), Precision(8, 4, 8))
    tensors = {tensor.name: tensor for tensor in net.tensors}
    assert operand_words(net.ops[0], tensors) == "I:8 W:4 O:8"
    (weights,) = (row for row in formats(net) if row.role == "weight")
    assert (weights.format, weights.tensors, weights.size_bits) == ("float32 in 4 bit", 10, 4 * weights.elements)


def test_a_float_at_its_own_width_has_its_name():
    net = load("resnet8")
    tensors = {tensor.name: tensor for tensor in net.tensors}
    assert operand_words(net.ops[0], tensors) == "I:f32 W:f32 O:f32"


def test_a_quantised_tensor_has_the_name_of_its_type_unless_another_width_is_set():
    type_ = TensorType("int", 4, signed=False, scaled=True, axis=1, block=32)
    tensor = Tensor("w", (8, 64), 4, "weight", "uint8", type_)
    assert element(tensor) == "uint4"
    assert element(Tensor("w", (8, 64), 2, "weight", "uint8", type_)) == "2"
