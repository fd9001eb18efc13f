"""Shared by all tests: the set-up of worker processes, the distribution of tests over them, and figures at the end."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from millmark.ledger.lazy import bound_recursion
from tests.support.distribution import LongestFirst, rank
from tests.support.figures import EXPERIMENT, FIGURE, Judge, Tell, read_figures
from tests.support.one_name import find_doubles

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
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
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
