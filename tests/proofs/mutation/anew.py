"""Tests on a mutant in a fork of a process that has imported nothing of Millmark: for what runs on import."""

from __future__ import annotations

import importlib.machinery
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType

import pytest

from tests.proofs.mutation.python_mutants import UNCHANGED, PythonMutant, build
from tests.proofs.mutation.runs import KILLED, SURVIVED, quieten

__all__ = ["OPTIONS", "run_anew"]

ROOT = Path(__file__).parents[3]
# What is loaded before pytest is can no longer be rewritten by it; the plugins among it need not be.
OPTIONS = (
    *("-q", "-n0", "-p", "no:cacheprovider", "--no-header", "-s"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)


def run_anew(mutant: PythonMutant, tests: Sequence[str], told: Path) -> int:
    """Runs the tests in their order until one fails, and writes its name to `told`."""
    for name in [name for name in sys.modules if name.split(".")[0] == "millmark"]:
        del sys.modules[name]
    if mutant.number != UNCHANGED:
        _change(mutant)
    quieten()
    files = sorted({test.split("::")[0] for test in tests})
    options = [*OPTIONS, "-x", "--basetemp", str(told.parent / "tmp")]
    code = pytest.main([*options, *files], plugins=[_First(told), _Chosen(tests)])
    return SURVIVED if code == 0 else KILLED


def _change(mutant: PythonMutant) -> None:
    """Has the import system load the changed module, and all others as they are."""
    load = importlib.machinery.SourceFileLoader.get_code

    def get_code(self: importlib.machinery.SourceFileLoader, fullname: str) -> CodeType | None:
        return build(ROOT, mutant) if self.path == str(ROOT / mutant.path) else load(self, fullname)

    importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore[assignment]


class _First:
    """Keeps the first test that failed."""

    def __init__(self, told: Path) -> None:
        self.told = told

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.told.write_text(report.nodeid)


class _Chosen:
    """Runs certain tests, in their order."""

    def __init__(self, tests: Sequence[str]) -> None:
        self.rank = {test: position for position, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((one for one in items if one.nodeid in self.rank), key=lambda one: self.rank[one.nodeid])
