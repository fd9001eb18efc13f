"""Runs unit tests on mutants of Python code, each in a fork of a process that has everything loaded already.

`python -m tests.support.mutation.forks FOLDER` reads the mutants' numbers from FOLDER/jobs.json and writes a line for
each to FOLDER/results.jsonl. What is changed inside a function is put into the functions that exist; what is changed
elsewhere needs the modules anew, and so a fork from before they were imported.
"""

from __future__ import annotations

import gc
import importlib
import importlib.machinery
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType

import hypothesis
import pytest
from _pytest.runner import runtestprotocol

from tests.support.mutation.covering import Covering
from tests.support.mutation.python_mutants import UNCHANGED, PythonMutant, build

__all__ = ["Job", "main"]

ROOT = Path(__file__).parents[3]
_KILLED, _SURVIVED, _BROKEN = 1, 0, 3
_TIMES, _SPARE_CPU_S, _STUCK_S = 4, 10, 300
"""A mutant may take so many times the processor time of its tests, and so much more, before it counts as endless; or it
does if it takes none at all for so long."""
_MEMORY = 8 << 30


@dataclass(frozen=True, slots=True)
class Job:
    mutant: PythonMutant
    tests: list[str]


class _UnfitError(Exception):
    """The change does not fit into the functions that exist."""


def main(folder: Path) -> int:
    """Raises nothing for a mutant that breaks: that is what it is for."""
    covering = Covering.read(folder)
    _load(covering.foreign)
    given = json.loads((folder / "jobs.json").read_text())
    jobs = [
        Job(PythonMutant(**{**one["mutant"], "lines": tuple(one["mutant"]["lines"])}), one["tests"]) for one in given
    ]
    results = folder / "results.jsonl"
    left = jobs
    inside = [job for job in jobs if job.mutant.in_function]
    if inside:
        child = os.fork()
        if not child:
            os._exit(_serve(inside, covering, results))
        os.waitpid(child, 0)
        done = {json.loads(line)["name"] for line in results.read_text().splitlines()} if results.exists() else set()
        left = [job for job in jobs if job.mutant.name not in done]
    for job in left:
        _tell(results, job, _measure(job, covering, partial(_run_anew, job)))
    return 0


