"""The errors users meet. All derive from `StyleGANError`; each message is one line that says what to do."""

from os import PathLike

from stylegan_torch.text import printable, shortened


class StyleGANError(Exception):
    """Base of every error this project raises on purpose; commands print it on one line and exit with 1.

    Names from files may be in a message, so its text has escapes for what a terminal would act on.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


class CheckpointError(StyleGANError):
    """A file that is not one of ours, is damaged, or lacks the network asked for.

    Attributes:
        reason: what is wrong, without the rest.
        path: the file it is about, as the user named it; None where that is not known.
        part: what of the file, such as "network G_ema"; None if all of it.
    """

    def __init__(self, reason: str, path: str | PathLike[str] | None = None, part: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.path, self.part = reason, path, part

    def __str__(self) -> str:
        pieces = (self.path, self.part, shortened(self.reason))
        return printable(": ".join(str(piece) for piece in pieces if piece is not None))


class NoAverageError(StyleGANError, ValueError):
    """Truncation is asked of a network without an average w."""

    def __init__(self) -> None:
        super().__init__(
            "this network has no average w (it was made with w_avg_beta=None), so it can't be truncated: "
            "truncation_psi must be 1"
        )


class NoClassError(StyleGANError, ValueError):
    """A class is asked of a network that does not have it."""

    def __init__(self, class_index: int, c_dim: int) -> None:
        known = f"classes 0 to {c_dim - 1}" if c_dim else "no classes"
        super().__init__(f"there is no class {class_index}: this network has {known}")
