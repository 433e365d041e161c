"""Pictures a second of the service in integrations/serving: requests drawn together, and one by one.

    pip install -r integrations/serving/requirements.txt psutil
    python benchmarks/serving.py [--network ffhq.pt] [--device cuda] [--batches 1,8,32] [--clients 32] [--threads 1]

Clients on this machine ask for one picture after the other, all at once. For each size of batch the service is started
anew; the numbers are of what came back within the time, how long each request took, and how much processor time the
service spent on a picture, which says more than the clock where others use the machine too.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

SERVICE = Path(__file__).parents[1] / "integrations" / "serving" / "serve.py"


def asked(port: int, until: float, seeds: itertools.count[int]) -> list[float]:
    """Ask for pictures until a time; returns the seconds that each took."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    seconds = []
    while (start := time.perf_counter()) < until:
        connection.request("GET", f"/picture?seed={next(seeds)}&truncation=0.7")
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content
        seconds.append(time.perf_counter() - start)
    return seconds


def _processor_time(process: int) -> float:
    times = psutil.Process(process).cpu_times()
    return float(times.user + times.system)


def measured(command: list[str], port: int, clients: int, seconds: float) -> tuple[float, float, list[float]]:
    """Start the service, ask it, and end it; returns pictures a second, processor time of one, and each one's time."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        try:
            assert service.stdout.readline().startswith("Pictures at"), "the service did not start"
            while True:  # it says so a moment before it listens
                try:
                    asked(port, time.perf_counter() + 0.5, itertools.count())
                    break
                except ConnectionError:
                    time.sleep(0.05)
            seeds, start, spent = itertools.count(), time.perf_counter(), _processor_time(service.pid)
            with ThreadPoolExecutor(clients) as pool:
                jobs = [pool.submit(asked, port, start + seconds, seeds) for _ in range(clients)]
                took = [each for job in jobs for each in job.result()]
            rate = len(took) / (time.perf_counter() - start)
            return rate, (_processor_time(service.pid) - spent) / len(took), took
        finally:
            service.terminate()


def main() -> None:
    """Print a line for each size of batch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network")
    parser.add_argument("--device")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--batches", default="1,8")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--port", type=int, default=8765)
    given = parser.parse_args()
    on = [f"--{name}={value}" for name in ("network", "device", "threads") if (value := getattr(given, name))]
    print("batch | pictures a second | processor ms a picture | median ms | 95 % within ms")
    for batch in map(int, given.batches.split(",")):
        command = [sys.executable, str(SERVICE), *on, f"--batch={batch}", f"--port={given.port}"]
        rate, processor, took = measured(
            [*command, f"--waiting={max(64, given.clients)}"], given.port, given.clients, given.seconds
        )
        late = statistics.quantiles(took, n=20)[-1]
        print(
            f"{batch} | {rate:.1f} | {1000 * processor:.1f} | {1000 * statistics.median(took):.0f} | {1000 * late:.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
