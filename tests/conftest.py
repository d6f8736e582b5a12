"""Tests neither see nor touch the user's cache; those of the cache name a folder of their own."""

from __future__ import annotations

import os

os.environ["WEFT_CACHE"] = "off"
