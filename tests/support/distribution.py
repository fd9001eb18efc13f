"""Distributes the tests over worker processes: by file, since modules share slow fixtures, and the longest first, so
that no worker ends up alone with a long file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.workermanage import WorkerController

__all__ = ["LongestFirst", "rank"]

_FIRST = (
    "tests/network/",
    "tests/contracts/test_coverage.py",
    "tests/contracts/test_solidity.py",
    "tests/faults/",
)
"""Files and folders, the longest first. A missing file costs only time."""
_APART = ("tests/faults/",)
"""Folders of long tests without shared fixtures; each test can run in any worker."""
_ONE = ("tests/network/",)
"""Folders whose files share one fixture. Its validators mine a block a second: the worker that has it mostly waits."""
_TOGETHER = {
    f"tests/contracts/{name}.py": "one run of the Solidity suite"
    for name in ("test_solidity", "test_access_matrix", "test_artifacts", "test_model")
}
"""Files that share fixtures of the session scope."""


def rank(item: pytest.Item) -> int:
    """Sort key that puts tests into the order in which they are handed out. Tests of a file keep their order."""
    return next((place for place, name in enumerate(_FIRST) if item.nodeid.startswith(name)), len(_FIRST))


class LongestFirst(LoadFileScheduling):  # type: ignore[misc]  # xdist ships no types
    """Hands out files in the order of collection, which `rank` has sorted."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False  # by the number of tests, which says little about their time

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:
        """Forgets files that are done, since after each test xdist counts what is left of every file it remembers."""
        super().mark_test_complete(node, item_index, duration)
        files = self.assigned_work[node]
        file = self._split_scope(self.registered_collections[node][item_index])
        if all(files[file].values()):
            del files[file]

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(_APART):
            return nodeid
        for folder in _ONE:
            if nodeid.startswith(folder):
                return folder
        file: str = super()._split_scope(nodeid)
        return _TOGETHER.get(file, file)
