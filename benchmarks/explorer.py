"""Times what a visitor of the explorer waits for: from moving a slider to its picture, and how many come in a second.

    pip install '.[explore,dev]'    # and Chromium, or `playwright install chromium`
    python benchmarks/explorer.py [--network ffhq.pt] [--moves 50]
    python benchmarks/explorer.py --page out/demo/page    # what `stylegan page` wrote: one thread of WebAssembly

A headless Chromium drags a direction's slider. First one step after the other: the time is from the mouse's move until
the page shows another picture, by the page's own clock. Then without waiting, to and fro for some seconds: so many
pictures are shown.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.sync_api import sync_playwright

_WAIT = 600_000
"""Milliseconds until it gives up: one thread takes long for a large network's first picture."""
_SLIDER = "[data-field='Direction pca 0'] input[type=range]"
_WATCH = """() => {
  window.frames_ = 0;
  window.waits_ = [];
  let moved;
  addEventListener('pointermove', () => { moved = performance.now(); }, true);
  new MutationObserver(() => {
    frames_ += 1;
    const milliseconds = performance.now() - moved;
    waits_.splice(0).forEach(done => done(milliseconds));
  }).observe(document.querySelector('#picture'), {attributeFilter: ['aria-label']});
}"""
_BEGIN = "() => { window.next_ = new Promise(done => waits_.push(done)); }"
_NEXT = "() => next_"
_COUNT = "() => frames_"
_SHOWN = {
    "seed": 7,
    "moves": [{"directions": "pca", "index": 2, "strength": 1}, {"directions": "pca", "index": 1, "strength": 0.8}],
    "mixes": [{"seed": 12, "layers": "6-9"}],
}


def _middle(page: Any) -> tuple[float, float, float]:
    page.locator(_SLIDER).scroll_into_view_if_needed()
    box = page.locator(_SLIDER).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box["width"]


def steps(page: Any, moves: int) -> list[float]:
    """Drag the first direction's slider to and fro; returns the milliseconds until each new picture."""
    x, y, width = _middle(page)
    page.mouse.move(x, y)
    page.mouse.down()
    waited = []
    for i in range(moves):
        reach = (i % 10 + 1) * (1 if i // 10 % 2 else -1)
        page.evaluate(_BEGIN)
        page.mouse.move(x + reach * width / 25, y)
        waited.append(page.evaluate(_NEXT))
    page.mouse.up()
    return waited


def frames(page: Any, seconds: float) -> float:
    """Drag without waiting; returns the pictures that are shown in a second."""
    x, y, width = _middle(page)
    page.mouse.move(x, y)
    page.mouse.down()
    before, start, i = page.evaluate(_COUNT), time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        page.mouse.move(x + (abs(i % 80 - 40) - 20) / 50 * width, y)
        i += 1
    rate = (page.evaluate(_COUNT) - before) / (time.perf_counter() - start)
    page.mouse.up()
    return float(rate)


def _is_done(page: Any) -> None:
    page.locator("#download-png:not([disabled])").wait_for()


def picture_of(page: Any, path: str) -> None:
    """Write what the page looks like once all its small pictures are there."""
    for seed in (2, 13, 8):
        page.fill("#seed", str(seed))
        page.locator("#commands", has_text=f"--seeds {seed} ").wait_for(state="attached")
    page.evaluate("hash => { location.hash = hash; }", quote(json.dumps(_SHOWN)))
    page.locator("#commands", has_text="--move pca:2=").wait_for(state="attached")
    _is_done(page)
    while page.locator("img.waiting:visible").count():
        time.sleep(0.05)
    page.locator("#panel").evaluate("panel => { panel.scrollTop = 0; }")
    page.screenshot(path=path)


@contextmanager
def serving(command: list[str]) -> Iterator[str]:
    """Give the address of a page that a module of Python serves."""
    program = [sys.executable, "-u", "-m", *command]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        said = re.search(r"http://[^ )]+", server.stdout.readline())
        assert said is not None
        yield said[0]
        server.terminate()


def main() -> None:
    """Start an explorer, drag, and print the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", action="append", default=[])
    parser.add_argument("--page", type=Path, help="The folder of an exported page, instead of networks.")
    parser.add_argument("--moves", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--screenshot", help="Also write what the page looks like in the end here (.png).")
    options = parser.parse_args()
    networks = [word for network in options.network for word in ("--network", network)]
    command = ["stylegan_torch.commands.main", "explore", *networks]
    if options.page:
        command = ["http.server", "0", "--bind", "127.0.0.1", "--directory", str(options.page)]
    with serving(command) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1300, "height": 1000})
        page.set_default_timeout(_WAIT)
        page.goto(url)
        _is_done(page)
        page.evaluate(_WATCH)
        waited = sorted(steps(page, options.moves))
        rate = frames(page, options.seconds)
        _is_done(page)
        size = page.evaluate("document.querySelector('#picture').width")
        if options.screenshot:
            picture_of(page, options.screenshot)
        browser.close()
    late = waited[int(0.95 * len(waited))]
    print(
        f"{len(waited)} moves, pictures of {size} pixels: median {statistics.median(waited):.0f} ms, "
        f"95 % within {late:.0f} ms; {rate:.0f} frames/s while dragging"
    )
    if options.page:
        sizes = {path: path.stat().st_size / 1e6 for path in options.page.rglob("*") if path.is_file()}
        network = sum(size for path, size in sizes.items() if path.parent.name == "network")
        print(f"The folder has {sum(sizes.values()):.1f} MB, of which {network:.1f} MB are the network")


if __name__ == "__main__":
    main()
