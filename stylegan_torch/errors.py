"""The errors users meet. All derive from `StyleGANError`; each message is one line that says what to do."""


class StyleGANError(Exception):
    """Base of every error this project raises on purpose; commands print it on one line and exit with 1."""


class CheckpointError(StyleGANError):
    """A file that is not one of ours, is damaged, or lacks the network asked for."""


class NoAverageError(StyleGANError, ValueError):
    """Truncation is asked of a network without an average w."""

    def __init__(self) -> None:
        super().__init__(
            "this network has no average w (it was made with w_avg_beta=None), so it can't be truncated: "
            "truncation_psi must be 1"
        )
