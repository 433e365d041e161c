"""Text for people: nothing in it that a terminal acts on or does not show, one line of anything, and tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from urllib.parse import urlsplit

_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters and marks, to Unicode, of which nothing is seen: fillers and variation selectors."""


def printable(text: str, kept: str = "") -> str:
    r"""Return text with escapes such as `\x1b` or `\u202e` for all that is not seen as itself.

    That is control characters, line breaks, what turns the direction of text, what has no width or no encoding.

    Args:
        text: anything.
        kept: control characters to leave as they are.
    """
    if text.isprintable() and (text.isascii() or not _UNSEEN.search(text)):
        return text
    return "".join(c if c in kept or (c.isprintable() and not _UNSEEN.match(c)) else _escape(c) for c in text)


def _escape(c: str) -> str:
    return c.encode("unicode_escape", "backslashreplace").decode()


def one_line(text: str) -> str:
    """Return text as `printable`, without line breaks, cut in the middle if it is very long."""
    return shortened(printable(" ".join(text.split())))


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return a question with the name that is likest; "" if none is."""
    likest = get_close_matches(name, names, n=1)
    return f"did you mean {likest[0]}?" if likest else ""


def shortened(text: str) -> str:
    """Return text cut in the middle if it is very long, as names and values in a hostile file may be."""
    return text if len(text) <= 1000 else f"{text[:800]} … {text[-150:]}"


def without_secrets(text: str) -> str:
    """Return what names a file as others may read it: of an address no user, no query, which may be a signature."""
    if not text.startswith(("http://", "https://")):
        return text
    place, bang, member = text.partition("!")
    parts = urlsplit(place)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{bang}{member}"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table, of cells as `printable`."""
    rows = [list(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
