"""Shutting a process in before it runs a stranger's code; standard library only.

Every layer is tried, and those that are in force are told; what a layer is for is said in `LAYERS`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .landlock import restrict_files
from .seccomp import restrict_calls

_NEW_USER, _NEW_NET, _NEW_IPC, _NEW_PID = 0x10000000, 0x40000000, 0x08000000, 0x20000000
_SET_PARENT_DEATH_SIGNAL, _SIGKILL = 1, 9
_CAPABILITIES = 0x20080522
"""Version of the kernel's record of capabilities: two times three words of 32 bits."""
SIGNALLED = 128
"""Exit statuses beyond tell the signal that ended the process, as those of shells do."""
ADDRESSES = 64 << 30
"""Bytes of address space beyond the memory: libraries, stacks and what is reserved without being used."""
OPEN_FILES = 256


@dataclass(frozen=True)
class Layer:
    """A protection that a system may have.

    name: what the system calls it.
    words: what it means for the program, "a process with …", to be formatted with `gigabytes`.
    apply: puts it in force, given the one folder that may be written to and the bytes that may be held; raises OSError
        where it cannot be had, and what Python's interface raises where that lacks it.
    """

    name: str
    words: str
    apply: Callable[[Path, int], None]


def isolate(folder: Path, memory: int) -> list[str]:
    """Shut this process in; call it before there are threads.

    Args:
        folder: the one that may be written to.
        memory: bytes that the process may hold.

    Returns:
        The names of the layers that are in force.
    """
    os.chdir(folder)
    in_force = []
    for layer in LAYERS:
        with contextlib.suppress(OSError, ImportError, AttributeError, ValueError):
            layer.apply(folder, memory)
            in_force.append(layer.name)
    return in_force


def _limit_resources(folder: Path, memory: int) -> None:
    import resource  # Windows has none

    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: memory,
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_DATA: memory,  # what is written to
        resource.RLIMIT_AS: memory + ADDRESSES,  # and what was written to before it was made read-only
    }
    for limit, value in limits.items():
        hard = resource.getrlimit(limit)[1]
        held = value if hard < 0 else min(hard, value)
        resource.setrlimit(limit, (held, held))
    _on_linux()  # others take the limits and don't heed them


def _enter_name_spaces(folder: Path, memory: int) -> None:
    """Go on as the second process of new name spaces: the first waits for it, and all others end with the first.

    Not as the first itself, since that one is spared by signals.
    """
    libc = _on_linux()
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(_NEW_USER | _NEW_NET | _NEW_IPC | _NEW_PID):
        raise OSError(ctypes.get_errno(), "no name spaces for it")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with contextlib.suppress(OSError):
            Path("/proc/self", name).write_text(text)
    _end_with_parent(folder, memory)  # which changing the user undoes
    for _ in range(2):
        child = os.fork()
        if child:
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            os._exit(status if status >= 0 else SIGNALLED - status)
        _end_with_parent(folder, memory)


def _end_with_parent(folder: Path, memory: int) -> None:
    _on_linux().prctl(_SET_PARENT_DEATH_SIGNAL, _SIGKILL)


def _restrict_files(folder: Path, memory: int) -> None:
    _on_linux()
    restrict_files(folder)


def _drop_capabilities(folder: Path, memory: int) -> None:
    if _on_linux().capset(struct.pack("Ii", _CAPABILITIES, 0), bytes(24)):
        raise OSError(ctypes.get_errno(), "it keeps its capabilities")


def _restrict_calls(folder: Path, memory: int) -> None:
    _on_linux()
    restrict_calls()


def _on_linux() -> ctypes.CDLL:
    """Return the C library.

    Raises:
        OSError: on another system, which has none of what it would be asked for.
    """
    if sys.platform != "linux":
        raise OSError("not on this system")
    return ctypes.CDLL(None, use_errno=True)


LAYERS = (
    Layer("resource limits", "at most {gigabytes:.1f} GB of memory and files", _limit_resources),
    Layer("parent-death signals", "an end no later than this command's", _end_with_parent),
    Layer("name spaces", "no network and no processes but its own", _enter_name_spaces),
    Layer("Landlock", "no files but Python's and its own", _restrict_files),
    Layer("dropped capabilities", "no rights of root", _drop_capabilities),
    Layer("seccomp", "no sockets, no further processes or programs, no memory that isn't counted", _restrict_calls),
)
"""In the order in which they are applied: the later ones take away what the earlier ones need."""
