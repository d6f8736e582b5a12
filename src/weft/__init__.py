"""weft: which tile of which layer runs on which core at what moment, with the result proved."""

__version__ = "0.1.0"
