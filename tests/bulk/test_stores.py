"""Stores: a folder, fsspec's memory, and S3 as moto plays it; in each a name holds a whole file or none."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest

from stylegan_torch import bulk
from stylegan_torch.bulk.stores import LocalStore, open_store
from tests.tools.small_set import hashes, made, planned

_S3 = """if True:
    import sys
    from pathlib import Path

    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    import os
    host, port = server.get_host_and_port()
    os.environ["AWS_ENDPOINT_URL"] = f"http://{host}:{port}"
    import fsspec
    fsspec.filesystem("s3").mkdir("bucket")

    from stylegan_torch import bulk
    from tests.tools.small_set import hashes, made, planned

    plan = planned(Path(sys.argv[1]))
    made(Path(sys.argv[1]) / "local", plan)
    made("s3://bucket/deep/set", plan)
    assert hashes("s3://bucket/deep/set") == hashes(Path(sys.argv[1]) / "local")
    fsspec.filesystem("s3").rm_file("bucket/deep/set/00001.tar")
    assert bulk.verify("s3://bucket/deep/set").faults == ("00001.tar is missing", "shard 1: 00001.tar is missing")
    assert bulk.run("s3://bucket/deep/set").drawn == 4
    assert bulk.verify("s3://bucket/deep/set", redraw=0.5).faults == ()
    server.stop()
    print("all as planned")
"""


def test_memory(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    made(tmp_path / "set", plan)
    made("memory://sets/one", plan)
    assert hashes("memory://sets/one") == hashes(tmp_path / "set")
    fsspec.filesystem("memory").rm_file("/sets/one/00000.parquet")
    assert bulk.run("memory://sets/one").drawn == 4
    assert bulk.verify("memory://sets/one") == bulk.Findings((), 10, 0)


def test_s3(tmp_path: Path) -> None:
    """In a process of its own, as the server and s3fs leave threads and sockets behind."""
    pytest.importorskip("moto")
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")
    environment = {**os.environ, **dict.fromkeys(names, "us-east-1"), "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-c", _S3, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("all as planned"), done.stderr[-2000:]


def test_a_system_that_syncs_only_what_can_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Windows does."""
    fcntl, sync = pytest.importorskip("fcntl"), os.fsync

    def strict(descriptor: int) -> None:
        if stat.S_ISREG(os.fstat(descriptor).st_mode) and not fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_RDWR:
            raise OSError(errno.EBADF, "Bad file descriptor")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", strict)
    store = LocalStore(tmp_path)
    store.write("a/b", b"content")
    assert store.read("a/b") == b"content"


def test_what_killed_processes_left_goes(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    store = LocalStore(tmp_path)
    with store.workplace() as mine:
        left = mine.with_name(mine.name.replace(f"-{os.getpid()}-", f"-{gone.pid}-"))
        elsewhere = mine.with_name(".part-another machine-1-x")
        left.mkdir()
        elsewhere.mkdir()
        (left / "shard.tar").write_bytes(b"half")
        store.tidy()
        assert (left.exists(), elsewhere.exists(), mine.exists()) == (False, True, True)
        assert store.names() == []


def test_places_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(bulk.BulkError, match="cannot open nosuch://bucket/set"):
        open_store("nosuch://bucket/set")
    (tmp_path / "file").write_text("")
    with pytest.raises(bulk.BulkError, match="cannot read or write"):
        open_store(str(tmp_path / "file")).write("name", b"")


@pytest.mark.parametrize("place", ["local", "memory"])
def test_files_by_name(place: str, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "a") if place == "local" else "memory://files")
    assert store.read("x/y") is None and store.open("x/y") is None and store.names() == []
    store.write("x/y", b"content")
    store.write("x/y", b"other")
    assert store.read("x/y") == b"other" and store.names("x") == ["x/y"]
    store.remove("x/y")
    store.remove("x/y")
    with pytest.raises(bulk.BulkError, match="x/y is missing"), store.opened("x/y"):
        pass
