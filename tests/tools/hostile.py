"""What the tests of hostile and broken files share: small sound files, pickles by hand, commands under limits."""

from __future__ import annotations

import atexit
import functools
import json
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import click
from click.testing import CliRunner

import stylegan_torch.commands.convert
from tests.tools.official import State, build, write_pickle
from tests.tools.official_torch import Module, persistence_network, write_persistence_pickle

FORMS = ["tf", "torch"]
SLOT = "PAYLOAD GOES HERE"
SIZES: dict[str, Any] = {"num_channels": 3, "resolution": 8, "fmap_base": 16, "fmap_max": 4}
G_KWARGS = {**SIZES, "latent_size": 4, "dlatent_size": 4, "mapping_fmaps": 4, "mapping_layers": 1}
TORCH_KWARGS: dict[str, Any] = {
    "img_resolution": 8,
    "z_dim": 4,
    "w_dim": 4,
    "mapping_kwargs": {"num_layers": 1},
}
CHANNELS: dict[str, Any] = {"channel_base": 32, "channel_max": 4}


# Small sound files.


def tf_network(function: str = "G_main", seed: int = 0, **kwargs: Any) -> State:
    return build(function, seed, **{**(G_KWARGS if function.startswith("G") else SIZES), **kwargs})


def torch_generator(seed: int = 0, **kwargs: Any) -> Module:
    return persistence_network("G", seed, **{**TORCH_KWARGS, "synthesis_kwargs": CHANNELS, **kwargs})


def torch_discriminator(**kwargs: Any) -> Module:
    return persistence_network("D", 1, **{"img_resolution": 8, **CHANNELS, **kwargs})


def write_tf(path: Path, change: Callable[[State], object] = lambda state: None, **kwargs: Any) -> Path:
    """A TensorFlow-form pickle of one generator, after a change to its state."""
    state = tf_network(**kwargs)
    change(state)
    write_pickle(path, state, protocol=2, numpy_style="old")
    return path


def write_torch(path: Path, change: Callable[[Module], object] = lambda module: None, **kwargs: Any) -> Path:
    """A persistence pickle, after a change to its G_ema."""
    module = torch_generator(**kwargs)
    change(module)
    write_persistence_pickle(path, G=torch_generator(), D=torch_discriminator(), G_ema=module, era="released")
    return path


# Pickles by hand: each piece pushes one object.


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return b"X" + len(raw).to_bytes(4, "little") + raw


def number(value: int) -> bytes:
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def data(raw: bytes) -> bytes:
    return b"B" + len(raw).to_bytes(4, "little") + raw


def group(*parts: bytes) -> bytes:
    return b"(" + b"".join(parts) + b"t"


def listing(*parts: bytes) -> bytes:
    return b"](" + b"".join(parts) + b"e"


def table(**items: bytes) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def name(module: str, attribute: str) -> bytes:
    return b"c" + f"{module}\n{attribute}\n".encode()


def call(function: str, *args: bytes) -> bytes:
    return name(*function.rsplit(":")) + group(*args) + b"R"


def laughs(width: int, depth: int, leaf: bytes = text("ha")) -> bytes:
    """A list of lists of lists…: width ** depth texts in a few bytes, each level sharing the one below."""
    code = leaf
    for level in range(depth):
        index = (1 << 16) + level
        code = (
            b"]("
            + code
            + b"r"
            + index.to_bytes(4, "little")
            + (b"j" + index.to_bytes(4, "little")) * (width - 1)
            + b"e"
        )
    return code


def array(dtype: bytes, shape: bytes, raw: bytes) -> bytes:
    start = call("numpy.core.multiarray:_reconstruct", name("numpy", "ndarray"), group(number(0)), data(b"b"))
    return start + group(number(1), shape, dtype, b"\x89", raw) + b"b"


def dtype(code: str) -> bytes:
    state = group(number(3), text("<"), b"N", b"N", b"N", number(-1), number(-1), number(0))
    return call("numpy:dtype", text(code), number(0), number(1)) + state + b"b"


def pickled(*code: bytes, protocol: int = 2) -> bytes:
    return bytes([0x80, protocol]) + b"".join(code) + b"."


