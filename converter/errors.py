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
    """Put the name of the part they are about in front of errors."""
    try:
        yield
    except CheckpointError as error:
        raise type(error)(f"{part}: {error}") from error


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's name in front of errors that don't begin with it."""
    try:
        yield
    except CheckpointError as error:
        raise error if str(error).startswith(str(path)) else type(error)(f"{path}: {error}") from error


class DownloadError(StyleGANError):
    """A download that failed or returned something other than the network."""
