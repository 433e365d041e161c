"""Code from a stranger, once allowed to run: what it sees, what it can reach, and what is left of it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from converter.errors import ConvertError
from converter.foreign import ForeignFile
from converter.forms.tensorflow.pickler import carrying, write_pickle
from converter.original.export import export
from converter.reading import open_source
from stylegan_torch.commands.export_tf import main as export_command
from tests import DATA

pytestmark = [
    pytest.mark.skipif(find_spec("tensorflow") is None, reason="needs the extra: pip install '.[tf]'"),
    pytest.mark.skipif(sys.platform != "linux", reason="other systems have no name spaces and no Landlock"),
]

GB = 1 << 30
SMALLEST = DATA / "pg-unfused.pkl"

LOOK_AROUND = """
import json, os, socket, subprocess

def attempt(function, *arguments):
    try:
        function(*arguments)
    except BaseException as error:
        return type(error).__name__
    return "done"

def attempt_link(descriptor):
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return ""  # the one that listed them

def connect(family, address):
    with socket.socket(family) as connection:
        connection.settimeout(2)
        connection.connect(address)

def G_paper(latents_in, labels_in, **_kwargs):
    raise ValueError(json.dumps({
        "environment": sorted(os.environ),
        "open": [attempt_link(fd) for fd in os.listdir("/proc/self/fd")],
        "folder": os.getcwd(),
        "home": os.environ.get("HOME"),
        "tcp": attempt(connect, socket.AF_INET, ("127.0.0.1", PORT)),
        "abstract": attempt(connect, socket.AF_UNIX, "\\0ABSTRACT"),
        "read": attempt(open, "SECRET"),
        "write": attempt(open, "SECRET", "w"),
        "make": attempt(open, "SECRET.new", "w"),
        "remove": attempt(os.remove, "SECRET"),
        "own": attempt(open, "mine", "w"),
        "parent": attempt(open, "/proc/PARENT/environ"),
        "kill": attempt(os.kill, PARENT, 0),
        "namespace": os.readlink("/proc/self/ns/net"),
        "module": attempt(__import__, "training.misc"),
        "modules": sorted(os.listdir("modules/training")),
        "supplied": attempt(os.listdir, "MODULES"),
    }))
"""


def run(code: str, tmp_path: Path, memory: int = 16 * GB, modules: Path | None = None) -> str:
    """Run a source in place of a network's; return the error it ended with."""
    source = open_source(SMALLEST)
    assert isinstance(source, ForeignFile)
    write_pickle(tmp_path / "in.pkl", [carrying(source.networks["G_ema"], code)])
    with pytest.raises(ConvertError) as caught:
        export(tmp_path / "in.pkl", tmp_path / "out.npz", memory=memory, modules=modules)
    assert [path.name for path in tmp_path.glob("out*")] == []
    return str(caught.value)


