"""A filter of system calls (seccomp, a BPF program) that lets a process do what Python and TensorFlow need, no more.

What it is not given: sockets of any family; other processes and programs; memory that limits don't count (shared
without a file, memory files, System V); calls into other processes; names, owners and rights of files to change;
mounts, name spaces, keys, io_uring. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from errno import ENOSYS, EOPNOTSUPP, EPERM

_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""The column of `_CALLS`, and the kernel's name for the kind of machine (AUDIT_ARCH)."""
_X32 = 0x40000000
"""Numbers from here on are of another kind of program that x86_64 runs too."""
_SET_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2
_NUMBER, _MACHINE, _ARGUMENTS = 0, 4, 16
"""Offsets in what a filter is given."""
_IF_EQUAL, _IF_AT_LEAST, _AND = 0x15, 0x35, 0x54
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000

_CALLS = """
read 0 63, write 1 64, readv 19 65, writev 20 66, pread64 17 67, pwrite64 18 68, preadv 295 69, pwritev 296 70,
preadv2 327 286, pwritev2 328 287, lseek 8 62, close 3 57, close_range 436 436, dup 32 23, dup2 33 -, dup3 292 24,
pipe 22 -, pipe2 293 59, open 2 -, openat 257 56, creat 85 -, access 21 -, faccessat 269 48, faccessat2 439 439,
stat 4 -, fstat 5 80, lstat 6 -, newfstatat 262 79, statx 332 291, statfs 137 43, fstatfs 138 44, readlink 89 -,
readlinkat 267 78, getdents 78 -, getdents64 217 61, getcwd 79 17, chdir 80 49, fchdir 81 50,
umask 95 166, ftruncate 77 46, fallocate 285 47, fsync 74 82, fdatasync 75 83, flock 73 32,
fcntl 72 25, ioctl 16 29, sendfile 40 71, copy_file_range 326 285, readahead 187 213, fadvise64 221 223,

mmap 9 222, munmap 11 215, mprotect 10 226, mremap 25 216, madvise 28 233, msync 26 227, mincore 27 232, brk 12 214,
membarrier 324 283, get_mempolicy 239 236, set_mempolicy 238 237, mbind 237 235,

clone 56 220, clone3 435 435, exit 60 93, exit_group 231 94, futex 202 98, set_robust_list 273 99,
get_robust_list 274 100, set_tid_address 218 96, rseq 334 293, arch_prctl 158 -, restart_syscall 219 128,
sched_yield 24 124, gettid 186 178, getpid 39 172, getppid 110 173, getpgrp 111 -, getpgid 121 155, getsid 124 156,
getuid 102 174, geteuid 107 175, getgid 104 176, getegid 108 177, getresuid 118 148, getresgid 120 150,
getgroups 115 158, capget 125 90, wait4 61 260, waitid 247 95, prctl 157 167, kill 62 129, tgkill 234 131,
getrlimit 97 163, prlimit64 302 261, getrusage 98 165, getpriority 140 141, sched_getaffinity 204 123,
sched_getparam 143 121, sched_getscheduler 145 120, sched_get_priority_max 146 125, sched_get_priority_min 147 126,

rt_sigaction 13 134, rt_sigprocmask 14 135, rt_sigreturn 15 139, rt_sigpending 127 136, rt_sigtimedwait 128 137,
rt_sigsuspend 130 133, sigaltstack 131 132, pause 34 -, alarm 37 -, getitimer 36 102, setitimer 38 103,
timer_create 222 107, timer_settime 223 110, timer_gettime 224 108, timer_delete 226 111, timer_getoverrun 225 109,
timerfd_create 283 85, timerfd_settime 286 86, timerfd_gettime 287 87, nanosleep 35 101, clock_nanosleep 230 115,
clock_gettime 228 113, clock_getres 229 114, gettimeofday 96 169, time 201 -, times 100 153, poll 7 -, ppoll 271 73,
select 23 -, pselect6 270 72, epoll_create 213 -, epoll_create1 291 20, epoll_ctl 233 21, epoll_wait 232 -,
epoll_pwait 281 22, epoll_pwait2 441 441, eventfd 284 -, eventfd2 290 19,

getcpu 309 168, sysinfo 99 179, uname 63 160, getrandom 318 278, openat2 437 437
"""
"""What is allowed, with its numbers on x86_64 and aarch64, but for what `_checks` and `_ABSENT` say."""
_ABSENT = ("clone3", "openat2")
"""Calls whose arguments no filter can see: they are not there, so the C library uses those that it can."""


