"""Errors of reading, mapping and downloading foreign files."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stylegan_torch.errors import CheckpointError, StyleGANError


class ConvertError(CheckpointError):
    """A foreign file that cannot be converted: the message names the file, and the tensor or name at fault."""


class UnsafePickleError(ConvertError):
    """A pickle that asks for something outside the allow-list; nothing of it was run."""


@contextmanager
def sound(what: str) -> Iterator[None]:
    """Turn the errors that data of the wrong type or value cause into a ConvertError that says so of `what`."""
    try:
        yield
    except MemoryError as error:
        raise ConvertError(f"{what} claims more than fits into memory") from error
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, zipfile.BadZipFile) as error:
        raise ConvertError(f"{what} is not as any known program writes it ({type(error).__name__}: {error})") from error


@contextmanager
def within(part: str) -> Iterator[None]:
    """Say which part of a file errors are about, if they don't."""
    try:
        yield
    except CheckpointError as error:
        error.part = error.part or part
        raise


@contextmanager
def naming(path: Path, member: str | None = None) -> Iterator[None]:
    """Say which file errors are about, if they don't; `member` is what of an archive."""
    try:
        yield
    except CheckpointError as error:
        error.path = error.path or (f"{path}!{member}" if member else path)
        raise


class DownloadError(StyleGANError):
    """A download that failed or returned something other than the network."""
