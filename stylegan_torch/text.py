"""Text for people: one line of anything, and tables."""

from __future__ import annotations

from collections.abc import Sequence


def printable(text: str) -> str:
    """Return text with escape sequences for line breaks, control characters and what has no encoding."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def one_line(text: str) -> str:
    """Return text without line breaks and control characters, cut in the middle if it is very long."""
    text = printable(" ".join(text.split()))
    return text if len(text) <= 1000 else f"{text[:800]} … {text[-150:]}"  # names in a hostile file may be long


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
