"""Shutting a process in before it runs a stranger's code; standard library only.

What the system offers is used, from the first limit that is there to the last, and what took effect is told:

- Linux name spaces: no network, not even the machine's own, and no other processes, so that all it starts ends with it;
- Linux Landlock: nothing is read but the system's and Python's own folders, nothing written but one folder, no other
  process looked into;
- resource limits: memory, file size, no core dumps.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

_NEW_USER, _NEW_NET, _NEW_IPC, _NEW_PID = 0x10000000, 0x40000000, 0x08000000, 0x20000000
_SET_PARENT_DEATH_SIGNAL, _SET_NO_NEW_PRIVILEGES, _SIGKILL = 1, 38, 9
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same numbers on all machines
_RULE_PATH_BENEATH, _VERSION = 1, 1

# Landlock's rights, as bits: what may be done with files
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_ALL_BUT = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1}
"""All rights over files that a version of Landlock knows; later ones have those of version 3 and more."""
_TCP = 3
_SCOPES = 3

_SYSTEM = (
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/bin",
    "/sbin",
    "/opt",
    "/nix/store",
    "/gnu/store",
    "/etc",
    "/proc",
    "/sys",
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
SIGNALLED = 128
"""Exit statuses beyond tell the signal that ended the process, as those of shells do."""
FILE_LIMIT = 64 << 30
"""Bytes that the largest file may have."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def isolate(folder: Path, memory: int) -> list[str]:
    """Shut this process in; call it before there are threads.

    Args:
        folder: the one that may be written to.
        memory: bytes of data the process may hold.

    Returns:
        What is now in force, in words.
    """
    os.chdir(folder)
    in_force = _limit_resources(memory)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_SET_PARENT_DEATH_SIGNAL, _SIGKILL)
        if _leave_name_spaces(libc):
            in_force.append("no network")
            _enter_name_space()
            libc.prctl(_SET_PARENT_DEATH_SIGNAL, _SIGKILL)
        if _restrict_files(libc, folder):
            in_force.append("no files but the system's and its own")
    return in_force


def _limit_resources(memory: int) -> list[str]:
    try:
        import resource
    except ImportError:  # Windows
        return []
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, _at_most(resource.getrlimit(resource.RLIMIT_FSIZE)[1], FILE_LIMIT))
    # On Linux this counts what is written to; elsewhere (macOS) the kernel takes the limit and ignores it.
    resource.setrlimit(resource.RLIMIT_DATA, _at_most(resource.getrlimit(resource.RLIMIT_DATA)[1], memory))
    held = resource.getrlimit(resource.RLIMIT_DATA)[0]
    return [f"at most {held / (1 << 30):.1f} GB of memory"] if sys.platform == "linux" else []


def _at_most(hard: int, wanted: int) -> tuple[int, int]:
    limit = wanted if hard < 0 else min(hard, wanted)
    return limit, limit


def _leave_name_spaces(libc: ctypes.CDLL) -> bool:
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(_NEW_USER | _NEW_NET | _NEW_IPC | _NEW_PID):
        return False
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with contextlib.suppress(OSError):
            Path("/proc/self", name).write_text(text)
    return True


def _enter_name_space() -> None:
    """Go on as the second process of the new name space: the first waits for it, and all others end with the first.

    Not as the first itself, since that one is spared by signals.
    """
    for _ in range(2):
        child = os.fork()
        if child:
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            os._exit(status if status >= 0 else SIGNALLED - status)


def _restrict_files(libc: ctypes.CDLL, folder: Path) -> bool:
    version = libc.syscall(_CREATE_RULESET, None, 0, _VERSION)
    if version < 1:
        return False
    everything = _ALL_BUT[min(version, 3)]
    rules = _Ruleset(everything, _TCP if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = libc.syscall(_CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return False
    reading = _EXECUTE | _READ_FILE | _READ_DIR
    here = str(Path(__file__).parent)
    python = (sys.prefix, sys.base_prefix, sys.exec_prefix, *(path for path in sys.path if path))
    _allow(libc, ruleset, (*_SYSTEM, *python), reading)
    _allow(libc, ruleset, _DEVICES, reading | _WRITE_FILE)
    done = _allow(libc, ruleset, (here,), reading) and _allow(libc, ruleset, (str(folder),), everything)
    libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    done = done and libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0
    os.close(ruleset)
    return done


def _allow(libc: ctypes.CDLL, ruleset: int, paths: Iterable[str], rights: int) -> bool:
    """Allow what is there of the paths; tell whether the system took all rules."""
    done = True
    for path in paths:
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        of_files = _EXECUTE | _WRITE_FILE | _READ_FILE
        allowed = rights if os.path.isdir(descriptor) else rights & of_files  # noqa: PTH112  a descriptor
        rule = _PathRule(allowed, descriptor)
        done &= libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0) == 0
        os.close(descriptor)
    return done
