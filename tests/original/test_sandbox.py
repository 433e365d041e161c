"""Code from a stranger, once allowed to run: what it sees, what it can reach, and what is left of it."""

from __future__ import annotations

import json
import os
import signal
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
from converter.original import sandbox
from converter.original.sandbox import python_folders
from converter.original.tf_runtime.isolation import LAYERS
from converter.reading import open_source
from stylegan_torch.commands import export_tf
from tests import DATA, HOME
from tests.tools.jail import CANNOT, as_user, command_as, environment, export, missing, weak_option
from tests.tools.long import cases
from tests.tools.tf_builder import SOURCES

pytestmark = [
    pytest.mark.skipif(find_spec("tensorflow") is None, reason="needs the extra: pip install '.[tf]'"),
    pytest.mark.skipif(sys.platform != "linux", reason="other systems have none of the layers"),
]

GB = 1 << 30
COMMAND = export_tf.__file__
NOTHING = "def G_paper(latents_in, labels_in, **_kwargs): pass\n"

LOOK_AROUND = """
import json, os, socket, subprocess, sys

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
        "environment": sorted(name for name, value in os.environ.items() if "secret" in value),
        "open": [link for fd in os.listdir("/proc/self/fd") if "secret" in (link := attempt_link(fd))],
        "path": sys.path == PYTHONS,
        "folder": os.getcwd(),
        "home": os.environ.get("HOME"),
        "tcp": attempt(connect, socket.AF_INET, ("127.0.0.1", PORT)),
        "abstract": attempt(connect, socket.AF_UNIX, "\\0ABSTRACT"),
        "unix": attempt(connect, socket.AF_UNIX, "LOCAL"),
        "pair": attempt(socket.socketpair),
        "read": attempt(open, "SECRET"),
        "write": attempt(open, "SECRET", "w"),
        "make": attempt(open, "SECRET.new", "w"),
        "remove": attempt(os.remove, "SECRET"),
        "own": attempt(open, "mine", "w"),
        "parent": attempt(open, "/proc/PARENT/environ"),
        "kill": attempt(os.kill, PARENT, 0),
        "program": attempt(subprocess.run, [sys.executable, "-c", ""]),
        "namespace": os.readlink("/proc/self/ns/net"),
        "module": attempt(__import__, "training.misc"),
        "modules": sorted(os.listdir("modules/training")),
        "supplied": attempt(os.listdir, "MODULES"),
        "checkout": attempt(os.listdir, "HOUSE"),
        "ours": attempt(__import__, "converter"),
        "installed": attempt(__import__, "numpy.testing"),
    }))
"""


def carrier(code: str, path: Path) -> Path:
    """Write a pickle whose network carries a source in place of its own."""
    source = open_source(DATA / "pg-unfused.pkl")
    assert isinstance(source, ForeignFile)
    write_pickle(path, [carrying(source.networks["G_ema"], code)])
    return path


def run(code: str, tmp_path: Path, memory: int = 16 * GB, modules: Path | None = None) -> str:
    """Run a source; return the error it ended with."""
    path = carrier(code, tmp_path / "in.pkl")
    with pytest.raises(ConvertError) as caught:
        export(path, tmp_path / "out.npz", memory=memory, modules=modules)
    assert [path.name for path in tmp_path.glob("out*")] == []
    return str(caught.value)


def test_it_sees_and_reaches_nothing_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TOKEN", "AWS_SECRET_ACCESS_KEY", "SSH_AUTH_SOCK", "PYTHONPATH", "LD_LIBRARY_PATH", "TF_ANYTHING"):
        monkeypatch.setenv(name, f"{os.environ.get(name, '')}:/secret")
    (tmp_path / "mine" / "training").mkdir(parents=True)
    for name in ("misc", "unnamed"):
        (tmp_path / "mine" / "training" / f"{name}.py").write_text("")
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    abstract = f"stylegan-torch-{os.getpid()}"
    with (
        secret.open() as held,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as hidden,
        socket.socket(socket.AF_UNIX) as local,
    ):
        os.set_inheritable(held.fileno(), True)
        for listener, address in ((hidden, f"\0{abstract}"), (local, str(tmp_path / "s"))):
            listener.bind(address)
            listener.listen()
        values = {"PORT": server.getsockname()[1], "ABSTRACT": abstract, "LOCAL": tmp_path / "s", "HOUSE": HOME}
        values |= {"PYTHONS": python_folders(), "PARENT": os.getpid(), "MODULES": tmp_path / "mine", "SECRET": secret}
        code = LOOK_AROUND
        for name, value in values.items():
            code = code.replace(name, str(value))
        error = run(code, tmp_path, modules=tmp_path / "mine")
    prefix, _, rest = error.partition("{")
    assert prefix == f"{tmp_path / 'in.pkl'}: running its source failed: "
    seen = json.loads("{" + rest.rpartition("}")[0] + "}")

    assert seen["environment"] == seen["open"] == []
    assert seen["path"] is True
    assert seen["folder"] == seen["home"]
    assert not Path(seen["folder"]).exists()
    assert seen["own"] == seen["module"] == seen["installed"] == "done"
    assert seen["modules"] == ["misc.py"]
    assert seen["ours"] == "ModuleNotFoundError"
    if "name spaces" not in missing():
        assert seen["namespace"] != str(Path("/proc/self/ns/net").readlink())
    if "seccomp" not in missing():
        assert {seen[what] for what in ("tcp", "abstract", "unix", "pair", "kill", "program")} == {"PermissionError"}
    if "Landlock" not in missing():
        for what in ("read", "write", "make", "remove", "parent", "supplied", "checkout"):
            assert seen[what] == "PermissionError", what
        assert secret.read_text() == "secret"


