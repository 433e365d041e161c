"""Times what a visitor of the explorer waits for: from moving a slider to its picture on the screen.

    pip install '.[explore,dev]'    # and Chromium, or `playwright install chromium`
    python benchmarks/explorer.py [--network ffhq.pt] [--moves 50]

A headless Chromium drags a direction's slider, one step after the other; the time is from the mouse's move until the
picture in the page is a new one.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from typing import Any

from playwright.sync_api import sync_playwright

_CHANGED = "old => { const e = document.querySelector('#picture img'); return e && e.complete && e.src !== old; }"
_REACHED = """() => {
  const e = document.querySelector('#direction-0 input[type=range]'), box = e.getBoundingClientRect();
  return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2) === e;
}"""


def drag(page: Any, moves: int) -> list[float]:
    """Drag the first direction's slider to and fro; returns the seconds until each new picture."""
    slider = page.locator("#direction-0 input[type=range]")
    box = slider.bounding_box()
    middle, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(middle, y)
    page.mouse.down()
    seconds = []
    for i in range(moves):
        before = page.get_attribute("#picture img", "src")
        reach = (i % 10 + 1) * (1 if i // 10 % 2 else -1)
        start = time.perf_counter()
        page.mouse.move(middle + reach * box["width"] / 25, y)
        page.wait_for_function(_CHANGED, arg=before, polling=5)
        seconds.append(time.perf_counter() - start)
    page.mouse.up()
    return seconds


def pose(page: Any) -> None:
    """Let the page show some seeds, the last one moved along a direction."""
    page.reload()
    for field, value, word in (
        ("#seed input", "2", "--seeds 2 "),
        ("#seed input", "13", "--seeds 13 "),
        ("#seed input", "8", "--seeds 8 "),
        ("#seed input", "7", "--seeds 7 "),
        ("#direction-2 input[type=number]", "2", "--move pca:2=2"),
    ):
        if field.startswith("#direction"):
            page.click("#directions button >> nth=0")
        page.fill(field, value)
        page.press(field, "Enter")
        page.wait_for_function(f"document.querySelector('#commands textarea').value.includes('{word}')")


def main() -> None:
    """Start an explorer, drag, and print the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", action="append", default=[])
    parser.add_argument("--moves", type=int, default=50)
    parser.add_argument("--screenshot", help="Also write what the page looks like in the end here (.png).")
    options = parser.parse_args()
    networks = [word for network in options.network for word in ("--network", network)]
    command = [sys.executable, "-m", "stylegan_torch.commands.main", "explore", *networks]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, sync_playwright() as playwright:
        assert server.stdout is not None
        url = server.stdout.readline().split()[1]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1300, "height": 1000})
        page.goto(url)
        page.wait_for_function("document.querySelector('#commands textarea')?.value")
        page.click("#directions button >> nth=0")
        page.wait_for_function(_REACHED)  # when the accordion has opened
        seconds = drag(page, options.moves)
        size = page.evaluate("document.querySelector('#picture img').naturalWidth")
        if options.screenshot:
            pose(page)
            page.screenshot(path=options.screenshot)
        browser.close()
        server.terminate()
    ms = [1000 * each for each in sorted(seconds)]
    late = ms[int(0.95 * len(ms))]
    print(
        f"{len(ms)} moves, pictures of {size} pixels: median {statistics.median(ms):.0f} ms, 95 % within {late:.0f} ms"
    )


if __name__ == "__main__":
    main()