@pytest.fixture(scope="module")
def in_force(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What this system offers to shut a process in, in words; some containers offer less."""
    program = (
        "import sys; from converter.original.tf_runtime.isolation import Path, isolate\n"
        "print(isolate(Path(sys.argv[1]), {}))"
    )
    command = [sys.executable, "-c", program.format(16 * GB), str(tmp_path_factory.mktemp("job"))]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_it_sees_and_reaches_nothing_of_the_users(
    in_force: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "secret")
    for name in ("KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK"):  # scikit-learn sets them wherever it is imported
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "mine" / "training").mkdir(parents=True)
    for name in ("misc", "unnamed"):
        (tmp_path / "mine" / "training" / f"{name}.py").write_text("")
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    abstract = f"stylegan-torch-{os.getpid()}"
    with (
        secret.open() as held,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as local,
    ):
        os.set_inheritable(held.fileno(), True)
        local.bind(f"\0{abstract}")
        local.listen()
        code = LOOK_AROUND.replace("PORT", str(server.getsockname()[1]))
        code = code.replace("ABSTRACT", abstract).replace("PARENT", str(os.getpid()))
        code = code.replace("MODULES", str(tmp_path / "mine")).replace("SECRET", str(secret))
        error = run(code, tmp_path, modules=tmp_path / "mine")
    prefix, _, rest = error.partition("{")
    assert prefix == f"{tmp_path / 'in.pkl'}: running its source failed: "
    seen = json.loads("{" + rest.rpartition("}")[0] + "}")

    users = set(os.environ) & set(seen["environment"])
    assert users <= {"CUDA_VISIBLE_DEVICES", "HOME", "LC_ALL", "PATH", "PYTHONDONTWRITEBYTECODE", "TMPDIR"}
    assert not any("secret" in path for path in seen["open"])
    assert seen["folder"] == seen["home"]
    assert not Path(seen["folder"]).exists()
    assert seen["own"] == seen["module"] == "done"
    assert seen["modules"] == ["misc.py"]
    if "no network" in in_force:
        assert seen["namespace"] != str(Path("/proc/self/ns/net").readlink())
        assert seen["tcp"] != "done"
        assert seen["abstract"] != "done"
        assert seen["kill"] == "ProcessLookupError"
    if "no files" in in_force:
        for what in ("read", "write", "make", "remove", "parent", "supplied"):
            assert seen[what] == "PermissionError", what
        assert secret.read_text() == "secret"


def test_its_memory_is_bounded(tmp_path: Path) -> None:
    code = "hoard = [bytearray(1 << 28) for _ in range(1000)]\ndef G_paper(latents_in, labels_in, **_kwargs): pass\n"
    error = run(code, tmp_path, 2 * GB)
    assert "ran out of memory; it may hold 2.0 GB (--memory sets it)" in error


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os\nos._exit(0)", "left no sound result"),
        ("import os\nos.kill(os.getpid(), 11)", "was ended by signal 11"),
        ("import sys\nsys.exit(3)", "running its source failed: SystemExit: 3 (line 2 of its source of Gs)"),
    ],
)
def test_however_it_ends_it_is_one_line(code: str, message: str, tmp_path: Path) -> None:
    error = run(code, tmp_path)
    assert message in error
    assert error.startswith(str(tmp_path / "in.pkl"))


def test_it_cannot_play_with_the_terminal_or_the_line_to_us(tmp_path: Path) -> None:
    code = """
import os
for line in (b"[" * 60_000, b'{"isolation": 5, "error": 7}', b"[]", b"\\xff"):
    for channel in range(3, 20):
        try:
            os.write(channel, line + b"\\n")
        except OSError:
            pass
raise ValueError("one\\ntwo \\x1b[31mred" + "x" * 100_000)
"""
    error = run(code, tmp_path)
    assert "running its source failed: one two \\x1b[31mredxxx" in error
    assert len(error.splitlines()) == 1
    assert len(error) < 3000


LYING = """
import json, os
import numpy as np

def tell(message):
    for descriptor in range(3, 30):
        try:
            if os.readlink(f"/proc/self/fd/{descriptor}").startswith("pipe"):
                os.write(descriptor, json.dumps(message).encode() + bytes([10]))
        except OSError:
            pass

tell({"isolation": ["everything is safe"]})
names = json.load(open("job.json"))["networks"]["G_ema"]["variables"]
network = {"variables": names, "without_value": [chr(27) + "[31mred"], "components": {}}
result = {"tensorflow": chr(27) + "[31m", "numpy": "1", "half_precision": [], "networks": {"G_ema": network}}
json.dump(result, open("result.json", "w"))
np.savez("reference.npz")
os.rename("values.npz", "variables.npz")
os._exit(0)
"""


def test_it_cannot_say_how_it_is_kept_in(tmp_path: Path) -> None:
    source = open_source(SMALLEST)
    assert isinstance(source, ForeignFile)
    write_pickle(tmp_path / "in.pkl", [carrying(source.networks["G_ema"], LYING)])
    command = [str(tmp_path / "in.pkl"), str(tmp_path / "out.npz"), "--trust-embedded-code"]
    result = CliRunner().invoke(export_command, command, color=True)
    assert result.exit_code == 0, result.output
    assert "everything is safe" not in result.output
    assert "ran in a process with at most" in result.output
    assert "\x1b[31m" not in result.output


def test_nothing_it_started_outlives_it(in_force: str, tmp_path: Path) -> None:
    if "no network" not in in_force:
        pytest.skip("this system lets nobody make name spaces")
    mark = f"sleeper of {os.getpid()}"
    code = f"""
import os, sys
ready, started = os.pipe()  # closed when the sleeper is what its process runs
sleeper = os.fork()
if not sleeper:
    os.setsid()
    os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(7200)", "{mark}"])
os.close(started)
os.read(ready, 1)
raise ValueError("it sleeps" if os.waitpid(sleeper, os.WNOHANG) == (0, 0) else "it is gone")
"""
    assert "running its source failed: it sleeps" in run(code, tmp_path)
    alive = [path for path in Path("/proc").glob("[0-9]*/cmdline") if mark.encode() in _read(path)]
    assert alive == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
