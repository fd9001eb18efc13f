"""How torch's threads wait for each other."""

from __future__ import annotations

import os

PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Makes waiting threads sleep. By default they spin: on a busy machine, two threads at small pieces of work then take
many times as much processor time as one thread, and nothing is done sooner."""


def let_idle_threads_sleep() -> None:
    """Has torch do so from its import on, unless the environment says otherwise. Changes nothing after that import, and
    no figure that is computed."""
    for name, value in PATIENT.items():
        os.environ.setdefault(name, value)
