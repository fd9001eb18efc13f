"""What a phone waits for: `python -m tests.support.browser_figures` prints bytes, first paint of a passport, and the
time that the page that verifies takes, in a real Chromium; that time again with the browser under a quota of a quarter
of one core. Figures of one machine and moment: no test has them."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.check_page import build_page
from tests.support.patience import MAX_S
from tests.support.portal_world import PortalWorld, serve_world
from tests.support.quota import under_quota

__all__ = ["main"]

BYTES_S, DELAY_MS = 1_600_000 // 8, 150
"""A slow mobile network."""
SLOWER = 4
"""A quarter of this machine's processor."""
_TICKS_S = 100
"""Of /proc: a constant of Linux."""


@contextmanager
def slow_page(browser: Browser, rate: int) -> Iterator[tuple[Page, list[int]]]:
    """A phone's page on the slow network, and what it has loaded, in bytes. `rate`: how much slower its thread is."""
    context, loaded = browser.new_context(viewport={"width": 390, "height": 844}, locale="en-GB"), list[int]()
    context.set_default_timeout(MAX_S * 1000)
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    limits = {"offline": False, "latency": DELAY_MS, "downloadThroughput": BYTES_S, "uploadThroughput": BYTES_S}
    session.send("Network.emulateNetworkConditions", limits)
    session.send("Emulation.setCPUThrottlingRate", {"rate": rate})
    session.on("Network.loadingFinished", lambda event: loaded.append(int(event["encodedDataLength"])))
    yield page, loaded
    context.close()


def measure_paint(browser: Browser, address: str, turns: int) -> dict[str, Any]:
    """First contentful paint of a passport, with an empty cache each time."""
    script = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
    times, sizes, page_bytes = [], [], 0
    for _ in range(turns):
        with slow_page(browser, SLOWER) as (page, loaded):
            answer = page.goto(address)
            page.wait_for_function(f"({script})() !== null")
            times.append(round(page.evaluate(script)))
            page.wait_for_load_state("networkidle")
            sizes.append(sum(loaded))
            page_bytes = len(answer.body()) if answer is not None else 0
    return {"first_paint_ms": times, "median_ms": median(times), "loaded_bytes": sizes[-1], "page_bytes": page_bytes}


def measure_check(browser: Browser, world: PortalWorld, processor: Callable[[], float]) -> dict[str, Any]:
    """From a passport to the result, with an empty cache and an unthrottled processor; then once more, loaded."""
    asked: list[str] = []
    with browser.new_context() as context:
        context.set_default_timeout(MAX_S * 1000)
        page, loaded = context.new_page(), list[int]()
        page.goto(world.code())
        session = context.new_cdp_session(page)
        session.send("Network.enable")
        page.on("request", lambda one: asked.append(one.url))
        page.on("response", lambda one: loaded.append(int(one.headers.get("content-length", 0))))
        began, used = time.monotonic(), processor()
        page.locator("a[href^='/check/#']").click()
        expect(page.locator("#result .badge")).to_be_visible()
        first = {"first_s": round(time.monotonic() - began, 2), "processor_s": round(processor() - used, 2)}
        said = page.locator("#result").inner_text()
        again = time.monotonic()
        page.locator("#go").click()
        expect(page.locator("#state")).to_be_empty()
        expect(page.locator("#result .badge")).to_be_visible()
    hosts = sorted({urlsplit(one).netloc for one in asked} - {urlsplit(world.origin).netloc})
    return {
        **first,
        "again_s": round(time.monotonic() - again, 2),
        "loaded_bytes": sum(loaded),
        "other_hosts": hosts,
        "said": next((line for line in said.splitlines() if " s" in line and "device" in line), ""),
    }


def measure_slowed(browser: Browser, world: PortalWorld, pids: set[int]) -> dict[str, Any]:
    """As `measure_check`, with the whole browser under a quota: its own throttle does not slow workers."""
    with under_quota(tree_of(pids), 1 / SLOWER) as refused:
        if refused is not None:
            return {"left_out": refused}
        found = measure_check(browser, world, lambda: used_by(pids))
    return {"quota": 1 / SLOWER, **{name: found[name] for name in ("first_s", "processor_s", "again_s", "said")}}


def used_by(pids: set[int]) -> float:
    """Processor seconds of processes and their descendants."""
    found = _processes()
    return sum(found[one][1] for one in _with_descendants(pids, found) if one in found)


def tree_of(pids: set[int]) -> set[int]:
    """Processes and their descendants."""
    return _with_descendants(pids, _processes())


def _processes() -> dict[int, tuple[int, float]]:
    """By number, the parent and the processor seconds."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        found[int(path.parent.name)] = int(fields[1]), (int(fields[11]) + int(fields[12])) / _TICKS_S
    return found


def _with_descendants(pids: set[int], found: dict[int, tuple[int, float]]) -> set[int]:
    known = set(pids)
    while more := {one for one, (parent, _) in found.items() if parent in known} - known:
        known |= more
    return known


def _children(name: str) -> set[int]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            if name in path.read_text():
                found.add(int(path.parent.name))
        except OSError:
            continue
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Print what a phone waits for.")
    parser.add_argument("--turns", type=int, default=5)
    given, path = parser.parse_args(arguments), shutil.which("chromium")
    if path is None:
        sys.stderr.write("chromium is not installed\n")
        return 1
    with TemporaryDirectory() as folder:
        build_page(Path(folder) / "page")
        # The world comes first: beside the browser, no other event loop can run.
        with serve_world(Path(folder), Path(folder) / "page") as world, sync_playwright() as playwright:
            expect.set_options(timeout=MAX_S * 1000)
            before = _children("chrom")
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
            own = _children("chrom") - before
            found = {
                "passport": measure_paint(browser, world.code(), given.turns),
                "check": measure_check(browser, world, lambda: used_by(own)),
                "check_slowed": measure_slowed(browser, world, own),
            }
            browser.close()
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
