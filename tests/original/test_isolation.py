"""Code from a stranger, once allowed to run: each layer that shuts it in by itself, for both kinds of users."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from converter.original import tf_runtime
from converter.original.sandbox import python_folders
from converter.original.tf_runtime import seccomp
from tests import HOME
from tests.tools.jail import as_user, missing

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have none of the layers")

GB = 1 << 30
RUNTIME = Path(tf_runtime.__file__).parent
PROBE = """
import sys
sys.path[:] = PATHS
import ctypes, fcntl, json, mmap, os, resource, socket, termios, threading
from pathlib import Path
from tf_runtime import isolation

sys.path.pop()
isolation.LAYERS = [layer for layer in isolation.LAYERS if layer.name in LAYERS]
in_force = isolation.isolate(Path(FOLDER), 1 << 30)
if len(in_force) < len(isolation.LAYERS):
    sys.exit(f"only {in_force}")
libc = ctypes.CDLL(None, use_errno=True)

def checked(result):
    if result == -1:
        raise OSError(ctypes.get_errno(), "")

def call(*arguments):
    "Make a system call by its number."
    checked(libc.syscall(*map(ctypes.c_long, arguments)))

def outcome(text):
    try:
        exec(text)
    except OSError as error:
        return os.strerror(error.errno) if error.errno else type(error).__name__
    except BaseException as error:
        return type(error).__name__
    return "done"

json.dump({text: outcome(text) for text in ATTEMPTS}, sys.__stdout__)
"""

users = pytest.mark.parametrize("user", ["root", "ordinary"])


def probe(user: str, layers: list[str], place: Path, attempts: list[str]) -> subprocess.CompletedProcess[str]:
    """Try pieces of code in a process with some of the layers alone."""
    lacking = [layer for layer in layers if layer in missing(user)]
    if lacking:
        pytest.skip(f"this machine lacks {', '.join(lacking)}")
    values = {"PATHS": [*python_folders(), str(RUNTIME.parent)], "LAYERS": layers, "ATTEMPTS": attempts}
    start = "".join(f"{name} = {value!r}\n" for name, value in values.items())
    (place / "probe.py").write_text(f"{start}FOLDER = {str(place / 'job')!r}\n{PROBE}")
    return as_user(user, "", place, place / "probe.py")


def outcomes(user: str, layers: list[str], place: Path, attempts: list[str]) -> dict[str, str]:
    """Return what comes of them: "done", or the error."""
    result = probe(user, layers, place, attempts)
    assert result.returncode == 0, result.stderr
    found: dict[str, str] = json.loads(result.stdout)
    return found


REFUSED, ABSENT, UNSUPPORTED = "Operation not permitted", "Function not implemented", "Operation not supported"

# Numbers of system calls are of those that are the same on all machines.
CALLS = {
    # sockets, of any family and kind
    "socket.socket(socket.AF_UNIX)": REFUSED,
    "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)": REFUSED,
    "socket.socketpair()": REFUSED,
    "socket.socket(socket.AF_INET)": REFUSED,
    "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)": REFUSED,
    "call(425, 8, 0)": REFUSED,  # io_uring_setup
    # processes and programs
    "os.fork()": REFUSED,
    "os.posix_spawn(sys.executable, ['python'], {})": REFUSED,
    "os.execv(sys.executable, ['python', '-c', ''])": REFUSED,
    "call(435, 0, 0)": ABSENT,  # clone3
    "os.setsid()": REFUSED,
    "os.kill(os.getppid(), 0)": REFUSED,
    "os.kill(os.getpid(), 0)": "done",
    "checked(libc.tgkill(os.getppid(), os.getppid(), 0))": REFUSED,
    "thread = threading.Thread(target=int); thread.start(); thread.join()": "done",
    "checked(libc.prctl(1, 0))": REFUSED,  # PR_SET_PDEATHSIG: to outlive the parent
    "fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())": REFUSED,
    # memory that limits don't count
    "mmap.mmap(-1, 4096)": REFUSED,
    "mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)": "done",
    "mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x100)": REFUSED,  # MAP_GROWSDOWN
    "mmap.mmap(-1, 1 << 21, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)": REFUSED,  # MAP_HUGETLB
    "os.memfd_create('hoard')": REFUSED,
    "checked(libc.shmget(0, 4096, 0o1600))": REFUSED,
    "checked(libc.msgget(0, 0o1600))": REFUSED,
    # files that are in no folder
    "open('named', 'w')": "done",
    "os.open('.', os.O_TMPFILE | os.O_WRONLY)": "Operation not supported",
    "call(437, 0, 0, 0, 0)": ABSENT,  # openat2
    "os.remove('named')": REFUSED,
    "os.rename('named', 'other')": REFUSED,
    "os.mkdir('folder')": REFUSED,
    # what Landlock doesn't look at
    "os.chmod('named', 0o600)": REFUSED,
    "os.utime('named')": REFUSED,
    "os.truncate('named', 0)": REFUSED,
    "os.setxattr('named', 'user.x', b'')": REFUSED,
    "os.link('named', 'link')": REFUSED,
    # ways out, and ways around
    "checked(libc.ptrace(0, 0, 0, 0))": REFUSED,
    "checked(libc.unshare(0x10000000))": REFUSED,
    "checked(libc.process_vm_readv(os.getpid(), 0, 0, 0, 0, 0))": REFUSED,
    "call(434, os.getpid(), 0)": REFUSED,  # pidfd_open
    "call(444, 0, 0, 1)": REFUSED,  # landlock_create_ruleset
    "resource.prlimit(0, resource.RLIMIT_CORE)": "done",
    "call(PRLIMIT, 0, 4, 1, 0)": REFUSED,
    "call(PRLIMIT, 0, 4, 1 << 32, 0)": REFUSED,
    "fcntl.ioctl(0, termios.TIOCSTI, b'x')": REFUSED,
    "os.isatty(0)": "done",
}
TRACING = {335, 336}
"""Numbers of calls on x86_64 that the kernel's own tracing makes, and no filter sees; a program that does is ended."""


