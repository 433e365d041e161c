"""The page as a folder, which any static host serves and a browser draws from alone, with `page/engines/onnx.js`.

index.html, page/…         the page
network.json               what it must know of the network; see `_about`
network/mapping.onnx, synthesis.onnx
network/tables.safetensors w_avg; of each kind of directions N, directionsN.vectors and directionsN.scales; and check,
                           some 8-bit values of the picture of seed 0, by which another way to draw is tried
network/noise.safetensors  the stored noise maps, noise0 …, if there are any
runtime/…                  onnxruntime-web
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch

from stylegan_torch import __version__
from stylegan_torch.drawing.draw import noise_sizes, synthesize
from stylegan_torch.drawing.images import to_uint8
from stylegan_torch.drawing.marks import CREATOR, xmp
from stylegan_torch.drawing.seeds import latents_from_seeds
from stylegan_torch.editing.composition import METHODS
from stylegan_torch.editing.mixing import RANGES, layers_of
from stylegan_torch.errors import StyleGANError
from stylegan_torch.explorer.renderer import Renderer
from stylegan_torch.explorer.studio import Studio
from stylegan_torch.files.atomic import new_folder, why
from stylegan_torch.files.npz_record import Array
from stylegan_torch.networks.interface import Generator
from stylegan_torch.types import JsonObject

PAGE = Path(__file__).with_name("page")
SERVERS = ("engines/server.js",)
"""What of the page only a server's needs."""
_HEAD = """\
    <meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; \
style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; worker-src 'self'; base-uri 'none'; \
form-action 'none'">
    <meta name="network" content="network.json">
    <script src="page/engines/opened.js"></script>
"""
_BEFORE = '    <link rel="icon"'
_OWN = {"index.html", "network.json", "page", "network", "runtime"}
"""What a page's folder holds."""
_CHECKED = 4096
"""Values of a picture by which another way to draw is tried."""


@dataclass(frozen=True)
class Models:
    """What draws: the two ONNX models, and how far nearly all 8-bit values of their pictures are off at most."""

    mapping: bytes
    synthesis: bytes
    off: int


@dataclass(frozen=True)
class Origin:
    """Where the network is from, on a command line.

    story: command lines that make its file. options: those that every command has.
    """

    story: tuple[str, ...]
    options: tuple[str, ...]


def page_files(
    studio: Studio, models: Models, runtime: Mapping[str, bytes], origin: Origin, seeds: Sequence[int] = ()
) -> dict[str, bytes]:
    """Return the files of a page, by their paths in its folder.

    Args:
        studio: has one network, and the directions that the page will have.
        models: of it.
        runtime: as `runtime.runtime_files` returns it.
        origin: of the network.
        seeds: that are pinned when somebody first comes.

    Raises:
        StyleGANError: if the network cannot be opened, has no W, or directions are not its.
    """
    facts = studio.about(None)
    renderer = studio.renderer(str(facts["network"]))
    files = {"network/mapping.onnx": models.mapping, "network/synthesis.onnx": models.synthesis}
    files["network/tables.safetensors"] = safetensors.numpy.save(_tables(renderer, studio.directions))
    if noise := {f"noise{i}": each.cpu().numpy() for i, each in enumerate(renderer.G.synthesis.noise_buffers())}:
        files["network/noise.safetensors"] = safetensors.numpy.save(noise)
    about = _about(facts, renderer.G, models, origin, seeds)
    about |= {"bytes": sum(map(len, files.values())), "runtime": sorted(runtime)}
    files |= {"index.html": _index(), "network.json": json.dumps(about).encode()}
    for path in sorted(each for each in PAGE.rglob("*") if each.is_file()):
        name = path.relative_to(PAGE).as_posix()
        if name != "index.html" and name not in SERVERS:
            files[f"page/{name}"] = path.read_bytes()
    return files | {f"runtime/{name}": content for name, content in runtime.items()}


def _about(facts: JsonObject, G: Generator, models: Models, origin: Origin, seeds: Sequence[int]) -> JsonObject:
    """Return `network.json`: "facts" as a server tells them, and what else it takes to draw."""
    kinds = [{**each, "name": Path(each["name"]).name} for each in facts["directions"]]
    noises = list(facts["noises"])
    if "random" in noises and not _takes_normal_noise(G):
        noises.remove("random")
    return {
        "facts": {**facts, "directions": kinds, "noises": noises, "seeds": list(seeds)},
        "z_dim": G.z_dim,
        "w_dim": G.w_dim,
        "num_ws": G.num_ws,
        "size": [*G.config.img_size, G.img_channels],
        "rounding": G.rounding,
        "cutoff": G.config.truncation_cutoff,
        "noise": noise_sizes(G),
        "seeded_noise": G.config.official_noise == "seeded",
        "ranges": _ranges(G),
        "off": models.off,
        "story": list(origin.story),
        "options": list(origin.options),
        "version": __version__,
        "creator": CREATOR,
        "xmp": xmp(),
    }


