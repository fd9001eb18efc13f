"""Unit tests run in one process and may not start another. Tests that must are in tests/integration."""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path

import pytest

_STARTS = frozenset({"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen"})
_PROBES = frozenset({"/sbin/ldconfig"})
"""Programs that a library runs to learn about the machine: torch's compiler looks for a graphics driver."""
_running: list[str] = []
"""The unit test that is running; empty if none is."""


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if _running and event in _STARTS and not _PROBES.intersection(arguments[:1]):
        raise AssertionError(f"{_running[-1]} starts a process: {event} {arguments}")


sys.addaudithook(_refuse)  # for good: Python takes none away


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Notes the current test. Acts on unit tests only, although pytest calls it for every test of the session."""
    if item.path.is_relative_to(Path(__file__).parent):
        _running.append(item.nodeid)
    try:
        return (yield)
    finally:
        _running.clear()