def _load(names: Sequence[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            try:
                importlib.import_module(name)
            except Exception:  # noqa: S112  # what cannot be imported by itself is imported by whoever needs it
                continue


# In a fork of a process that has collected the tests


class _Server:
    """Stands in pytest's place once all tests are collected."""

    def __init__(self, jobs: Sequence[Job], covering: Covering, results: Path) -> None:
        self.jobs, self.covering, self.results = jobs, covering, results

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        gc.unfreeze()
        functions = _functions({str(ROOT / job.mutant.path) for job in self.jobs})
        gc.freeze()
        for job in self.jobs:
            chosen = [items[test] for test in job.tests if test in items]
            found = _measure(job, self.covering, partial(_run_here, job, chosen, functions))
            if found["outcome"] != "unfit":
                _tell(self.results, job, found)
        return True


def _serve(jobs: Sequence[Job], covering: Covering, results: Path) -> int:
    files = sorted({test.split("::")[0] for job in jobs for test in job.tests})
    server = _Server(jobs, covering, results)
    return int(pytest.main([*_OPTIONS, *files], plugins=[server])) if files else 0


# What is loaded before pytest is can no longer be rewritten by it; the plugins among it need not be.
_OPTIONS = (
    "-q",
    "-n0",
    "-p",
    "no:cacheprovider",
    "--no-header",
    "-s",
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
)


def _functions(files: set[str]) -> dict[CodeType, list[FunctionType]]:
    found: dict[CodeType, list[FunctionType]] = {}
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and each.__code__.co_filename in files:
            found.setdefault(each.__code__, []).append(each)
    return found


def _pairs(old: CodeType, new: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    """Each function's code with what it becomes. Raises _UnfitError if another one was added or removed."""
    olds = [one for one in old.co_consts if isinstance(one, CodeType)]
    news = [one for one in new.co_consts if isinstance(one, CodeType)]
    if [one.co_name for one in olds] != [one.co_name for one in news]:
        raise _UnfitError
    for before, after in zip(olds, news, strict=True):
        yield before, after
        yield from _pairs(before, after)


def _put(job: Job, functions: dict[CodeType, list[FunctionType]]) -> None:
    """Raises _UnfitError if no function that exists is changed."""
    path = ROOT / job.mutant.path
    original = compile(path.read_text(), str(path), "exec", dont_inherit=True)
    changed = 0
    for before, after in _pairs(original, build(ROOT, job.mutant)):
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


def _run_here(job: Job, items: Sequence[pytest.Item], functions: dict[CodeType, list[FunctionType]], told: Path) -> int:
    try:
        if job.mutant.number != UNCHANGED:
            _put(job, functions)
    except _UnfitError:
        return _BROKEN
    _quieten()
    if items:
        items[0].config._tmp_path_factory._basetemp = told.parent.resolve() / "tmp"  # type: ignore[attr-defined]
        (told.parent / "tmp").mkdir()
    for item, following in zip(items, [*items[1:], None][: len(items)], strict=True):
        if any(report.failed for report in runtestprotocol(item, log=False, nextitem=following)):
            told.write_text(item.nodeid)
            return _KILLED
    return _SURVIVED


# In a fork of a process that has imported nothing of Millmark


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


def _run_anew(job: Job, told: Path) -> int:
    for name in [name for name in sys.modules if name.split(".")[0] in ("ledger", "services", "quality")]:
        del sys.modules[name]
    _change(job.mutant)
    _quieten()
    files = sorted({test.split("::")[0] for test in job.tests})
    options = [*_OPTIONS, "-x", "--basetemp", str(told.parent / "tmp")]
    chosen = _Chosen(job.tests)
    return _SURVIVED if pytest.main([*options, *files], plugins=[_First(told), chosen]) == 0 else _KILLED


class _Chosen:
    """Runs certain tests, in their order."""

    def __init__(self, tests: Sequence[str]) -> None:
        self.rank = {test: position for position, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((one for one in items if one.nodeid in self.rank), key=lambda one: self.rank[one.nodeid])


# Both


def _quieten() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    # An example that fails is enough; it need not be small, nor come back in the next run.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile(
        "mutants", hypothesis.settings(), database=None, derandomize=True, phases=phases, print_blob=False
    )
    hypothesis.settings.load_profile("mutants")


def _measure(job: Job, covering: Covering, run: Callable[[Path], int]) -> dict[str, object]:
    if not job.tests:
        return {"outcome": "uncovered", "killer": "", "cpu_s": 0.0}
    folder = Path(tempfile.mkdtemp(prefix="mutant-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))  # noqa: S108
    told = folder / "killer"
    cpu_s = sum(covering.cpu_s[test] for test in job.tests)
    child = os.fork()
    if not child:
        os._exit(_guard(run, told, int(_TIMES * cpu_s + _SPARE_CPU_S)))
    status, usage = _await(child)
    killer = told.read_text() if told.exists() else ""
    shutil.rmtree(folder, ignore_errors=True)
    return {
        "outcome": _outcome(status),
        "killer": killer,
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
    }


def _guard(run: Callable[[Path], int], told: Path, cpu_s: int) -> int:
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 2))
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    try:
        return run(told)
    except BaseException:
        return _BROKEN  # the runner, not a test


def _await(child: int) -> tuple[int, resource.struct_rusage]:
    """Waits until it ends. One that takes no processor time any more is stuck, however busy the machine is."""
    pause_s, seen, moved = 0.005, 0, time.monotonic()
    while True:
        found, status, usage = os.wait4(child, os.WNOHANG)
        if found:
            return status, usage
        ticks = sum(map(int, Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[11:13]))
        if ticks > seen:
            seen, moved = ticks, time.monotonic()
        elif time.monotonic() - moved > _STUCK_S:
            os.kill(child, signal.SIGKILL)
            _, status, usage = os.wait4(child, 0)
            return status, usage
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, 0.2)


def _outcome(status: int) -> str:
    if os.WIFSIGNALED(status):
        return "endless" if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL) else "killed"
    code = os.waitstatus_to_exitcode(status)
    if code == _SURVIVED:
        return "survived"
    return "unfit" if code == _BROKEN else "killed"


def _tell(results: Path, job: Job, found: dict[str, object]) -> None:
    with results.open("a") as file:
        file.write(json.dumps({"name": job.mutant.name, **found}) + "\n")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
