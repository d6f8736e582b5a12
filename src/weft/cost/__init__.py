"""What a mapping costs: `price` tells it readably; the kernels tell the same fast. Contract: docs/cost.md."""

from weft.cost.price import price
from weft.cost.result import FlowTotal, Price, Room

__all__ = ["FlowTotal", "Price", "Room", "price"]
