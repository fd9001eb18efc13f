"""The guard over unit tests: what starts a process is refused here, and belongs in tests/integration."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest


@pytest.mark.parametrize(
    "start",
    [
        lambda: subprocess.run([sys.executable, "-V"], check=False),
        lambda: os.system("true"),  # noqa: S605  # refused before a shell sees it
        os.fork,
    ],
    ids=["subprocess", "system", "fork"],
)
def test_a_unit_test_starts_no_process(start: Callable[[], object]) -> None:
    with pytest.raises(AssertionError, match=r"test_a_unit_test_starts_no_process\[.+\] starts a process"):
        start()
