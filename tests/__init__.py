"""Tests: a folder for each room of the product, `tools` for what they share; beside them what concerns all of it."""

from pathlib import Path

HOME = Path(__file__).parents[1]
DATA = HOME / "tests" / "data"
TOOLS = HOME / "tests" / "tools"
