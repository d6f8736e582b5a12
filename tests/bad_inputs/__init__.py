"""Inputs that somebody got wrong, by name, each with everything that weft says of it.

Chips: `tests/read/test_chip_errors.py` (one good file, spoilt in one place), and here those that hold and cannot do it.
Networks: `tests/read/test_onnx_errors.py` and here. Options and mappings: here. What nobody thought of: `tests/fuzz`.
"""
