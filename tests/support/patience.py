"""How long tests wait for something that must happen. It is not a measurement: a busy machine is slow, not wrong."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["MAX_S", "wait_until"]

MAX_S = 120.0
"""Seconds. Enough for what takes a second on an idle machine, even with ten times the load."""


def wait_until(holds: Callable[[], bool], most_s: float = MAX_S) -> None:
    """Returns once `holds` returns True. Raises AssertionError if it does not within `most_s`."""
    began = time.monotonic()
    end = began + most_s
    while not holds():
        ended = time.monotonic()
        assert ended < end, "it did not come true"
        # Looking may query a database or a server: so it takes at most a fifth of the time that the awaited work needs.
        time.sleep(max(0.01, 4 * (ended - began)))
        began = time.monotonic()
