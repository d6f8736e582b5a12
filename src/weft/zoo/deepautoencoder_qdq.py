"""Deep autoencoder of MLPerf Tiny, quantised in int8, one scale per tensor."""

from __future__ import annotations

import onnx

from weft.zoo import deepautoencoder
from weft.zoo._net import Net
from weft.zoo._qdq import Scheme, quantised

DESCRIPTION = "Deep autoencoder of MLPerf Tiny, QDQ, int8, anomaly detection, 1x640, 264 k MACs (Banbury et al. 2021)"


def build(net: Net) -> onnx.ModelProto:
    """The float network of the library between quantisers."""
    return quantised(net, deepautoencoder.build, Scheme("int8"))
