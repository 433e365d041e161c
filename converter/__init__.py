"""Foreign checkpoints in, foreign checkpoints out: the only place that knows other projects' names and file formats."""

from converter.convert import Summary, convert, inspect, load
from converter.errors import ConvertError, DownloadError, UnsafePickleError

__all__ = ["ConvertError", "DownloadError", "Summary", "UnsafePickleError", "convert", "inspect", "load"]
