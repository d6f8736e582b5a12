"""What weft does not read, and the way out: operators that it does not know, and those of training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from weft.errors import ModelError
from weft.read.onnx.constants import computable
from weft.read.onnx.graph import Info, Node

_DYNAMIC = "the size of its result is known only at run time: end the network before it"
_RANDOM = "give the random numbers as an input"
_SEQUENCE = "export the network with tensors in place of sequences and optionals"
_TRAINING = "export the network for inference"
_TEXT = "do what is done with text before the network, and start it after"

_WAYS_OUT = {
    **dict.fromkeys(("NonZero", "Unique", "Compress", "NonMaxSuppression"), _DYNAMIC),
    **dict.fromkeys(("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial"), _RANDOM),
    **dict.fromkeys(
        (
            *("SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceLength"),
            *("SequenceMap", "SplitToSequence", "ConcatFromSequence"),
            *("Optional", "OptionalGetElement", "OptionalHasElement"),
        ),
        _SEQUENCE,
    ),
    **dict.fromkeys(("StringConcat", "StringNormalizer", "StringSplit", "RegexFullMatch", "TfIdfVectorizer"), _TEXT),
    "Col2Im": "replace it with ConvTranspose",
    "ImageDecoder": "decode images before the network, and start it after",
    "DeformConv": "replace it with Conv: the pixels that it reads are known only at run time",
}

_WAYS_OUT_OF_DOMAINS = {
    "ai.onnx.ml": "leave classical machine learning outside the network",
    "ai.onnx.preview.training": _TRAINING,
    "ai.onnx.training": _TRAINING,
}


def unknown_operator(where: str, nodes: Sequence[Node]) -> ModelError:
    """The problem of an operator that weft does not know.

    Args:    where: the file.   nodes: all of that operator, at least one.
    """
    first = nodes[0]
    more = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
    of = f" of domain '{first.domain}'" if first.domain else ""
    standard = _WAYS_OUT_OF_DOMAINS.get(first.domain, "export the network with standard ONNX operators")
    return ModelError(
        f"every operator must be one that weft knows, not {first.op_type or 'one without a name'}{of}",
        where=f"{where}: node '{first.name}'{more}",
        remedy=standard if first.domain else _WAYS_OUT.get(first.op_type, "export the network without it"),
    )


@contextmanager
def must_fit(node: Node, shapes: Mapping[str, Info]) -> Iterator[None]:
    """Around what reads one node: inputs, attributes and outputs that contradict each other are the user's problem.

    Where ONNX's own evaluator takes the node all the same, nothing in the file is at fault, and the exception goes on.
    """
    try:
        yield
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        if computable(node, shapes):
            raise
        given = ", ".join(str(list(shapes[name].shape)) for name in node.inputs if name in shapes)
        made = ", ".join(str(list(shapes[name].shape)) for name in node.outputs if name in shapes)
        words = f"inputs {given or 'none'}" + (f" and outputs {made}" if made else "")
        raise ModelError(
            f"shapes and attributes of {node.op_type} must fit each other, and with {words} they do not",
            remedy="export the network again",
        ) from error


def refuse(where: str, node: Node) -> None:
    """Refuse a node that is only of use in training.

    Errors: ModelError for it.
    """
    if node.key in ("BatchNormalization", "Dropout") and node.integer("training_mode", 0):
        raise ModelError(
            f"{node.op_type} must be in inference mode, not in training mode",
            where=f"{where}: node '{node.name}'",
            remedy=_TRAINING,
        )