def test_folders_that_are_not_pythons_own_are_none_of_its(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = python_folders()
    assert [path for path in known if Path(path, "tensorflow").is_dir()]
    assert [path for path in known if Path(path, "json").is_dir()]
    monkeypatch.setattr(sys, "path", [str(HOME), "", *sys.path, str(tmp_path)])
    assert python_folders() == known
    assert str(HOME) not in known


HOARDS = {
    "private": "hoard = [bytearray(1 << 28) for _ in range(40)]\n",
    "made read-only": """
import ctypes, mmap
libc, hoard = ctypes.CDLL(None), []
for _ in range(400):
    hoard.append(mmap.mmap(-1, 1 << 26, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 3))
    hoard[-1].write(bytes(1 << 26))
    address = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(hoard[-1])))
    assert libc.mprotect(address, ctypes.c_size_t(1 << 26), 1) == 0
""",
    "files": """
for i in range(100):
    with open(f"hoard{i}", "wb") as file:
        file.write(bytes(1 << 26))
""",
}


@pytest.mark.parametrize("kind", cases(HOARDS, long=["files", "private"]))
def test_what_it_holds_is_bounded(kind: str, tmp_path: Path) -> None:
    error = run(HOARDS[kind] + NOTHING, tmp_path, 2 * GB)
    assert "ran out of memory; it may hold 2.0 GB (--memory sets it)" in error


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os\nos._exit(0)", "left no sound result"),
        pytest.param("import os\nos.kill(os.getpid(), 11)", "was ended by signal 11", marks=pytest.mark.long),
        pytest.param(
            "import sys\nsys.exit(3)",
            "running its source failed: SystemExit: 3 (line 2 of its source of Gs)",
            marks=pytest.mark.long,
        ),
        ("import sys\nfor _ in range(1000): print('{' * 1000, file=sys.stderr)\nsys.exit()", "SystemExit"),
    ],
)
def test_however_it_ends_it_is_one_line(code: str, message: str, tmp_path: Path) -> None:
    error = run(code, tmp_path)
    assert message in error
    assert error.startswith(str(tmp_path / "in.pkl"))
    assert len(error.splitlines()) == 1


def test_it_cannot_play_with_the_terminal_or_the_line_to_us(tmp_path: Path) -> None:
    code = """
import os
for line in (b"[" * 60_000, b'{"isolation": 5, "error": 7}', b"[]", b"\\xff"):
    for channel in range(1, 20):
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
    for descriptor in range(1, 30):
        try:
            os.write(descriptor, json.dumps(message).encode() + bytes([10]))
        except OSError:
            pass

tell(["everything is safe"])
tell({"isolation": ["everything is safe"]})
names = json.load(open("job.json"))["networks"]["G_ema"]["variables"]
network = {"variables": ["nonsense"], "without_value": [chr(27) + "[31mred"], "components": {}}
result = {"tensorflow": chr(27) + "[31m", "numpy": "1", "half_precision": [], "networks": {"G_ema": network}}
json.dump(result, open("result.json", "w"))
values = {**np.load("values.npz"), "Gs/" + chr(27) + "[31mred": np.zeros(2, "f4")}
np.savez("variables.npz", **{name: value for name, value in values.items() if name != "stylegan_torch"})
os._exit(0)
"""


def test_it_cannot_say_how_it_is_kept_in(tmp_path: Path) -> None:
    path = carrier(LYING, tmp_path / "in.pkl")
    command = [str(path), str(tmp_path / "out.npz"), "--trust-embedded-code", *weak_option()]
    result = CliRunner().invoke(export_tf.main, command, color=True)
    assert result.exit_code == 0, result.output
    assert "everything is safe" not in result.output
    words = [layer.words for layer in LAYERS if layer.name not in missing()]
    assert f"{', '.join(words[1:])}\n" in result.output
    assert "ran in a process with at most" in result.output
    assert "\x1b[31m" not in result.output


