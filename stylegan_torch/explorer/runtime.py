"""onnxruntime-web, which draws in browsers: its files from npm, held against a known hash, or from a folder."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

from stylegan_torch.errors import StyleGANError
from stylegan_torch.files.atomic import cache_folder, new_file

PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Of the package, as npm writes it."""
WASM = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
"""What draws on the processor."""
WEBGPU = ("ort.webgpu.min.mjs", "ort-wasm-simd-threaded.asyncify.mjs", "ort-wasm-simd-threaded.asyncify.wasm")
"""What draws on a graphics card, by WebGPU."""
_UNPACKED = "package/dist"
"""Where they are in the package."""
_SOON = ("--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000")
"""Without them, npm tries for minutes where there is no connection."""
_WAY_OUT = f"or give the unpacked package {PACKAGE} {VERSION} by --runtime"


class RuntimeFilesError(StyleGANError):
    """The runtime cannot be had, or is not what it should be."""


def runtime_files(folder: Path | None = None, *, webgpu: bool = True) -> dict[str, bytes]:
    """Return the files that a page needs, by name.

    Args:
        folder: where they are, the package's folder, or `dist` in it; None = npm brings them, once, into the cache.
        webgpu: take what draws by WebGPU along; of a folder, if it is there.

    Raises:
        RuntimeFilesError: if they cannot be had.
    """
    return _of_folder(folder, webgpu) if folder else _of_package(_package(), (*WASM, *WEBGPU) if webgpu else WASM)


def _of_folder(folder: Path, webgpu: bool) -> dict[str, bytes]:
    place = next((each for each in (folder, folder / "dist", folder / _UNPACKED) if (each / WASM[0]).is_file()), None)
    if place is None:
        raise RuntimeFilesError(f"{folder} has no {WASM[0]}: it is not the package {PACKAGE}, or another version of it")
    version = _version(place.resolve().parent / "package.json")
    if version != VERSION:
        raise RuntimeFilesError(f"{folder} has {PACKAGE} {version or 'of no known version'}, not {VERSION}")
    wanted = (*WASM, *WEBGPU) if webgpu and all((place / name).is_file() for name in WEBGPU) else WASM
    try:
        return {name: (place / name).read_bytes() for name in wanted}
    except OSError as error:
        raise RuntimeFilesError(f"cannot read {error.filename}: {error.strerror}") from error


def _version(path: Path) -> str | None:
    """Return the version that a package says it is of, None if that is not known."""
    try:
        about = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    version = about.get("version") if isinstance(about, dict) else None
    return version if isinstance(version, str) else None


def _of_package(package: bytes, wanted: tuple[str, ...]) -> dict[str, bytes]:
    found = {}
    with tarfile.open(fileobj=BytesIO(package)) as archive:
        for name in wanted:
            content = archive.extractfile(f"{_UNPACKED}/{name}")
            assert content is not None  # as the hash is right
            found[name] = content.read()
    return found


def _package() -> bytes:
    """Return the package, from the cache if it is there whole."""
    kept = cache_folder() / f"{PACKAGE}-{VERSION}.tgz"
    if kept.is_file() and _is_sound(content := kept.read_bytes()):
        return content
    content = _downloaded()
    if not _is_sound(content):
        raise RuntimeFilesError(f"npm brought another {PACKAGE} {VERSION} than is known: its sha512 differs")
    with new_file(kept, force=True) as file:
        file.write(content)
    return content


def _downloaded() -> bytes:
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeFilesError(f"npm, which brings {PACKAGE}, is not here: install Node.js, {_WAY_OUT}")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", *_SOON]
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
        packed = list(Path(folder).glob("*.tgz"))
        if ran.returncode or not packed:
            code = re.search(r"\bcode (\w+)", ran.stderr)
            reason = f" ({code[1]})" if code else ""
            raise RuntimeFilesError(f"npm could not bring {PACKAGE} {VERSION}{reason}: try again, {_WAY_OUT}")
        return packed[0].read_bytes()


def _is_sound(package: bytes) -> bool:
    return base64.b64encode(hashlib.sha512(package).digest()).decode() == SHA512
