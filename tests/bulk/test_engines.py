"""Whoever draws, whatever is killed: every seed once, and the same bytes as one process draws undisturbed."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from stylegan_torch import bulk
from stylegan_torch.bulk import shards
from stylegan_torch.bulk.engines import ENGINES
from stylegan_torch.bulk.engines.local import in_processes
from stylegan_torch.bulk.shards import Job, Worker
from stylegan_torch.errors import StyleGANError
from tests.tools.small_set import hashes, made, planned

_KILLER = """if True:
    import multiprocessing, os, random, signal, sys
    from stylegan_torch import bulk

    place, engine, chance = sys.argv[1], sys.argv[2], float(sys.argv[3])

    def maybe_die(state):
        if state.drawn and random.random() < chance:
            print(*(child.pid for child in multiprocessing.active_children()), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    if __name__ == "__main__":
        bulk.run(place, engine=engine, workers=2, on_progress=maybe_die)
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bulk.Plan]:
    folder = tmp_path_factory.mktemp("undisturbed")
    plan = planned(folder, 22, filters=[bulk.Filter("best", 0.6)], calibrate=16)
    made(folder / "set", plan)
    return folder / "set", plan


def test_processes_draw_the_same(undisturbed: tuple[Path, bulk.Plan], tmp_path: Path) -> None:
    place, plan = undisturbed
    state = made(tmp_path / "set", plan, engine="local", workers=2)
    assert (state.done, state.shards, state.drawn) == (6, 6, 22)
    assert hashes(tmp_path / "set") == hashes(place)


def test_shares_of_shards_make_the_whole(undisturbed: tuple[Path, bulk.Plan], tmp_path: Path) -> None:
    place, plan = undisturbed
    for share in (range(3, 6), range(2), range(1, 4)):
        made(tmp_path / "set", plan, shards=share)
    assert hashes(tmp_path / "set") == hashes(place)


@pytest.mark.long
def test_processes_that_are_killed(undisturbed: tuple[Path, bulk.Plan], tmp_path: Path) -> None:
    """Each time a shard is done, one of the processes that draw is killed."""
    place, plan = undisturbed
    bulk.begin(tmp_path / "set", plan)
    killed = 0

    def kill_one(state: bulk.State) -> None:
        nonlocal killed
        if (children := multiprocessing.active_children()) and state.done % 2:
            random.choice(children).kill()
            killed += 1

    bulk.run(tmp_path / "set", engine="local", workers=2, on_progress=kill_one)
    assert killed and hashes(tmp_path / "set") == hashes(place)


@pytest.mark.long
def test_a_driver_that_is_killed_again_and_again(undisturbed: tuple[Path, bulk.Plan], tmp_path: Path) -> None:
    place, plan = undisturbed
    bulk.begin(tmp_path / "set", plan)
    ends: list[int] = []
    while not ends or ends[-1]:
        done = subprocess.run([sys.executable, "-c", _KILLER, str(tmp_path / "set"), "none", "0.5"], check=False)
        ends.append(done.returncode)
    assert set(ends) <= {0, -signal.SIGKILL}
    bulk.run(tmp_path / "set")  # tidies up
    assert hashes(tmp_path / "set") == hashes(place)


@pytest.mark.long
def test_a_shard_that_is_killed_while_it_is_written(undisturbed: tuple[Path, bulk.Plan], tmp_path: Path) -> None:
    """At every file that a shard puts in its place, the process dies; nothing wrong is ever taken for whole."""
    place, plan = undisturbed
    code = """if True:
        import os, signal, sys
        from stylegan_torch import bulk
        from stylegan_torch.bulk.stores import LocalStore

        put, left = LocalStore.put, int(sys.argv[2])

        def dying(self, name, source):
            global left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            put(self, name, source)

        LocalStore.put = dying
        bulk.run(sys.argv[1])
    """
    bulk.begin(tmp_path / "set", plan)
    for files in range(3):
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "set"), str(files)], check=False)
        assert done.returncode == -signal.SIGKILL
    bulk.run(tmp_path / "set")
    assert hashes(tmp_path / "set") == hashes(place)