def test_results_of_other_shapes_are_refused(tmp_path: Path) -> None:
    code = """
import json, os
import numpy as np
network = {"without_value": [], "components": {}}
json.dump({"networks": {"G_ema": network}}, open("result.json", "w"))
values = dict(np.load("values.npz"))
del values["stylegan_torch"]
np.savez("variables.npz", **{name: np.zeros([3, *value.shape], "f4") for name, value in values.items()})
os._exit(0)
"""
    assert "the result of its source is not as any known program writes it (ValueError: variables.npz: array " in run(
        code, tmp_path
    )


DENIED = ["name spaces", "Landlock", "seccomp", "name spaces,Landlock"]


@pytest.mark.parametrize("user", cases(["root", "ordinary"], long=["root"]))
@pytest.mark.parametrize("denied", DENIED)
def test_without_a_layer_it_is_not_run(user: str, denied: str, place: Path) -> None:
    path, out = carrier("import os\nos._exit(0)", place / "in.pkl"), place / "out.npz"
    result = as_user(user, denied, place, COMMAND, path, out, "--trust-embedded-code")
    assert result.returncode == 1
    assert result.stdout == ""
    error = result.stderr.strip().splitlines()[-1]
    assert error.startswith(f"Error: {path}: its program was not run: this system lacks ")
    assert error.endswith("; --weak-isolation runs it without")
    named = [layer.name for layer in LAYERS if f"{layer.name} (" in error]
    assert named == [layer.name for layer in LAYERS if layer.name in [*denied.split(","), *missing(user)]]
    assert not out.exists()


@pytest.mark.parametrize(
    ("user", "denied"),
    [
        ("ordinary", ""),
        pytest.param("root", "name spaces", marks=pytest.mark.long),
        pytest.param("ordinary", "name spaces,Landlock", marks=pytest.mark.long),
        pytest.param("root", "seccomp", marks=pytest.mark.long),
    ],
)
def test_networks_are_run_by_any_user_with_and_without_layers(user: str, denied: str, place: Path) -> None:
    path, out = carrier((SOURCES / "progan.py").read_text(), place / "in.pkl"), place / "out.npz"
    weak = ["--weak-isolation"] if denied or missing(user) else []
    result = as_user(user, denied, place, COMMAND, path, out, "--trust-embedded-code", *weak)
    assert result.returncode == 0, result.stderr
    said = result.stdout.splitlines()[0]
    for layer in LAYERS[1:]:
        assert (layer.words in said) == (layer.name not in [*denied.split(","), *missing(user)]), layer.name
    assert out.exists()


@pytest.mark.parametrize("user", cases(["root", "ordinary"], long=["root"]))
@pytest.mark.parametrize("denied", cases(["", "name spaces"], long=["name spaces"]))
def test_nothing_of_it_outlives_the_command(user: str, denied: str, place: Path) -> None:
    code = """
import ctypes, os, signal, time
ctypes.CDLL(None).prctl(1, 0)  # to live on without the parent
for number in (1, 2, 15):
    signal.signal(number, signal.SIG_IGN)
open("started", "w").close()
time.sleep(7200)
"""
    path = carrier(code, place / "in.pkl")
    arguments = [path, place / "out.npz", "--trust-embedded-code", "--weak-isolation"]
    command = command_as(user, denied, COMMAND, *arguments)
    with subprocess.Popen(command, cwd=HOME, env=environment(place), start_new_session=True) as process:
        while process.poll() is None and not list(place.glob("stylegan-torch-*/started")):
            pass
        if process.returncode == CANNOT:
            pytest.skip("this machine cannot play that")
        assert process.poll() is None
        (folder,) = place.glob("stylegan-torch-*")
        assert _with_argument(folder)
        process.send_signal(signal.SIGKILL)
    while _with_argument(folder):
        pass


def _with_argument(folder: Path) -> list[Path]:
    """Return the processes that were started with a folder; the program's cannot change what they are called."""
    return [path for path in Path("/proc").glob("[0-9]*/cmdline") if os.fsencode(folder) in _read(path)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_child_whose_parent_does_not_answer_runs_nothing(tmp_path: Path) -> None:
    start = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        sandbox.START,
        json.dumps([*python_folders(), str(Path(sandbox.__file__).parent)]),
    ]
    result = subprocess.run([*start, str(tmp_path), str(GB)], check=False, input=b"", capture_output=True, cwd=tmp_path)
    assert result.returncode == 1
    assert json.loads(result.stdout) == [layer.name for layer in LAYERS if layer.name not in missing()]
    assert result.stderr == b""
