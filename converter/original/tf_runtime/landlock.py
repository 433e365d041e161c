"""Which files a process may open (Landlock, `man 7 landlock`): Python's and the system's to read, one folder to write.

Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same numbers on all machines
_RULE_PATH_BENEATH, _VERSION = 1, 1
_SET_NO_NEW_PRIVILEGES = 38

# Rights, as bits: what may be done with files
_WRITE_FILE, _READ_FILE, _READ_DIR, _MAKE_REG, _TRUNCATE = 2, 4, 8, 1 << 8, 1 << 14
_READ = _READ_FILE | _READ_DIR
_WRITE = _READ | _WRITE_FILE | _MAKE_REG | _TRUNCATE
"""Nothing is removed or renamed: a file that is in no folder counts for none, however large it is. No folders are made,
which could be too deep to look into.
"""
_OF_FILES = _WRITE_FILE | _READ_FILE | _TRUNCATE
_ALL = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1}
"""All rights over files that a version of Landlock knows; later ones have those of version 3 and more."""
_TCP = 3
_SCOPES = 3

_SYSTEM = (
    *("/usr/lib", "/usr/lib32", "/usr/lib64", "/lib", "/lib32", "/lib64", "/usr/local/lib", "/usr/local/lib64"),
    *("/nix/store", "/gnu/store", "/usr/share/zoneinfo", "/etc/localtime", "/etc/ld.so.cache"),
    *("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys/vm", "/sys/devices/system"),
    *("/dev/random", "/dev/urandom"),
)


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def restrict_files(folder: Path) -> None:
    """Let this process read what is in a folder, in Python's and in the system's, and write to the folder alone.

    Raises:
        OSError: if the system has no Landlock.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = _checked(libc.syscall(_CREATE_RULESET, None, 0, _VERSION))
    known = _ALL[min(version, 3)]
    rules = _Ruleset(known, _TCP if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = _checked(libc.syscall(_CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(size), 0))
    runtime, libraries = str(Path(__file__).parent), str(Path(sys.base_prefix, "lib"))
    _allow(libc, ruleset, (*_SYSTEM, libraries, runtime, *filter(None, sys.path)), _READ)
    _allow(libc, ruleset, ("/dev/null",), _READ_FILE | _WRITE_FILE)
    _allow(libc, ruleset, (str(folder),), _WRITE & known)
    _checked(libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    _checked(libc.syscall(_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, paths: Iterable[str], rights: int) -> None:
    """Allow what is there of the paths."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            allowed = rights if os.path.isdir(descriptor) else rights & _OF_FILES  # noqa: PTH112  a descriptor
            rule = _PathRule(allowed, descriptor)
            _checked(libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0))
            os.close(descriptor)


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), "it takes no Landlock rules")
    return result