@pytest.mark.long
def test_processes_end_with_their_driver(tmp_path: Path) -> None:
    bulk.begin(tmp_path / "set", planned(tmp_path, 400))
    driver = [sys.executable, "-c", _KILLER, str(tmp_path / "set"), "local", "1"]
    done = subprocess.run(driver, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    left = [psutil.Process(int(pid)) for pid in done.stdout.split() if psutil.pid_exists(int(pid))]
    assert not psutil.wait_procs(left)[1]


def test_a_fault_is_told_and_stops_the_others(tmp_path: Path) -> None:
    plan = planned(tmp_path, 40)
    bulk.begin(tmp_path / "set", plan)
    Path(plan.networks[0].path).write_bytes(b"no network")
    for engine in ("none", "local"):
        with pytest.raises(StyleGANError, match=r"network\.pt|stylegan2-0\.pt"):
            bulk.run(tmp_path / "set", engine=engine, workers=1)


def test_processes_end_with_what_they_are_for(tmp_path: Path) -> None:
    """One that has only begun to start would find nothing of what it shares with this one, and say so at length."""
    plan = planned(tmp_path, 40)
    bulk.begin(tmp_path / "set", plan)
    job = Job(plan, str(tmp_path / "set"), tuple(each.path for each in plan.networks))
    drawn: Any = in_processes(job, range(plan.shards), 2)
    others = multiprocessing.active_children()
    next(drawn)
    processes = [each for each in multiprocessing.active_children() if each not in others]
    drawn.close()
    while any(process.exitcode is None for process in processes):  # the pool's own thread may be the one to be told
        time.sleep(0.01)
    assert [process.exitcode for process in processes] == [-signal.SIGTERM] * 2


def test_a_filter_that_takes_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "no_taste.py").write_text("def nothing(picture, what): return 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(shards, "MOST_ATTEMPTS", 50)
    bulk.begin(tmp_path / "set", planned(tmp_path, 1, filters=[bulk.Filter("program", 0.5, "no_taste:nothing")]))
    with pytest.raises(bulk.BulkError, match="picture 0: 50 were rejected for its place; reject less"):
        bulk.run(tmp_path / "set")
    assert [each.name for each in (tmp_path / "set").iterdir()] == ["manifest.json"]


def test_an_engine_may_be_anything_that_hands_out_numbers(undisturbed: tuple[Path, bulk.Plan], tmp_path: Path) -> None:
    """What is drawn is a shard's own matter: done backwards, twice, by workers that come and go."""
    place, plan = undisturbed
    bulk.begin(tmp_path / "set", plan)
    job = Job(plan, str(tmp_path / "set"), tuple(each.path for each in plan.networks))
    for shard in [5, 4, 4, 3, 2, 5, 1, 0]:
        Worker(job)(shard)
    assert hashes(tmp_path / "set") == hashes(place)
    assert set(ENGINES) == {"none", "local", "ray"}


@pytest.mark.long
@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_ray_draws_the_same(cpus: int, undisturbed: tuple[Path, bulk.Plan], tmp_path: Path) -> None:
    place, plan = undisturbed
    code = f"""if True:
        import ray, sys
        from stylegan_torch import bulk
        ray.init("local", num_cpus={cpus}, include_dashboard=False, log_to_driver=False, object_store_memory=100 << 20)
        print(bulk.run(sys.argv[1], engine="ray"))
    """
    bulk.begin(tmp_path / "set", plan)
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "RAY_DATA_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "set")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr[-2000:]
    assert hashes(tmp_path / "set") == hashes(place)


def test_a_ray_that_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **how: (_ for _ in ()).throw(Exception("the node timed out")))
    bulk.begin(tmp_path / "set", planned(tmp_path, 2))
    with pytest.raises(bulk.BulkError, match="Ray does not start: the node timed out"):
        bulk.run(tmp_path / "set", engine="ray")
