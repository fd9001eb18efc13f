"""How often a process that serves for long looks for reference cycles."""

from __future__ import annotations

import gc

_EVERY = 20_000
"""New container objects between collections. Events, records and requests create a few each, hardly any in a cycle: at
Python's 700, a fifth of the time in which an index follows its chain is spent on looking for what is not there."""


def collect_rarely() -> None:
    """Call it once everything is loaded: what exists then is exempted from garbage collection."""
    # It lives as long as the process. Traversing it again would stop every response for about 0.2 s.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_EVERY)
