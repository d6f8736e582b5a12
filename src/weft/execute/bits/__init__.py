"""The integer arithmetic of cores, bit by bit: what an analog array and a digital one make of the same layer.

Sources: DIANA's quantisation library and compiler as noted in `docs/bits.md`. Rounding is floor throughout.
"""

from weft.execute.bits.analog import AnalogConv, analog_add, analog_conv
from weft.execute.bits.digital import DigitalConv, digital_add, digital_average, digital_conv
from weft.execute.bits.noise import Noise

__all__ = [
    "AnalogConv",
    "DigitalConv",
    "Noise",
    "analog_add",
    "analog_conv",
    "digital_add",
    "digital_average",
    "digital_conv",
]
