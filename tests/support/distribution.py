"""How the tests are distributed over worker processes: by file, since modules share what is slow to build, and the
longest first, so that no worker is left alone with a long file at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from xdist.remote import Producer

__all__ = ["LongestFirst", "rank"]

_FIRST = (
    "tests/contracts/test_coverage.py",
    "tests/contracts/test_solidity.py",
    "tests/faults/",
)
"""Files and folders, the longest first. A file that is missing here costs time, nothing else."""
_APART = ("tests/faults/",)
"""Tests that take long and share nothing: each may run on its own."""
_TOGETHER = {
    f"tests/contracts/{name}.py": "one run of the Solidity suite"
    for name in ("test_solidity", "test_access_matrix", "test_artifacts")
}
"""Files that share what is built once a session."""


def rank(item: pytest.Item) -> int:
    """Sorts tests into the order in which they are handed out; stable within a file."""
    return next((place for place, name in enumerate(_FIRST) if item.nodeid.startswith(name)), len(_FIRST))


class LongestFirst(LoadFileScheduling):  # type: ignore[misc]  # xdist ships no types
    """In the order of collection, which `rank` has sorted."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False  # by the number of tests, which says little about their time

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(_APART):
            return nodeid
        file: str = super()._split_scope(nodeid)
        return _TOGETHER.get(file, file)
