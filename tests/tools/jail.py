"""What shuts a stranger's program in, on this machine, on others, and for other users.

    python -m tests.tools.jail USER DENIED SCRIPT [ARGUMENT …]

runs a Python script as a USER, "root" or "ordinary", on a system that lacks the layers DENIED (names of
`isolation.LAYERS`, with commas). Exits with status 77, and says why, where that cannot be done.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import runpy
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter.original.tf_runtime.isolation import LAYERS
from converter.original.tf_runtime.seccomp import load
from tests import HOME

if TYPE_CHECKING:
    from converter.original.run import Original

CANNOT = 77
NOBODY = 65534
_CALLS = {
    "x86_64": {"name spaces": (272,), "seccomp": (157, 22)},
    "aarch64": {"name spaces": (97,), "seccomp": (167, 22)},
}
"""The number of the call that a layer begins with, and its first argument if others are to be left alone."""
_NEW_MOUNTS, _BIND, _RECURSIVE, _PRIVATE, _DETACH = 0x20000, 1 << 12, 1 << 14, 1 << 18, 2


_ASK = """
import sys
from pathlib import Path
from converter.original.tf_runtime.isolation import LAYERS, isolate

in_force = isolate(Path(sys.argv[1]), 16 << 30)
print(*(layer.name for layer in LAYERS if layer.name not in in_force), sep="\\n")
"""


@functools.cache
def missing(user: str = "") -> tuple[str, ...]:
    """Return the names of the layers that this machine lacks for a user; some containers offer less.

    Args:
        user: "root", "ordinary", or nothing for whoever runs the tests.
    """
    with tempfile.TemporaryDirectory() as name:
        folder, script = Path(name), Path(name, "ask.py")
        script.write_text(_ASK)
        folder.chmod(0o777)
        result = subprocess.run(
            command_as(user, "", script, folder), check=False, capture_output=True, text=True, env=environment(folder)
        )
    assert result.returncode in (0, CANNOT), result.stderr
    return tuple(filter(None, result.stdout.splitlines()))


def weak_option() -> list[str]:
    """Return the option that embedded programs take to be run on this machine."""
    return ["--weak-isolation"] if missing() else []


def export(src: Path, dst: Path, *arguments: Any, **options: Any) -> Original:
    """Do what the converter's `export` does, on this machine."""
    from converter.original import export as original  # which takes long to import

    return original.export(src, dst, *arguments, weak_isolation=bool(missing()), **options)


def command_as(user: str, denied: str, script: str | Path, *arguments: object) -> list[str]:
    """Return what runs a script as a user, on a system without some layers."""
    return [sys.executable, "-m", "tests.tools.jail", user, denied, str(script), *map(str, arguments)]


def environment(place: Path) -> dict[str, str]:
    """Return what such a command takes to find this project, and its temporary folder."""
    return {**os.environ, "PYTHONPATH": str(HOME), "TMPDIR": str(place), "HOME": str(place)}


def as_user(
    user: str, denied: str, place: Path, script: str | Path, *arguments: object
) -> subprocess.CompletedProcess[str]:
    """Run such a command to its end; skip the test where that cannot be played."""
    import pytest  # which what runs as another user has no need of

    command = command_as(user, denied, script, *arguments)
    result = subprocess.run(command, check=False, capture_output=True, text=True, cwd=HOME, env=environment(place))
    if result.returncode == CANNOT:
        pytest.skip(result.stderr.strip())
    return result


def main() -> None:
    """Do what the module says."""
    user, denied, *sys.argv = sys.argv[1:]
    try:
        if user == "ordinary" and os.geteuid() == 0:
            _show((Path(sys.base_prefix), Path(sys.prefix), HOME))
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        elif user == "root" and os.geteuid():
            raise OSError("only root can be root")
        for name in filter(None, denied.split(",")):
            _deny(name)
    except OSError as error:
        sys.stderr.write(f"cannot play {user} without {denied or 'nothing'} here: {error}\n")
        sys.exit(CANNOT)
    runpy.run_path(sys.argv[0], run_name="__main__")


def _show(paths: tuple[Path, ...]) -> None:
    """Let other users reach folders that are in one of root's, in this process and its children alone."""
    hidden = {path: top for path in paths for top in path.parents if not top.stat().st_mode & 1}
    if not hidden:
        return
    libc = ctypes.CDLL(None, use_errno=True)

    def mount(source: object, target: Path, kind: str, flags: int, options: str | None = None) -> None:
        arguments = [str(text).encode() if text else None for text in (source, target, kind)]
        if libc.mount(*arguments, ctypes.c_ulong(flags), options.encode() if options else None):
            raise OSError(ctypes.get_errno(), f"{target} cannot be mounted")

    if libc.unshare(_NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "no mount name space")
    mount(None, Path("/"), "", _RECURSIVE | _PRIVATE)
    held = {path: Path(tempfile.mkdtemp()) for path in hidden}
    for path, folder in held.items():
        mount(path, folder, "", _BIND | _RECURSIVE)
    for top in {hidden[path] for path in paths if path in hidden}:
        mount("tmpfs", top, "tmpfs", 0, "mode=755")
    for path, folder in held.items():
        path.mkdir(parents=True, exist_ok=True)
        mount(folder, path, "", _BIND | _RECURSIVE)
        libc.umount2(str(folder).encode(), _DETACH)
        folder.rmdir()


def _deny(layer: str) -> None:
    """Let the call that a layer begins with fail, as where the kernel lacks it or a container forbids it."""
    assert layer in {known.name for known in LAYERS}
    number, *argument = (444,) if layer == "Landlock" else _CALLS[platform.machine()][layer]
    equal, give, allow, refuse = 0x15, 0x06, 0x7FFF0000, 0x00050001
    program = [(0x20, 0, 0, 0), (equal, 0, 1 + 2 * len(argument), number)]
    for value in argument:
        program += [(0x20, 0, 0, 16), (equal, 0, 1, value)]
    program += [(give, 0, 0, refuse), (give, 0, 0, allow)]
    load(b"".join(struct.pack("HBBI", *instruction) for instruction in program))


if __name__ == "__main__":
    main()