@dataclass(frozen=True)
class _Check:
    """A condition on an argument of a call, with which it is refused.

    argument: its index; a half more is its upper 32 bits.
    among: whether `mask & argument` must be among the values, or must not.
    """

    argument: float
    values: Sequence[int]
    among: bool = False
    mask: int = 0xFFFFFFFF
    error: int = EPERM


def _checks(process: int) -> dict[str, tuple[_Check, ...]]:
    """Return the conditions on calls that are allowed, for a process of some number."""
    shared_without_file, grows_down, huge, thread, unnamed = 0x21, 0x100, 0x40000, 0x10000, 0x400000
    own, own_name, signals = _Check(0, (process,), among=True), (15, 16, 0x53564D41), (8, 10, 15)
    return {
        # RLIMIT_DATA counts neither of them.
        "mmap": tuple(_Check(3, (bits,), mask=bits) for bits in (shared_without_file, grows_down, huge)),
        "clone": (_Check(0, (thread,), among=True, mask=thread),),
        # A file without a name is in no folder, whose size could be taken.
        "open": (_Check(1, (unnamed,), mask=unnamed, error=EOPNOTSUPP),),
        "openat": (_Check(2, (unnamed,), mask=unnamed, error=EOPNOTSUPP),),
        "fcntl": (_Check(1, signals),),  # F_SETOWN and what belongs to it
        "ioctl": (_Check(1, (0x5401, 0x5413, 0x5421, 0x541B, 0x5450, 0x5451), among=True),),  # is it a terminal; FIO…
        "kill": (own,),
        "tgkill": (own,),
        "prctl": (_Check(0, own_name, among=True),),
        "prlimit64": (_Check(2, (0,), among=True), _Check(2.5, (0,), among=True)),  # to ask, not to set
    }


def restrict_calls() -> None:
    """Allow this process, and its threads from now on, no other calls; cannot be undone.

    Raises:
        OSError: if the system has no such filter, or this kind of machine isn't known.
    """
    calls = numbers()
    load(b"".join(_program(calls, _MACHINES[platform.machine()][1])))


def numbers() -> dict[str, int]:
    """Return the calls that are allowed, or answered, with their numbers on this machine.

    Raises:
        OSError: if this kind of machine isn't known.
    """
    if platform.machine() not in _MACHINES:
        raise OSError(ENOSYS, "the numbers of its system calls are not known")
    column = 1 + _MACHINES[platform.machine()][0]
    rows = [call.split() for call in _CALLS.split(",")]
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}


def load(program: bytes) -> None:
    """Let a BPF program decide on all calls of this process.

    Raises:
        OSError: if the system takes none.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(program, len(program))
    filter = struct.pack("HP", len(program) // 8, ctypes.addressof(buffer))
    if libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(_SET_SECCOMP, _FILTER, filter, 0, 0):
        raise OSError(ctypes.get_errno(), "it takes no filter of system calls")


def _program(calls: Mapping[str, int], machine: int) -> Iterator[bytes]:
    yield from (_load(_MACHINE), _instruction(_IF_EQUAL, machine, 1), _return(_KILL), _load(_NUMBER))
    checks = _checks(os.getpid())
    for name, number in calls.items():
        rule = [*_conditions(checks.get(name, ())), _return(_REFUSE | ENOSYS if name in _ABSENT else _ALLOW)]
        yield _instruction(_IF_EQUAL, number, 0, len(rule))
        yield from rule
    yield from (_instruction(_IF_AT_LEAST, _X32, 0, 1), _return(_KILL), _return(_REFUSE | EPERM))


def _conditions(checks: Sequence[_Check]) -> Iterator[bytes]:
    for check in checks:
        yield _load(_ARGUMENTS + int(8 * check.argument))
        yield _instruction(_AND, check.mask)
        if check.among:
            for left in range(len(check.values), 0, -1):
                yield _instruction(_IF_EQUAL, check.values[-left], left, 0)
            yield _return(_REFUSE | check.error)
        else:
            for value in check.values:
                yield from (_instruction(_IF_EQUAL, value, 0, 1), _return(_REFUSE | check.error))


def _instruction(code: int, value: int, if_so: int = 0, if_not: int = 0) -> bytes:
    """Return a BPF instruction; jumps tell how many are skipped."""
    return struct.pack("HBBI", code, if_so, if_not, value)


def _load(offset: int) -> bytes:
    return _instruction(0x20, offset)


def _return(action: int) -> bytes:
    return _instruction(0x06, action)
