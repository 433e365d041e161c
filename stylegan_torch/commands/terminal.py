"""What all our commands share: one line for an error, exit status 1, a traceback only on request.

Nothing that a file holds reaches the terminal raw: commands print with `say`, and what anything else prints while a
command runs (click, warnings, a traceback) is escaped by the streams. Rich draws its bars past them, with texts that
were escaped, and must not redirect the streams: it would print what comes through them as it is.
"""

from __future__ import annotations

import errno
import functools
import gc
import importlib
import math
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from io import TextIOWrapper
from typing import Any, TextIO, TypeVar, cast

import click

from stylegan_torch.commands.given import as_given, take_inputs
from stylegan_torch.editing.composition import FLOAT32_MAX
from stylegan_torch.errors import StyleGANError
from stylegan_torch.text import one_line, printable

_Item = TypeVar("_Item")
_Given = TypeVar("_Given")
_NO_MEMORY = "there is not enough memory for this: ask for less at once, smaller pictures or fewer classes"
SEED = click.IntRange(0, 2**32 - 1)
"""Of an option: the seeds there are, as in `parse_seeds`."""


class Command(click.Command):
    """A command that says so if what it prints cannot be written."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run with streams whose failures are told in one line, those of `--help` too."""
        with _checked_streams():
            return super().main(*args, **extra)


class Group(Command, click.Group):
    """Commands by name, as "module:attribute"; a module is imported when its command is asked for."""

    def __init__(self, *args: Any, homes: Mapping[str, str], **extra: Any) -> None:
        super().__init__(*args, **extra)
        self._homes = homes

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order given."""
        return list(self._homes)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; None if there is none of this name."""
        module, _, attribute = self._homes.get(cmd_name, "").partition(":")
        return getattr(importlib.import_module(module), attribute) if module else None


class _Stream:
    """A stream that takes text as `printable`, and whose failures to write are told to a function, each time again."""

    def __init__(self, stream: TextIO, failed: Callable[[TextIO, OSError], None]) -> None:
        self._stream, self._failed = stream, failed
        self._error: OSError | None = None

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    @property
    def rich_proxied_file(self) -> _Raw:
        """What Rich, by its own name for it, draws its bars on: its texts are escaped before it gets them."""
        return _Raw(self)

    def write(self, text: str) -> int:
        self.write_raw(printable(text, kept="\n\t"))
        return len(text)

    def write_raw(self, text: str) -> None:
        if text != "":  # with nothing, click only finds out what the stream takes
            self._do(lambda: self._stream.write(text))

    def flush(self) -> None:
        self._do(self._stream.flush)

    def _do(self, act: Callable[[], object]) -> None:
        try:
            act()
        except OSError as error:
            self._error = error
        if self._error:
            self._failed(self._stream, self._error)


