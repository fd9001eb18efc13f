"""How long tests wait for something that must happen. It is not a measurement: a busy machine is slow, not wrong."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["MAX_S", "wait_until"]

MAX_S = 120.0
"""Seconds. Enough for what takes a second on an idle machine, even with ten times the load."""


def wait_until(holds: Callable[[], bool], most_s: float = MAX_S) -> None:
    """Returns once `holds` returns True. Raises AssertionError if it does not within `most_s`."""
    end = time.monotonic() + most_s
    while not holds():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)
