"""Errors of reading, mapping and downloading foreign files."""

from stylegan_torch.errors import StyleGANError


class ConvertError(StyleGANError):
    """A foreign file that cannot be converted: the message names the file, and the tensor or name at fault."""


class UnsafePickleError(ConvertError):
    """A pickle that asks for something outside the allow-list; nothing of it was run."""


class DownloadError(StyleGANError):
    """A download that failed or returned something other than the network."""