class _Raw:
    """A stream to which a terminal's own control characters are written."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._stream.write_raw(text)
        return len(text)


@contextmanager
def _checked_streams() -> Iterator[None]:
    # A closed standard output gets a stand-in that cannot be written to either.
    output = sys.stdout or os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")
    if isinstance(output, TextIOWrapper):
        # What a terminal has no sign for, such as ², is no reason to fail; ASCII is only said where nothing was.
        ascii_only = output.encoding.lower() in ("ascii", "us-ascii", "ansi_x3.4-1968")
        output.reconfigure(encoding="utf-8" if ascii_only else None, errors="replace")
    checked = cast("TextIO", _Stream(output, _no_output))
    notes = sys.stderr and cast("TextIO", _Stream(sys.stderr, _silence))
    with redirect_stdout(checked), redirect_stderr(notes):
        yield


def _no_output(stream: TextIO, error: OSError) -> None:
    """End the command: quietly if the reader has gone, as `| head` does."""
    _silence(stream, error)
    if error.errno == errno.EPIPE:
        raise click.exceptions.Exit(1) from error
    raise click.ClickException(f"cannot write to standard output: {error.strerror or error}") from error


def _silence(stream: TextIO, error: OSError) -> None:
    """Let what is still in a stream, and what comes, go nowhere: at the exit it would fail again."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import PyTorch, and what needs it, a tenth faster: nothing is garbage of all it makes on the way.

    Here the checks of a command's options end and its work begins, which begins with a look at what it was given.
    """
    take_inputs()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def say(*lines: str, err: bool = False) -> None:
    """Print lines, on stderr if asked, each as `printable` but for its tabs; a line break in one is escaped."""
    click.echo("\n".join(printable(line, kept="\t") for line in lines), err=err)


def one_line_errors(function: Callable[..., object]) -> Callable[..., object]:
    """Add `--debug`, and turn errors into one line on stderr and exit status 1."""

    @functools.wraps(function)
    def wrapper(*args: object, debug: bool, **kwargs: object) -> object:
        try:
            return function(*args, **kwargs)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:  # the roof: nothing above could say it better
            if debug:
                say(*traceback.format_exc().rstrip().split("\n"), err=True)
                sys.exit(1)
            told = isinstance(error, StyleGANError) or _out_of_memory(error)
            text = str(error) if told else f"unexpected {type(error).__name__}: {error}"
            text = _NO_MEMORY if _out_of_memory(error) else text
            say("Error: " + one_line(as_given(text)), err=True)
            if not told:
                say("Run again with --debug for the whole story, and please report it.", err=True)
            sys.exit(1)

    return click.option("--debug", is_flag=True, help="Show the traceback of an error.")(wrapper)


def _out_of_memory(error: Exception) -> bool:
    # PyTorch's error for a device is a class of its own, which is imported with it; on the CPU there are words only.
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and (type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error))
    )


@contextmanager
def working(doing: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal what is being done until the block ends; gives what shows other words in its place."""
    if not _is_seen():
        yield lambda text: None
        return
    from rich.console import Console
    from rich.live import Live
    from rich.spinner import Spinner
    from rich.text import Text

    spinner = Spinner("dots", Text(one_line(as_given(doing))))
    with Live(spinner, console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False):
        yield lambda text: spinner.update(text=Text(one_line(text)))


def tracked(items: Iterable[_Item], description: str, total: float | None = None) -> Iterable[_Item]:
    """Give items, showing on a terminal how many of the total were taken."""
    if not _is_seen():
        yield from items
        return
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as progress:
        yield from progress.track(items, total, description=description)


def _is_seen() -> bool:
    """Tell whether bars are drawn for anybody; if not, Rich need not be imported."""
    return bool(sys.stderr and sys.stderr.isatty())


def reading(
    parse: Callable[[_Given], _Item],
) -> Callable[[click.Context, click.Parameter, _Given | None], _Item | None]:
    """Return the callback of an option whose text, or texts, `parse` reads; its ValueError says what is wrong."""

    def read(ctx: click.Context, param: click.Parameter, value: _Given | None) -> _Item | None:
        try:
            return None if value is None else parse(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    return read


def finite(text: str) -> float:
    """Read a finite number that float32 can hold, as networks take it."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a finite number")
    if abs(value) > FLOAT32_MAX:
        raise ValueError(f"{text!r} is beyond what float32 holds")
    return value


class FiniteRange(click.FloatRange):
    """Finite numbers of a range: click's own takes NaN as within any, and infinity where an end is open."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        number = float(super().convert(value, param, ctx))
        try:
            return finite(str(number))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def pair(text: str) -> tuple[float, float]:
    """Read two finite numbers with a comma between."""
    first, comma, second = text.partition(",")
    if not comma:
        raise ValueError(f"{text!r} is not two numbers such as 0.1,-0.2")
    return finite(first), finite(second)


def picture_size(text: str) -> tuple[int, int]:
    """Read a size such as 512x384, or 256 for a square: width and height."""
    found = re.fullmatch(r"(\d{1,5})(?:[x,](\d{1,5}))?", text, re.ASCII)
    if not found or 0 in map(int, filter(None, found.groups())):
        raise ValueError(f"{text!r} is not a size such as 256x256")
    return int(found[1]), int(found[2] or found[1])


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
