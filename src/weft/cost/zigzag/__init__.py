"""ZigZag's cost conventions, for its mappings and for weft's: what they count, and how the two forms convert.

`docs/zigzag_differences.md` explains where they part from weft's own (docs/cost.md). Source of the rules: ZigZag 3.8.5
(Mei et al., IEEE Trans. Computers 70(8), 2021; latency: Mei et al., DATE 2022), as observed from what it reports.
"""

from weft.cost.zigzag.convert import Inexpressible, weft_of, zigzag_of
from weft.cost.zigzag.price import zigzag_price
from weft.cost.zigzag.result import Words, ZigzagPrice, ZigzagShare

__all__ = ["Inexpressible", "Words", "ZigzagPrice", "ZigzagShare", "weft_of", "zigzag_of", "zigzag_price"]