def _takes_normal_noise(G: Generator) -> bool:
    drawn = torch.zeros(1)
    return G.synthesis.noise_of(drawn) is drawn


def _ranges(G: Generator) -> JsonObject:
    """Return the layers of named ranges; none of a network that has no such."""
    with suppress(ValueError):
        return {name: layers_of(G, name) for name in RANGES}
    return {}


def _tables(renderer: Renderer, kinds: Sequence[str]) -> dict[str, Array]:
    G, tables = renderer.G, {}
    if G.mapping.w_avg is not None:
        tables["w_avg"] = G.mapping.w_avg.cpu().numpy()
    for i, kind in enumerate(kinds):
        found = renderer.directions(kind)
        tables[f"directions{i}.vectors"] = found.vectors.contiguous().cpu().numpy()
        tables[f"directions{i}.scales"] = found.scales.contiguous().cpu().numpy()
    with torch.no_grad():
        ws = G.mapping(latents_from_seeds([0], G.z_dim).to(G.device), torch.zeros(1, G.c_dim, device=G.device))
        picture = to_uint8(synthesize(G, ws), G.rounding).numpy().ravel()
    tables["check"] = np.ascontiguousarray(picture[:: -(-len(picture) // _CHECKED)])
    return tables


def _index() -> bytes:
    index = (PAGE / "index.html").read_text(encoding="utf-8")
    before, icon, after = index.partition(_BEFORE)
    return f"{before}{_HEAD}{icon}{after}".encode()


def refuse_same_names(kinds: Iterable[str]) -> None:
    """Look whether directions can be told apart on a page, where files have no folders.

    Raises:
        StyleGANError: if two files have one name, or one has that of a method.
    """
    seen = dict.fromkeys(METHODS, "the page's own")
    for kind in kinds:
        name = Path(kind).name
        if name in seen:
            raise StyleGANError(f"--directions {kind}: {seen[name]} have the name {name} too; rename the file")
        seen[name] = f"those of {kind}"


def refuse_folder(folder: Path, force: bool) -> None:
    """Look whether a page can be written to a folder, before the work that it takes.

    Raises:
        StyleGANError: if there is anything else, even beside a page, or a page and `force` is off.
    """
    try:
        if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
            return
        if not folder.is_dir():
            raise StyleGANError(f"{folder} is a file; name a folder")
        if not ((folder / "network.json").is_file() and (folder / "index.html").is_file()):
            raise StyleGANError(f"{folder} holds other things than a page; name another folder")
        if others := sorted({path.name for path in folder.iterdir()} - _OWN):
            raise StyleGANError(f"{folder} holds {others[0]} beside a page; move that away, or name another folder")
        if not force:
            raise StyleGANError(f"{folder} exists; use --force to replace it")
    except (OSError, ValueError) as error:
        raise StyleGANError(f"cannot write {folder}: {why(error)}") from error


def write_folder(folder: Path, files: Mapping[str, bytes], force: bool = False) -> None:
    """Write files by their paths in a folder, which is there when all are.

    Raises:
        StyleGANError: if it cannot be written, or `refuse_folder` has something against it.
    """
    refuse_folder(folder, force)
    folder = folder.resolve()
    try:
        with (
            new_folder(folder.parent),
            tempfile.TemporaryDirectory(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent) as place,
        ):
            made = Path(place) / "new"
            for name, content in files.items():
                path = made / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            _replace(folder, made, Path(place) / "old")
    except OSError as error:
        raise StyleGANError(f"cannot write {folder}: {error.strerror or error}") from error


def _replace(folder: Path, made: Path, old: Path) -> None:
    """Put `made` where a folder is or is to be; what was there becomes `old`, unless that fails."""
    try:
        if folder.exists():
            folder.rename(old)
        made.rename(folder)
    except BaseException:
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise


def megabytes(files: Mapping[str, bytes], *prefixes: str) -> float:
    """Return how large the files are whose paths begin so."""
    return sum(len(content) for name, content in files.items() if name.startswith(prefixes)) / 1e6
