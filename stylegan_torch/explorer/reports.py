"""What a visitor reads of an error."""

from __future__ import annotations

import errno
import logging
import re

from stylegan_torch.errors import StyleGANError
from stylegan_torch.text import one_line

_FULL = (errno.ENOSPC, errno.EDQUOT)
LOG = logging.getLogger("stylegan_torch.explorer")
"""At the level DEBUG, with tracebacks."""


def report(error: Exception) -> str:
    """Print an error that nobody expected, and return what a visitor reads of it."""
    line = one_line(f"unexpected {type(error).__name__}: {error}")
    LOG.error("Error: %s", line, exc_info=error if LOG.isEnabledFor(logging.DEBUG) else None)
    return line


def told(error: Exception) -> str:
    """Return what a visitor reads of any error: a line, that names their files without our folders."""
    if isinstance(error, OSError) and error.errno in _FULL:
        LOG.error("Error: %s", error)
        return "the disk of the computer that serves this page is full"
    line = one_line(str(error)) if isinstance(error, StyleGANError) else report(error)
    return re.sub(r"\S*stylegan-explore-\w+/(\w+/)*", "", line)
