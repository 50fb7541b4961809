"""The bars of the largest board: seconds of the merge, size of the file, seconds until it is shown.

    python -m tests.board.bars

It merges the runs of 10 platforms, 4 backends and 250 scenarios, and opens the board in the Chromium
that is on PATH, several times; the exit code is 1 if a bar is missed. Times are the machine's, so
this is no test.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from harness.cli import main as command
from tests.board import sample

MERGE_S, SIZE, LOAD_S = 20.0, 10_000_000, 2.0
ROUNDS = 5


def loading(page: Path) -> float | None:
    """Return the median of the seconds until the matrix is shown; None without a browser."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    if chromium is None:
        return None
    times = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(ROUNDS):
            tab = browser.new_page()
            begin = time.perf_counter()
            tab.goto(page.as_uri())
            tab.locator("html[data-ready=matrix]").wait_for(state="attached")
            times.append(time.perf_counter() - begin)
            tab.close()
        browser.close()
    return statistics.median(times)


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sample.write(folder / "runs", platforms=10, backends=4, scenarios=250)
        begin = time.perf_counter()
        command(["merge", str(folder / "runs"), "-o", str(folder / "board"), "--single-file"])
        merge = time.perf_counter() - begin
        page = folder / "board" / "index.html"
        size = page.stat().st_size
        load = loading(page)
    print(f"merge: {merge:.1f} s, the bar is {MERGE_S:.0f} s")
    print(f"size:  {size / 1e6:.2f} MB, the bar is {SIZE / 1e6:.0f} MB")
    print(f"load:  {'no browser' if load is None else f'{load:.2f} s'}, the bar is {LOAD_S:.0f} s")
    return int(merge > MERGE_S or size > SIZE or (load or 0) > LOAD_S)


if __name__ == "__main__":
    sys.exit(main())
