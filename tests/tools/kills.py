"""Kills what draws a set, at random moments, again and again, and holds the set against an undisturbed one.

    python -m tests.tools.kills            # 50 kills: of local processes, drivers, Ray's actors, Ray's nodes
    python -m tests.tools.kills --each 2

Every kill is SIGKILL. Ray is a cluster of two nodes on this machine; a node that is killed is replaced by another.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from stylegan_torch import bulk
from tests import HOME
from tests.tools.small_set import hashes, made, planned

SHARDS = 150
_DRIVER = """
import sys
from stylegan_torch import bulk
if __name__ == "__main__":
    def tell(state):
        print(state.drawn, flush=True)
    bulk.run(sys.argv[1], engine=sys.argv[2], workers=2, on_progress=tell)
"""
Kill = Callable[[psutil.Process], bool]
"""Kills something of a driver's, or the driver; returns whether it was there."""


class Show:
    """A plan, its files' hashes when nobody disturbs, and how often what was killed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.sets = folder, 0
        self.driver = folder / "driver.py"
        self.driver.write_text(_DRIVER)
        self.plan = planned(folder, 4 * SHARDS)
        made(folder / "undisturbed", self.plan)
        self.wanted = hashes(folder / "undisturbed")

    def kill(self, name: str, engine: str, times: int, kill: Kill) -> None:
        """Draw sets, and kill so many times; every set must come out whole."""
        killed = sets = 0
        while killed < times:
            place = self.folder / f"set-{self.sets}"
            bulk.begin(place, self.plan)
            killed += self._draw(place, engine, kill, times - killed)
            bulk.run(place)  # tidies up
            assert hashes(place) == self.wanted, f"{name}: {place} differs"
            assert not bulk.verify(place).faults, name
            self.sets, sets = self.sets + 1, sets + 1
            print(f"{name}: {killed} of {times} killed, {sets} sets whole", flush=True)

    def _draw(self, place: Path, engine: str, kill: Kill, most: int) -> int:
        """Draw one set to its end, by as many drivers as it takes; returns how often something was killed."""
        killed = 0
        while True:
            command = [sys.executable, str(self.driver), str(place), engine]
            environment = {**os.environ, "PYTHONPATH": str(HOME), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
            with (
                (self.folder / "errors").open("w+") as errors,
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment) as driver,
            ):
                assert driver.stdout
                while driver.poll() is None:
                    if random.random() < 0.8:
                        driver.stdout.readline()  # something was drawn, or it has ended
                    time.sleep(random.random() * 0.5)
                    with suppress(psutil.NoSuchProcess):
                        killed += killed < most and kill(psutil.Process(driver.pid))
                if driver.returncode == 0:
                    return killed
                assert driver.returncode == -9, (self.folder / "errors").read_text()[-2000:]


def _kill_driver(driver: psutil.Process) -> bool:
    if driver.status() == psutil.STATUS_ZOMBIE:
        return False
    driver.kill()
    driver.wait()
    return True


def _kill_one(among: psutil.Process, sign: str) -> bool:
    """Kill one of the processes below one whose command line has a sign."""
    found = []
    for each in among.children(recursive=True):
        with suppress(psutil.Error):
            if sign in " ".join(each.cmdline()):
                found.append(each)
    if not found:
        return False
    random.choice(found).kill()
    return True


def _on_ray(show: Show, each: int) -> None:
    from ray.cluster_utils import Cluster

    # In a folder of its own, other programs that call `ray.init()` do not join it.
    node = {"num_cpus": 1, "object_store_memory": 100 << 20, "temp_dir": str(show.folder / "ray")}
    cluster = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **node})
    nodes: list[Any] = [cluster.add_node(**node)]
    os.environ["RAY_ADDRESS"] = cluster.address

    def kill_node(driver: psutil.Process) -> bool:
        if not _actors():
            return False
        cluster.remove_node(nodes.pop(), allow_graceful=False)
        nodes.append(cluster.add_node(**node))
        return True

    try:
        show.kill("two nodes of Ray, undisturbed", "ray", 1, lambda driver: True)
        show.kill("Ray's actors", "ray", each, lambda driver: _kill_one(psutil.Process(), "_Actor"))
        show.kill("Ray's nodes", "ray", each, kill_node)
        show.kill("Ray's drivers", "ray", max(1, each // 4), _kill_driver)
    finally:
        cluster.shutdown()


def _actors() -> bool:
    names = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            names.append(" ".join(process.cmdline()))
    return any("_Actor" in name for name in names)


def main() -> None:
    """Kill, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=12, help="Of each kind; of Ray's drivers a quarter.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("local", "ray"))
    options = parser.parse_args()
    random.seed(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        show = Show(Path(folder))
        if options.only != "ray":
            show.kill("local processes", "local", options.each, lambda driver: _kill_one(driver, "spawn_main"))
            show.kill("drivers of none", "none", options.each // 2, _kill_driver)
            show.kill("drivers of processes", "local", options.each - options.each // 2, _kill_driver)
        if options.only != "local":
            _on_ray(show, options.each)


if __name__ == "__main__":
    main()