def fill(path: Path, payload: bytes) -> Path:
    """Put code in the slot of a file of protocol 2 or 3."""
    content, slot = path.read_bytes(), text(SLOT)
    assert content.count(slot) == 1
    path.write_bytes(content.replace(slot, payload))
    return path


def write_with_slot(path: Path, form: str, where: str = "keyword") -> Path:
    """A sound file but for a slot: in an unused keyword, in place of a tensor, or where the whole network was."""

    def change_tf(state: State) -> None:
        if where == "keyword":
            state["static_kwargs"]["unused"] = SLOT
        elif where == "tensor":
            state["variables"][0] = (state["variables"][0][0], SLOT)
        else:
            state["components"]["extra"] = {"version": 4, "name": SLOT}

    def change_torch(module: Module) -> None:
        if where == "keyword":
            module.init_kwargs["unused"] = SLOT
        elif where == "tensor":
            module.attributes["_buffers"] = {"w": SLOT}
        else:
            module.attributes["_modules"] = SLOT

    return write_tf(path, change_tf) if form == "tf" else write_torch(path, change_torch)


def write_hostile(path: Path, form: str, payload: bytes, where: str = "keyword") -> Path:
    return fill(write_with_slot(path, form, where), payload)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


KEY = text("94000000000000")


def storage(kind: bytes = name("torch", "FloatStorage"), **parts: bytes) -> bytes:
    """The call that reads a torch container, sound but for the parts given."""
    identity = group(
        parts.get("what", text("storage")),
        kind,
        parts.get("key", KEY),
        text("cpu"),
        parts.get("count", number(4)),
        parts.get("view", b"N"),
    )
    info = table(protocol_version=number(1001), little_endian=b"\x88", type_sizes=b"}")
    header = [number(0x1950A86A20F9469CFC6C), parts.get("version", number(1001)), info]
    blob = b"".join(map(pickled, header)) + pickled(parts.get("identity", identity + b"Q"))
    blob += pickled(listing(parts.get("keys", KEY))) + parts.get("length", struct.pack("<q", 4))
    return call("torch.storage:_load_from_bytes", data(blob + parts.get("raw", bytes(16))))


# Running.

SECONDS = 10
"""Of the processor's time, for one hostile file."""
HARD_MEMORY = 3 << 30
"""Bytes beyond which a process fails; what it takes is measured besides."""
SOUND = "may be sound"


def check_refused(status: int, stderr: str, src: Path | str, target: Path, words: Sequence[str] = ()) -> str:
    """What every refusal must be: status 1, one line that names the file and says what is wrong, nothing left."""
    lines = stderr.splitlines()
    assert status == 1, f"exit status {status}: {stderr}"
    assert len(lines) == 1, stderr
    line = lines[0]
    assert line.startswith("Error: "), line
    assert line.isprintable(), repr(line)
    assert len(line) < 2000, f"{len(line)} characters"
    for word in (str(src), *words):
        assert word in line, f"{word!r} is not in {line!r}"
    for word in ("unexpected", "Traceback"):
        assert word not in line, line
    left = list(target.iterdir()) if target.exists() else []
    assert not left, left
    return line


def run(command: click.Command, *args: object) -> tuple[int, str]:
    """Run a command in this process; return exit status and stderr."""
    result = CliRunner().invoke(command, [str(arg) for arg in args])
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    return result.exit_code, result.stderr


def refused(src: Path | str, *words: str, suffix: str = ".pt") -> str:
    """Convert a file that must be refused, to an empty directory next to it; return the error."""
    target = Path(src).parent / "target"
    target.mkdir(exist_ok=True)
    status, stderr = run(stylegan_torch.commands.convert.main, src, target / f"out{suffix}")
    return check_refused(status, stderr, src, target, words)


