"""How long a test waits for what must come. Nothing is judged by it: a busy machine is slow, not wrong."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["MOST_S", "wait_until"]

MOST_S = 120.0
"""What takes a second on a quiet machine has come by then on one that has ten times as much to do."""


def wait_until(holds: Callable[[], bool], most_s: float = MOST_S) -> None:
    """Returns once `holds` does. Raises AssertionError when that does not happen."""
    end = time.monotonic() + most_s
    while not holds():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)
