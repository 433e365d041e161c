"""Types of the arguments that name files."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stylegan_torch.commands.given import is_pipe, note_check, note_network, note_pipe
from stylegan_torch.commands.terminal import parse_seeds
from stylegan_torch.editing.composition import is_file_of_latents
from stylegan_torch.editing.distances import NAMES, require_trust
from stylegan_torch.errors import StyleGANError

Pictures = list[int] | Path
"""Seeds, or a file of latents."""
if TYPE_CHECKING:
    _Type = click.ParamType[object]
else:
    _Type = click.ParamType  # which is generic only lately


class InputFile(_Type):
    """A file, or a pipe; - is standard input. Gives a `Path`. It must be there when the command's work begins."""

    name = "path"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """Return the path."""
        if not isinstance(value, str) or ctx is None:
            return value
        try:
            if is_pipe(value):
                return self.piped(note_pipe(value, ctx))
            made = self.made(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        note_check(lambda: self.check(value), ctx)
        return made

    def piped(self, path: Path) -> object:
        """Return what the command gets for a pipe, whose bytes will be at a path that says nothing of what they are.

        Raises:
            ValueError: if there can be none here.
        """
        return self.made(str(path))

    def made(self, text: str) -> object:
        """Return what the command gets for a name.

        Raises:
            ValueError: if it makes no sense.
        """
        return Path(text)

    def check(self, text: str) -> None:
        """Raise StyleGANError if a name's file is not there, or is a device or a pipe, which may have no end."""
        try:
            if Path(text).exists() and not (Path(text).is_file() or Path(text).is_dir()):
                raise StyleGANError(f"{text} is not a regular file")
            Path(text).open("rb").close()
        except (OSError, ValueError) as error:
            raise StyleGANError(f"cannot read {text}: {getattr(error, 'strerror', None) or error}") from error


class InputFolder(InputFile):
    """A file as `InputFile`, or a folder."""

    def check(self, text: str) -> None:
        """Raise StyleGANError if there is neither."""
        if not Path(text).is_dir():
            super().check(text)


class NetworkFile(InputFile):
    """A file of ours, or anything stylegan-convert reads, URLs and names of published networks too. Gives a `str`."""

    name = "text"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """Return the name."""
        name = super().convert(value, param, ctx)
        if isinstance(name, str) and ctx:
            note_network(name, ctx)
        return name

    def made(self, text: str) -> str:
        """Return the name as it is."""
        return text

    def check(self, text: str) -> None:
        """Raise StyleGANError if there is no such network; nothing is downloaded."""
        # Only a command may reach up to the converter, and only when it runs.
        from converter.sources.locate import check

        check(text)


class PicturesFile(InputFile):
    """Seeds such as "1,5-9", or a file of latents (.npz, .npy). Gives `Pictures`."""

    name = "text"

    def made(self, text: str) -> Pictures:
        """Return the seeds, or the path."""
        return Path(text) if is_file_of_latents(text) or Path(text).is_absolute() else parse_seeds(text)

    def check(self, text: str) -> None:
        """Raise StyleGANError if it is a file that is not there."""
        if isinstance(self.made(text), Path):
            super().check(text)


class DistanceFile(InputFile):
    """The name of a distance, or a TorchScript file. Gives a `str`."""

    name = "text"

    def made(self, text: str) -> str:
        """Return the name as it is."""
        return text

    def check(self, text: str) -> None:
        """Raise StyleGANError if it is a file that is not there, or not trusted with --trust-distance."""
        require_trust(text, click.get_current_context().params["trust_distance"])
        if text not in NAMES:
            super().check(text)


class OutputFile(click.Path):
    """A file or folder to write, whose name ends as it must; folders that are missing are made. Gives a `Path`."""

    def __init__(self, *suffixes: str) -> None:
        """Take the endings that names may have; none = any."""
        super().__init__(path_type=Path)
        self.suffixes = suffixes

    def convert(self, value: str | PathLike[str], param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path."""
        if value == "-":
            self.fail("nothing is written to standard output: name a file, not -", param, ctx)
        path = Path(str(super().convert(value, param, ctx)))
        if self.suffixes and path.suffix.lower() not in self.suffixes:
            endings = " or ".join(filter(None, [", ".join(self.suffixes[:-1]), self.suffixes[-1]]))
            self.fail(f"{path} does not end in {endings}", param, ctx)
        return path


INPUT = InputFile()
NETWORK_FILE = NetworkFile()
OUTPUT = OutputFile()
