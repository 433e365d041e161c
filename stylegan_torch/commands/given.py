"""What commands are given: files that must be there, and what comes through standard input or a pipe.

Arguments are only noted when they are parsed. When a command's work begins, `take_inputs` looks for the files, and
copies what comes through pipes to temporary files, which no end of the command leaves behind.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import IO

import click

from stylegan_torch.errors import StyleGANError
from stylegan_torch.text import printable

LIMIT = 8 << 30
"""Bytes that may come; the largest networks have 4 GB with all that training adds."""
PATIENCE = 3.0
"""Seconds in which somebody must open a named pipe to write to it."""
CHUNK = 1 << 20
_STANDARD_INPUT = ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")


@dataclass(frozen=True)
class _Pipe:
    """given: what the user calls it. source: its path, None = standard input. path: where its bytes go."""

    given: str
    source: Path | None
    path: Path


@dataclass
class _Given:
    """What the running command was given.

    checks: of files, not made yet.
    networks: names of their files.
    hashes: sha256 that they must have, in their order; not looked at yet.
    nonfinite: NaN and infinity in them are no reason to stop.
    tf32: cards may round in float32.
    """

    pipes: list[_Pipe] = field(default_factory=list)
    checks: list[Callable[[], object]] = field(default_factory=list)
    networks: list[str] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    nonfinite: bool = False
    tf32: bool = False


def _given(ctx: click.Context | None) -> _Given:
    return ctx.meta.setdefault(__name__, _Given()) if ctx else _Given()


def note_check(check: Callable[[], object], ctx: click.Context) -> None:
    """Note that a file is to be looked for by a function, which raises StyleGANError if it is not there."""
    _given(ctx).checks.append(check)


def note_network(name: str, ctx: click.Context) -> None:
    """Note the name of a network's file."""
    _given(ctx).networks.append(name)


def note_hashes(hashes: Sequence[str], ctx: click.Context) -> None:
    """Note which sha256 the networks' files must have."""
    _given(ctx).hashes.extend(hashes)


def note_nonfinite(allowed: bool, ctx: click.Context) -> None:
    """Note whether networks may have NaN and infinity in them."""
    _given(ctx).nonfinite = allowed


def allows_nonfinite() -> bool:
    """Return whether the running command was told that networks may have NaN and infinity in them."""
    return _given(click.get_current_context(silent=True)).nonfinite


def note_tf32(allowed: bool, ctx: click.Context) -> None:
    """Note whether cards may round in float32."""
    _given(ctx).tf32 = allowed


def allows_tf32() -> bool:
    """Return whether the running command was told that cards may round in float32."""
    return _given(click.get_current_context(silent=True)).tf32


def has_hashes() -> bool:
    """Return whether the running command was told which sha256 its networks must have."""
    return _given(click.get_current_context(silent=True)).hashes != []


def is_pipe(text: str) -> bool:
    """Return whether a text means standard input, or names a pipe."""
    if text == "-":
        return True
    try:
        mode = Path(text).stat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or (text in _STANDARD_INPUT and not stat.S_ISREG(mode))


def note_pipe(text: str, ctx: click.Context) -> Path:
    """Return the path at which the bytes of a pipe will be from `take_inputs` on, until the command ends."""
    source = None if text in _STANDARD_INPUT else Path(text)
    given = text if source else "standard input"
    pipes = _given(ctx).pipes
    if given in [pipe.given for pipe in pipes]:
        raise click.UsageError(f"{given} can be read only once: save it to a file first", ctx)
    folder = Path(gettempdir(), f"stylegan-torch-{secrets.token_hex(8)}")
    # The number of a descriptor, as of <(…), says nothing.
    name = "stdin" if not source else "pipe" if source.name.isdecimal() else source.name
    pipes.append(_Pipe(given, source, Path(folder, name)))
    return pipes[-1].path


def take_inputs() -> None:
    """Look for the files that the running command was given, copy what comes through its pipes, and check hashes.

    Raises:
        StyleGANError: if a file is not there, or a network's has another hash; if nothing comes or too
            much, or it cannot be read or kept.
    """
    ctx = click.get_current_context(silent=True)
    given = _given(ctx)
    while given.checks:
        given.checks.pop(0)()
    for pipe in given.pipes:
        if ctx and not pipe.path.exists():
            ctx.with_resource(_kept(pipe))
    if given.hashes and len(given.hashes) != len(given.networks):
        raise click.UsageError("give --sha256 once for each network that is named", ctx)
    for name, sha256 in zip(given.networks, given.hashes, strict=False):
        # Only a command may reach up to the converter, and only when it runs.
        from converter.sources.locate import locate

        locate(name, sha256)
    given.networks.clear()


def as_given(text: str) -> str:
    """Return a text in which pipes are called what the user calls them."""
    for pipe in _given(click.get_current_context(silent=True)).pipes:
        for path in (str(pipe.path), printable(str(pipe.path))):
            text = text.replace(path, pipe.given)
    return text


@contextmanager
def _kept(pipe: _Pipe) -> Iterator[None]:
    """Copy what comes, and give it its path, until the block ends."""
    folder, by_number = pipe.path.parent, Path("/proc/self/fd").exists()
    try:
        try:
            folder.mkdir(0o700)
            # A file that has no name goes with the process, however that ends; a link to its number can have one.
            opened: IO[bytes] = TemporaryFile(dir=folder) if by_number else pipe.path.open("w+b")  # noqa: SIM115
        except OSError as error:
            raise _not_kept(pipe, error) from error
        with opened as file:
            _copy(pipe, file)
            if by_number:
                pipe.path.symlink_to(f"/proc/{os.getpid()}/fd/{file.fileno()}")
            yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(pipe: _Pipe, file: IO[bytes]) -> None:
    size = 0
    for chunk in _chunks(pipe):
        size += len(chunk)
        if size > LIMIT:
            raise StyleGANError(f"{pipe.given} sends more than {LIMIT >> 30} GB; save it to a file first")
        try:
            file.write(chunk)
            file.flush()
        except OSError as error:
            raise _not_kept(pipe, error) from error
    if not size:
        raise StyleGANError(f"{pipe.given} is empty: nothing came")


def _not_kept(pipe: _Pipe, error: OSError) -> StyleGANError:
    return StyleGANError(
        f"cannot keep what comes through {pipe.given} in {pipe.path.parent.parent}: {error.strerror or error}; "
        "TMPDIR names another folder"
    )


def _chunks(pipe: _Pipe) -> Iterator[bytes]:
    if pipe.source is None and (sys.stdin is None or sys.stdin.closed):
        raise StyleGANError("standard input is closed: pipe a file into it, or name one")
    if pipe.source is None and sys.stdin.isatty():
        raise StyleGANError("standard input is a terminal: pipe a file into it, or name one")
    try:
        if pipe.source is None:
            file: IO[bytes] = sys.stdin.buffer
            while chunk := file.read(CHUNK):
                yield chunk
            return
        with os.fdopen(os.open(pipe.source, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as file:
            yield _first(pipe, file.fileno())
            os.set_blocking(file.fileno(), True)
            while chunk := file.read(CHUNK):
                yield chunk
    except OSError as error:
        raise StyleGANError(f"cannot read {pipe.given}: {error.strerror or error}") from error


def _first(pipe: _Pipe, descriptor: int) -> bytes:
    """Return bytes that are there already, as soon as somebody has the other end."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if chunk := os.read(descriptor, CHUNK):
                return chunk
        except BlockingIOError:
            return b""
        time.sleep(0.02)
    raise StyleGANError(f"{pipe.given} is not a regular file but a pipe, and nobody writes to it")
