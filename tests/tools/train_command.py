"""`stylegan train` in tests, and pictures to train on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from click.testing import CliRunner
from PIL import Image

from stylegan_torch.commands.main import main
from stylegan_torch.training.dataset import Dataset


def train_command(*arguments: object, status: int = 0) -> str:
    """Run the command, and return what it says."""
    result = CliRunner().invoke(main, ["train", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result.output


def in_classes(folder: Path, data: Dataset, classes: Sequence[str]) -> Path:
    """Write pictures to a folder, in turn to its sub-folders of these names."""
    for number, picture in enumerate(data.pictures):
        path = folder / classes[number % len(classes)] / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.transpose(1, 2, 0)).save(path)
    return folder
