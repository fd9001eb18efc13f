"""Shared by all tests: the set-up of worker processes, the distribution of tests over them, and figures at the end."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from millmark.ledger.lazy import bound_recursion
from tests.support.figures import EXPERIMENT, FIGURE, Judge, Tell, read_figures
from tests.support.one_name import find_doubles

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.workermanage import WorkerController


_FIRST = (
    "tests/network/",
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
    """Hands out files, since modules share slow fixtures, in the order of collection, which `rank` has sorted: the
    longest first, so that no worker ends up alone with one."""

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


if TYPE_CHECKING:
    from xdist.remote import Producer

bound_recursion()  # web3 brings a pytest plugin, whose import raises the limit before any test
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # torch's idle threads sleep: spinning, they slow each other down
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # every other core has a worker of its own
# How long an example takes is the machine's affair: on a busy one, a time limit fails what is right.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("suite")


@pytest.fixture(scope="session", autouse=True)
def one_name() -> Iterator[None]:
    """Fails the last test of a process in which a source file was loaded under two names."""
    yield
    assert find_doubles() == []


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """Records a figure of the run, which is printed at the end whichever worker process it comes from."""
    return lambda figure: record_property(FIGURE, figure)


@pytest.fixture
def judge(record_property: Callable[[str, object], None]) -> Judge:
    """Records the figures of an experiment. Call it before they are asserted, so that those of a failure are known."""
    return lambda observed, **counts: record_property(EXPERIMENT, json.dumps({"observed": observed, **counts}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    figures = read_figures(terminalreporter.getreports("passed"))
    if figures:
        terminalreporter.section("figures")
        terminalreporter.write_line("\n".join(figures))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Puts the longest first. `scripts/prove rest` runs what is left out here."""
    if not os.environ.get("MILLMARK_TEST_REST"):
        rest = [item for item in items if item.get_closest_marker("left_out")]
        config.hook.pytest_deselected(items=rest)
        items[:] = [item for item in items if not item.get_closest_marker("left_out")]
    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """Exempts what exists now, a million objects of modules and tests, from the garbage collections of all tests."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """What stays exempted when Python ends is printed as leaked, a page of it, by libraries that torch loads."""
    gc.unfreeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LongestFirst | None:
    """Distributes the longest tests first, unless the command line asks for another distribution."""
    return LongestFirst(config, log) if config.getoption("dist") == "loadfile" else None
