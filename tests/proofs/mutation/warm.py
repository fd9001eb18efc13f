"""Tests that run again and again in forks of a process in which what they share is there already.

A test's own fixtures are made anew for each run; those of a module, a class or the session stay as they were when the
tests were run on the code as it is. So do caches of test support; those of the product are emptied.
"""

from __future__ import annotations

import functools
import gc
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType, FunctionType

import pytest
from _pytest.runner import runtestprotocol

from tests.proofs.mutation.python_mutants import UNCHANGED, PythonMutant, build
from tests.proofs.mutation.runs import BROKEN, KILLED, SURVIVED, quieten

__all__ = ["FailedError", "Functions", "find_functions", "run_here", "warm_up"]

ROOT = Path(__file__).parents[3]
_OWN = "millmark"

Functions = dict[CodeType, list[FunctionType]]


class FailedError(Exception):
    """A test fails on the code as it is."""


class _UnfitError(Exception):
    """The change does not fit into the functions that exist."""


def warm_up(items: Sequence[pytest.Item]) -> dict[str, float]:
    """Runs the tests, keeps what they share, and tells the processor time that each took, in seconds.

    Raises FailedError with the name of a test that fails.
    """
    cpu_s = {}
    for item in items:
        begun = time.process_time()
        if not _succeeds(item):
            raise FailedError(item.nodeid)
        cpu_s[item.nodeid] = time.process_time() - begun
    _empty_caches()
    return cpu_s


def _succeeds(item: pytest.Item) -> bool:
    """Runs a test and takes down what belongs to it alone."""
    stack = item.session._setupstate.stack
    for node in [node for node in stack if node not in item.listchain()]:
        del stack[node]  # with what it had to take down, which so stays
    # Before itself as the next test, nothing is taken down.
    reports = runtestprotocol(item, log=False, nextitem=item)
    finalizers, _ = stack.pop(item)
    while finalizers:
        finalizers.pop()()
    return not any(report.failed for report in reports)


def _empty_caches() -> None:
    gc.unfreeze()
    for each in gc.get_objects():
        if isinstance(each, functools._lru_cache_wrapper) and str(each.__module__).split(".")[0] == _OWN:
            each.cache_clear()
    gc.freeze()


def find_functions(files: set[str]) -> Functions:
    """The functions that exist, by their code."""
    gc.unfreeze()
    found: Functions = {}
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and each.__code__.co_filename in files:
            found.setdefault(each.__code__, []).append(each)
    gc.freeze()
    return found


def run_here(mutant: PythonMutant, items: Sequence[pytest.Item], functions: Functions, told: Path) -> int:
    """Puts the change into the functions that exist, and runs the tests until one fails, whose name goes to `told`."""
    try:
        if mutant.number != UNCHANGED:
            _put(mutant, functions)
    except _UnfitError:
        return BROKEN
    quieten()
    for item in items[:1]:
        item.session._setupstate.stack.clear()
        item.config._tmp_path_factory._basetemp = told.parent.resolve() / "tmp"  # type: ignore[attr-defined]
        (told.parent / "tmp").mkdir()
    for item, following in zip(items, [*items[1:], None][: len(items)], strict=True):
        if any(report.failed for report in runtestprotocol(item, log=False, nextitem=following)):
            told.write_text(item.nodeid)
            return KILLED
    return SURVIVED


def _put(mutant: PythonMutant, functions: Functions) -> None:
    """Raises _UnfitError if no function that exists is changed."""
    path = ROOT / mutant.path
    original = compile(path.read_text(), str(path), "exec", dont_inherit=True)
    changed = 0
    for before, after in _pairs(original, build(ROOT, mutant)):
        if before == after:
            continue
        for function in functions.get(before, ()):
            try:
                function.__code__ = after
            except ValueError as error:
                raise _UnfitError from error
            changed += 1
    if not changed:
        raise _UnfitError


def _pairs(old: CodeType, new: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    """Each function's code with what it becomes. Where a statement is left out with the functions that it makes, only
    the function around it changes: those are made when it runs."""
    olds = [one for one in old.co_consts if isinstance(one, CodeType)]
    news = [one for one in new.co_consts if isinstance(one, CodeType)]
    if [one.co_name for one in olds] != [one.co_name for one in news]:
        return
    for before, after in zip(olds, news, strict=True):
        yield before, after
        yield from _pairs(before, after)
