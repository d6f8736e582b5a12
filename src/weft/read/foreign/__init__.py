"""Other tools' files in weft's own forms: ZigZag's and Stream's YAML as chip files, every assumption a comment."""

from weft.read.foreign.stream import import_stream
from weft.read.foreign.zigzag import import_zigzag

__all__ = ["import_stream", "import_zigzag"]
