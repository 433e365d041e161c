"""What the documents show: commands and Python, and small files by the names that they use."""

from __future__ import annotations

import io
import lzma
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from zipfile import ZipFile

import click
from PIL import Image

import checkpoints
import converter
from converter.foreign import ForeignFile
from converter.forms.tensorflow.pickler import carrying, write_pickle
from converter.reading import open_source
from examples.faces.faces import draw_face, random_face
from examples.faces.faces import main as faces
from stylegan_torch.commands.export_tf import main as export
from stylegan_torch.commands.inputs import OutputFile
from stylegan_torch.commands.main import main
from tests import DATA, HOME
from tests.tools.jail import weak_option
from tests.tools.tf_builder import SOURCES

PAGES = [HOME / "README.md", *sorted((HOME / "docs").rglob("*.md"))]
COMMANDS = {"stylegan": main, "python -m examples.faces.faces": faces}

_BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Shown:
    """A command as a page shows it: our command, and its words after the name."""

    text: str
    command: click.Command
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """What the command is called after `stylegan`."""
        return str(self.command.name)


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return the languages and texts of a page's blocks."""
    return _BLOCK.findall(page.read_text(encoding="utf-8"))


def lines(page: Path) -> Iterator[str]:
    """Yield what a page tells to type: the lines of blocks for a shell, and the commands in tables of the README."""
    for language, text in blocks(page):
        if language in ("", "sh", "console"):
            typed = (line.partition("  #")[0].strip() for line in text.replace("\\\n", " ").splitlines())
            yield from (line.removeprefix("$ ") for line in typed if line and (language != "console" or line[0] == "$"))
    if page.name == "README.md" and page.parent == HOME:
        rows = re.findall(r"^\|.*$", page.read_text(encoding="utf-8"), re.MULTILINE)
        cells = [code for row in rows for code in re.findall(r"`(stylegan[ -][^`]*)`", row)]
        yield from (code for code in cells if len(code.split()) > 2 or code.startswith("stylegan-convert "))


def inline(page: Path) -> list[str]:
    """Return the commands that a page names within its text."""
    return re.findall(r"`(stylegan[ -][^`]*)`", _BLOCK.sub("", page.read_text(encoding="utf-8")))


def understood(text: str) -> Shown | None:
    """Return the command of a line; None if it is another program's.

    Raises:
        click.UsageError: if there is no such command.
    """
    text = re.sub(r".*\$\(which stylegan\)", "stylegan", text.partition(" | ")[0])
    for start, command in COMMANDS.items():
        if text.startswith(f"{start} "):
            words = shlex.split(text.removeprefix(f"{start} "))
            return Shown(text, *_command(command, words))
    name, _, rest = text.partition(" ")
    if name.startswith("stylegan-"):
        return Shown(text, *_command(main, [name.removeprefix("stylegan-"), *shlex.split(rest)]))
    return None


def _command(command: click.Command, words: list[str]) -> tuple[click.Command, tuple[str, ...]]:
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words[0])
        if found is None and command is main:
            raise click.UsageError(f"there is no command {words[0]}")
        if found is None:
            break
        command, words = found, words[1:]
    return command, tuple(words)


def outputs(shown: Shown, words: list[str]) -> set[str]:
    """Return the names that a command writes to."""
    context = shown.command.make_context(shown.name, list(words))
    written = [
        param for param in shown.command.params if isinstance(param.type, OutputFile) or _WRITTEN & {*param.opts}
    ]
    written += faces.params[:1] if shown.command is faces else []
    values = [context.params.get(str(param.name)) for param in written]
    return {str(each).rstrip("/") for each in values if each is not None}


_WRITTEN = {"--out", "--outdir"}


# Files that the pages name. Each is made when a line first has it.


def _network(path: Path) -> None:
    converter.convert(checkpoints.DEMO, path)


def _stylegan3(path: Path) -> None:
    converter.convert(DATA / "sg3t_64.pkl", path)


def _onnx(path: Path) -> None:
    converter.convert(DATA / "ada.pkl", path)


def _copied(source: Path) -> Callable[[Path], None]:
    return lambda path: _link(source, path)


def _xz(path: Path) -> None:
    path.write_bytes(lzma.compress((DATA / "ada.pkl").read_bytes()))


def _photo(path: Path) -> None:
    face = draw_face(random_face(1)).resize((256, 256), Image.Resampling.BICUBIC)
    image = Image.new("RGB", (420, 330), face.getpixel((0, 0)))
    image.paste(face, (90, 40))
    image.save(path)


def _photos(path: Path) -> None:
    path.mkdir()
    for seed in range(8):
        draw_face(random_face(seed)).save(path / f"{seed}.png")


def _party(path: Path) -> None:
    path.mkdir()
    _photo(path / "a.png")


def _classes(path: Path) -> None:
    path.mkdir()
    for name in ("daisy", "tulip"):
        _photos(path / name)


def _zip(path: Path) -> None:
    with ZipFile(path, "w") as file:
        for seed in range(8):
            data = io.BytesIO()
            draw_face(random_face(seed)).save(data, "png")
            file.writestr(f"{seed}.png", data.getvalue())


def _mask(path: Path) -> None:
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (8, 8, 56, 56))
    mask.save(path)


