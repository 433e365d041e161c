"""What all our commands share: one line for an error, exit status 1, a traceback only on request."""

from __future__ import annotations

import functools
import gc
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from stylegan_torch.errors import StyleGANError


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import PyTorch, and what needs it, a tenth faster: nothing is garbage of all it makes on the way."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def one_line(text: str) -> str:
    """Return text without line breaks and control characters, cut in the middle if it is very long."""
    text = " ".join(text.split())
    text = "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
    return text if len(text) <= 1000 else f"{text[:800]} … {text[-150:]}"  # names in a hostile file may be long


def one_line_errors(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--debug`, and turn errors into one line on stderr and exit status 1."""

    @functools.wraps(function)
    def wrapper(*args: Any, debug: bool, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:  # the roof: nothing above could say it better
            if debug:
                raise
            text = str(error) if isinstance(error, StyleGANError) else f"unexpected {type(error).__name__}: {error}"
            click.echo("Error: " + one_line(text), err=True)
            if not isinstance(error, StyleGANError):
                click.echo("Run again with --debug for the whole story, and please report it.", err=True)
            sys.exit(1)

    return click.option("--debug", is_flag=True, help="Show the traceback of an error.")(wrapper)


def reading(parse: Callable[[Any], Any]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Return the callback of an option whose text, or texts, `parse` reads; its ValueError says what is wrong."""

    def read(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        try:
            return None if value is None else parse(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    return read


def finite(text: str) -> float:
    """Read a finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a finite number")
    return value


def pair(text: str) -> tuple[float, float]:
    """Read two finite numbers with a comma between."""
    first, comma, second = text.partition(",")
    if not comma:
        raise ValueError(f"{text!r} is not two numbers such as 0.1,-0.2")
    return finite(first), finite(second)


def parse_seeds(text: str) -> list[int]:
    """Read "0-50", "1,5,9" or a mixture such as "1,5-9".

    Raises:
        ValueError: with the part that is none of these.
    """
    seeds: list[int] = []
    for part in text.replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ValueError(f"{part!r} is not a seed or a range like 0-50")
        low, high = int(first), int(last or first)
        if low > high:
            raise ValueError(f"{part!r} runs backwards")
        if high >= 1 << 32:
            raise ValueError(f"{high} is beyond the largest seed, {(1 << 32) - 1}")
        if high - low >= 1_000_000:
            raise ValueError(f"{part!r} is more than a million seeds")
        seeds += range(low, high + 1)
    return seeds


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