@users
def test_seccomp_leaves_what_python_needs(user: str, place: Path) -> None:
    calls = seccomp.numbers()
    attempts = {text.replace("PRLIMIT", str(calls["prlimit64"])): answer for text, answer in CALLS.items()}
    assert outcomes(user, ["seccomp"], place, list(attempts)) == attempts
    others = {*range(600)} - {*calls.values()} - TRACING
    unlisted = [f"call({number}, -1, -1, -1, -1, -1, -1)" for number in sorted(others)]
    assert set(outcomes(user, ["seccomp"], place, unlisted).values()) == {REFUSED}


X32 = "call(0x40000000 + 39)"  # getpid
SHORT = """
code = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 7)
code.write(bytes.fromhex("b814000000cd80c3"))  # mov eax, 20 (getpid); int 0x80; ret
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="others have one kind of program only")
@pytest.mark.parametrize("code", [X32, SHORT])
def test_programs_of_other_kinds_are_ended(code: str, place: Path) -> None:
    assert probe("ordinary", ["seccomp"], place, [code]).returncode in (-signal.SIGSYS, -signal.SIGSEGV)


@users
def test_landlock_leaves_what_python_needs(user: str, place: Path) -> None:
    secret, denied = place / "secret", "Permission denied"
    attempts = {
        f"open({str(secret)!r})": denied,
        f"open({str(secret)!r}, 'a')": denied,
        f"open({str(place / 'new')!r}, 'w')": denied,
        f"os.listdir({str(place)!r})": denied,
        f"open({str(HOME / 'README.md')!r})": denied,
        f"open({str(RUNTIME.parent / 'run.py')!r})": denied,
        f"open({str(RUNTIME / 'work.py')!r})": "done",
        "open(sys.executable)": denied,
        "open('/etc/passwd')": denied,
        "open('/proc/1/cmdline')": denied,
        "open('/proc/self/status')": "done",
        "open('/dev/zero')": denied,
        "open('/dev/null', 'r+b', 0)": "done",
        "os.listdir('/dev/shm')": denied,
        "import decimal, numpy, xml.dom.minidom": "done",
        "open('named', 'w').write('x')": "done",
        "open('named', 'w').truncate(0)": "done",
        "os.mkdir('folder')": denied,
        "os.remove('named')": denied,
        "os.rename('named', 'other')": denied,
        "os.symlink('named', 'link')": denied,
        "os.mkfifo('pipe')": denied,
        "os.execv(sys.executable, ['python', '-c', ''])": denied,
    }
    assert outcomes(user, ["Landlock"], place, list(attempts)) == attempts
    assert secret.read_text() == "secret"


@users
def test_landlock_leaves_no_network_and_no_others_to_signal(user: str, place: Path) -> None:
    if (version := ctypes.CDLL(None).syscall(444, None, 0, 1)) < 6:
        pytest.skip(f"Landlock of version {version} knows of files only, or of TCP")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        local.bind(f"\0{place}")
        local.listen()
        attempts = {
            f"socket.create_connection({server.getsockname()!r}, 5)": "Permission denied",
            "socket.create_server(('127.0.0.1', 0))": "Permission denied",
            f"socket.socket(socket.AF_UNIX).connect({local.getsockname()!r})": REFUSED,
            "os.kill(os.getppid(), 0)": REFUSED,
        }
        assert outcomes(user, ["Landlock"], place, list(attempts)) == attempts


@users
def test_name_spaces_have_no_network_and_no_other_processes(user: str, place: Path) -> None:
    spaces = {name: Path(f"/proc/self/ns/{name}").readlink() for name in ("user", "net", "ipc", "pid")}
    same = [f"assert os.readlink('/proc/self/ns/{name}') != {str(space)!r}" for name, space in spaces.items()]
    attempts = dict.fromkeys(same, "done")
    with socket.create_server(("127.0.0.1", 0)) as server:
        attempts[f"socket.create_connection({server.getsockname()!r}, 5)"] = "Network is unreachable"
        attempts[f"os.kill({os.getpid()}, 0)"] = "No such process"
        attempts["assert os.getpid() == 2"] = "done"
        assert outcomes(user, ["name spaces"], place, list(attempts)) == attempts


@users
def test_capabilities_are_dropped(user: str, place: Path) -> None:
    attempts = [
        f"assert '{name}:\\t{0:016x}\\n' in Path('/proc/self/status').read_text()" for name in ("CapPrm", "CapEff")
    ]
    assert set(outcomes(user, ["name spaces", "dropped capabilities"], place, attempts).values()) == {"done"}
    assert set(outcomes(user, ["dropped capabilities"], place, attempts).values()) == {"done"}


@users
def test_resources_are_limited(user: str, place: Path) -> None:
    private = "mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS"
    attempts = {
        "bytearray(1 << 29)": "done",
        "bytearray(3 << 29)": "MemoryError",
        f"mmap.mmap(-1, 1 << 40, {private}, mmap.PROT_READ)": "Cannot allocate memory",
        "open('large', 'w').truncate((1 << 30) + 1)": "File too large",
        "[os.dup(0) for _ in range(300)]": "Too many open files",
        "assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)": "done",
    }
    assert outcomes(user, ["resource limits"], place, list(attempts)) == attempts
