"""Errors of reading, mapping and downloading foreign files."""

from collections.abc import Iterator
from contextlib import contextmanager

from stylegan_torch.errors import StyleGANError


class ConvertError(StyleGANError):
    """A foreign file that cannot be converted: the message names the file, and the tensor or name at fault."""


class UnsafePickleError(ConvertError):
    """A pickle that asks for something outside the allow-list; nothing of it was run."""


@contextmanager
def sound(what: str) -> Iterator[None]:
    """Turn the errors that data of the wrong type or value cause into a ConvertError that says so of `what`."""
    try:
        yield
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
        raise ConvertError(f"{what} is not as any known program writes it ({type(error).__name__}: {error})") from error


class DownloadError(StyleGANError):
    """A download that failed or returned something other than the network."""