_FORKER = """
import json, os, resource, signal, sys
import stylegan_torch.commands.convert, stylegan_torch.commands.generate
import converter.describe, converter.formats, converter.reading, stylegan_torch.drawing.draw  # torch and the like, once

def held(resident):
    with open("/proc/self/statm") as pages:
        return int(pages.read().split()[resident]) * os.sysconf("SC_PAGE_SIZE")

for line in sys.stdin:
    job = json.loads(line)
    stderr, end = os.pipe()
    child = os.fork()
    if not child:
        status = 70
        try:
            os.write(end, b"%d\\n" % held(True))
            os.dup2(end, 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            limits = {"RLIMIT_CPU": job["seconds"], **job["limits"]}
            if job["memory"]:
                limits["RLIMIT_AS"] = held(False) + job["memory"]
            for limit, value in limits.items():
                resource.setrlimit(getattr(resource, limit), (value, value))
            signal.alarm(600)
            exec(job["before"])
            command = stylegan_torch.commands.generate.main if job["generate"] else stylegan_torch.commands.convert.main
            command(job["args"])
        except SystemExit as exit:
            status = exit.code or 0
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(end)
    with open(stderr) as said:
        before, text = int(said.readline()), said.read()
    _, status, usage = os.wait4(child, 0)
    peak = max(usage.ru_maxrss * 1024 - before, 0)
    print(json.dumps([os.waitstatus_to_exitcode(status), text, peak, usage.ru_utime + usage.ru_stime]), flush=True)
"""


@dataclass
class Job:
    """A command in a process of its own. Status 70: an exception that the command let through; negative: a signal.

    limits: values of `resource`'s.
    memory: bytes it may hold more than what is there at its start, which depends on the machine; 0 = any.
    before: program text that is run first.
    generate: it is `stylegan-generate`, not `stylegan-convert`.
    seconds: of the processor's time, so that it doesn't matter what else the machine does.
    """

    args: Sequence[object]
    limits: dict[str, int] = field(default_factory=dict)
    memory: int = 0
    before: str = ""
    generate: bool = False
    seconds: int = 60

    def fields(self) -> dict[str, Any]:
        return {**self.__dict__, "args": [str(arg) for arg in self.args]}


class Outcome(NamedTuple):
    """How a job ended: exit status, standard error, most bytes of memory, seconds of the processor."""

    status: int
    stderr: str
    memory: int
    seconds: float


@functools.cache
def _forker() -> subprocess.Popen[str]:
    """A process that has imported everything and forks for every job."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", _FORKER], **pipes)
    atexit.register(process.communicate)
    return process


def run_limited(jobs: Sequence[Job]) -> list[Outcome]:
    """Run commands in processes of their own."""
    forker, results = _forker(), []
    assert forker.stdin
    assert forker.stdout
    for job in jobs:
        forker.stdin.write(json.dumps(job.fields()) + "\n")
        forker.stdin.flush()
        results.append(Outcome(*json.loads(forker.stdout.readline())))
    return results


def survives(folder: Path, files: Mapping[str, tuple[Path, str]]) -> None:
    """Inspect and convert files, each in a process of its own, which take little memory and time, and are refused.

    Args:
        folder: for what they are converted to.
        files: by what they are, each with words of the refusal; words "sound" if it may be read.
    """
    jobs = []
    for case, (path, _) in files.items():
        target = folder / f"target of {case.replace('/', '_')}"
        target.mkdir()
        jobs += [
            Job(args, memory=HARD_MEMORY, seconds=SECONDS) for args in ([path, target / "out.npz"], ["--inspect", path])
        ]
    failed = {}
    for job, ended in zip(jobs, run_limited(jobs), strict=True):
        path = Path(str(job.args[-1] if job.args[0] == "--inspect" else job.args[0]))
        case, words = next((case, words) for case, (other, words) in files.items() if other == path)
        try:
            assert ended.memory <= 3 * path.stat().st_size + (500 << 20), f"takes {ended.memory >> 20} MB"
            if words != SOUND or ended.status:
                check_refused(
                    ended.status,
                    ended.stderr,
                    path,
                    folder / f"target of {case.replace('/', '_')}",
                    [words.replace(SOUND, "")],
                )
        except AssertionError as error:
            failed[f"{case}, {'inspected' if job.args[0] == '--inspect' else 'converted'}"] = f"{error}"[:300]
    assert not failed, "".join(f"\n{case}: {what}" for case, what in failed.items())