def _run(text: str) -> Callable[[Path], None]:
    """Return what makes a file by one of our own commands, in a folder of its own."""

    def make(path: Path) -> None:
        shown = understood(text)
        assert shown
        words = [word.replace("OUT", str(path)) for word in shown.words]
        shown.command.main(words, standalone_mode=False)

    return make


def _stopped(path: Path) -> None:
    photos = path.with_name("photos")
    if not photos.exists():
        _photos(photos)
    _run(f"stylegan train {photos} --network {checkpoints.DEMO} --outdir OUT --kimg 0.004 --batch 4")(path)


def _keys(path: Path) -> None:
    (table,) = re.findall(r"^```csv\n(.*?)^```$", (HOME / "docs/guides/film.md").read_text(), re.MULTILINE | re.DOTALL)
    path.write_text(table)


def _labels(path: Path) -> None:
    path.write_text("".join(f"{seed},{seed % 2}\n" for seed in range(24)))


def _recipe(path: Path) -> None:
    (recipe,) = re.findall(
        r"^```toml\n(.*?)^```$", (HOME / "docs/guides/train.md").read_text(), re.MULTILINE | re.DOTALL
    )
    path.write_text(recipe.replace("resolution = 256", "resolution = 16").replace("16384", "256"))


def _certificate(path: Path) -> None:
    from tests.tools.certificate import write_certificate

    made = path.parent / "certificate"
    made.mkdir(exist_ok=True)
    for source, name in zip(write_certificate(made), ("chain.pem", "key.pem"), strict=True):
        shutil.copy(source, path.parent / name)


def _with_program(path: Path) -> None:
    source = open_source(DATA / "sg2-skip.pkl")
    assert isinstance(source, ForeignFile)
    code = (SOURCES / "stylegan2.py").read_text(encoding="utf-8")
    write_pickle(path, [carrying(source.networks[role], code) for role in ("G", "D", "G_ema")])


def _reference(path: Path) -> None:
    program = path.parent / "program.pkl"
    if not program.exists():
        _with_program(program)
    words = [program, path.with_name("dump.npz"), "--trust-embedded-code", *weak_option(), "--reference", path]
    export.main(list(map(str, words)), standalone_mode=False)


FILES: dict[str, Callable[[Path], None]] = {
    "FILE": _copied(DATA / "ada.pkl"),
    "ffhq.pkl": _copied(checkpoints.DEMO),
    "checkpoints/demo/faces.pkl": _copied(checkpoints.DEMO),
    "faces.pt": _network,
    "ffhq.pt": _network,
    "mine.pt": _network,
    "toons.pt": _network,
    "run/network-000500000.pt": _network,
    "run/network-001500000.pt": _network,
    "out/photo.pt": _network,
    "ffhq.onnx": _onnx,
    "stylegan3.pt": _stylegan3,
    "stylegan3-r.pkl": _copied(DATA / "sg3r_64.pkl"),
    "cifar10.pkl": _copied(DATA / "ada4_orig_cifar.pkl"),
    "snapshot.pkl.xz": _xz,
    "rosinality.pt": _copied(DATA / "community" / "rosinality_sg2_convert.pt"),
    "program.pkl": _with_program,
    "ref.npz": _reference,
    "photo.jpg": _photo,
    "photo.png": _photo,
    "photos": _photos,
    "pictures": _photos,
    "party": _party,
    "flowers": _classes,
    "photos.zip": _zip,
    "cars.zip": _zip,
    "ffhq.zip": _zip,
    "faces.zip": _zip,
    "me.npz": _run("stylegan draw --seeds 0-3 --save-latents OUT --out OUT.png"),
    "out/photo.npz": _run("stylegan draw --seeds 1 --save-latents OUT --out OUT.png"),
    "pca.npz": _run("stylegan directions --method pca --out OUT"),
    "smile.npz": _run("stylegan directions --method sefa --out OUT"),
    "smiles.csv": _labels,
    "keys.csv": _keys,
    "recipe.toml": _recipe,
    "stopped": _stopped,
    "face.png": _mask,
    "chain.pem": _certificate,
    "key.pem": _certificate,
    "faces": _run("stylegan bulk --count 8 --shard-size 4 --out OUT"),
}
BESIDE = {"keys.csv": ["me.npz"], "run": ["run/network-000500000.pt", "run/network-001500000.pt"]}
"""What else is there where a name is."""


def provide(name: str, folder: Path, pool: Path) -> None:
    """Put a file that pages name into a folder, made in `pool` the first time."""
    made = pool / name
    if not made.exists():
        made.parent.mkdir(parents=True, exist_ok=True)
        FILES[name](made)
    _link(made, folder / name)
    for other in BESIDE.get(name, ()):
        provide(other, folder, pool)


def _link(source: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        return
    if source.is_dir():
        shutil.copytree(source, path)
    else:
        shutil.copyfile(source, path)


def named(text: str) -> list[str]:
    """Return the names of `FILES` in a command, those that a pattern with * means too."""
    words = [word.rstrip("/") for word in re.split(r"[\s=!:,']+", text)]
    return [name for name in FILES if any(name == word or fnmatchcase(name, word) for word in words)]
