"""Runs unit tests on mutants of Python code, each in a fork.

`python -m tests.proofs.mutation.forks FOLDER [APART...]` reads FOLDER/jobs.json and adds what becomes of each mutant
to FOLDER/known.jsonl. APART are files of tests that only run in the third way. There are three ways, each for what the
one before left open:

1. In forks of a process that has run the tests once, so that what they share (chains, bundles, imports) is there: a
   test then takes a fraction of its time. But what is shared was made by the code as it is.
2. In forks of a process that has only collected the tests: so what survived is tried again, with more tests.
3. In forks from before Millmark was imported: so is what is changed outside functions. So run the tests that leave
   threads behind, which forks of their process would lack.
"""

from __future__ import annotations

import enum
import importlib
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.proofs.mutation import anew, warm
from tests.proofs.mutation.covering import Covering
from tests.proofs.mutation.outcomes import APART, OPEN, UNDECIDED, UNFIT, Outcomes
from tests.proofs.mutation.python_mutants import UNCHANGED, PythonMutant
from tests.proofs.mutation.runs import in_fork

__all__ = ["FAILED", "Job", "load", "main"]

ROOT = Path(__file__).parents[3]
FAILED = 9
"""Exit code if a test fails on the code as it is."""
_CHUNK = 25
"""Mutants after which the tests that failed on them are run on the code as it is; then their outcomes are kept."""
_WARM_CPU_S = 2.0
"""What a mutant's tests may take together in the first way."""


class Way(enum.Enum):
    WARM = 1
    COLD = 2
    ANEW = 3


@dataclass(frozen=True, slots=True)
class Job:
    mutant: PythonMutant
    row: Mapping[str, str]
    """What is kept beside the outcome."""
    way: Way
    is_left: bool = False
    """Whether the tests that run in forks of their process have left it."""


_Run = Callable[[PythonMutant, Sequence[str], Path], int]
_TestsOf = Callable[[Job], list[str]]


def main(folder: Path, apart: Sequence[str] = ()) -> int:
    """Raises nothing for a mutant that breaks: that is what it is for."""
    covering = Covering.read(folder)
    load(covering.foreign)
    for way in Way:
        jobs = [job for job in _left(folder) if job.way is way]
        if not jobs:
            continue
        child = os.fork()
        if not child:
            os._exit(_go(way, jobs, _Bench(jobs, covering, apart, Outcomes(folder))))
        if code := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            return code
    return 0


def _left(folder: Path) -> Iterator[Job]:
    outcomes = Outcomes(folder)
    for one in json.loads((folder / "jobs.json").read_text()):
        mutant = PythonMutant(**{**one["mutant"], "lines": tuple(one["mutant"]["lines"])})
        state = outcomes.state(one["row"])
        if state in UNDECIDED:
            here = mutant.in_function and state not in (UNFIT, APART)
            way = Way.ANEW if not here else Way.COLD if state == OPEN else Way.WARM
            yield Job(mutant, one["row"], way, state == APART)


def load(names: Sequence[str]) -> None:
    """Imports what is not Millmark's. Parts in C are left to whom they belong to: imported before asyncio, `_asyncio`
    keeps the current task where asyncio does not look."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            if name.startswith("_"):
                continue
            try:
                importlib.import_module(name)
            except Exception:  # noqa: S112  # what cannot be imported by itself is imported by whoever needs it
                continue


def _go(way: Way, jobs: Sequence[Job], bench: _Bench) -> int:
    if way is Way.ANEW:
        return bench.try_all(anew.run_anew, bench.covering.cpu_s, bench.tests_of)
    tests = bench.tests(_WARM_CPU_S if way is Way.WARM else None)
    # Where no mutant has a test, pytest has nothing to collect.
    files = sorted({test.split("::")[0] for test in tests or bench.covering.cpu_s})
    server = _Server(bench, way, tests)
    return int(pytest.main([*anew.OPTIONS, *files], plugins=[server])) or server.code


class _Bench:
    """Mutants, their tests, and what is found."""

    def __init__(self, jobs: Sequence[Job], covering: Covering, apart: Sequence[str], outcomes: Outcomes) -> None:
        self.jobs, self.covering, self.outcomes = jobs, covering, outcomes
        files = {test.split("::")[0] for test in covering.cpu_s}
        self.apart = covering.only(files.intersection(apart))
        self.here = covering.only(files.difference(apart))
        """What the tests cover that run in forks of their process."""

    def tests(self, budget_s: float | None = None) -> set[str]:
        return {test for job in self.jobs for test in self.tests_of(job, budget_s=budget_s)}

    def tests_of(self, job: Job, cpu_s: Mapping[str, float] | None = None, budget_s: float | None = None) -> list[str]:
        mutant = job.mutant
        covering = self.apart if job.is_left else self.covering if job.way is Way.ANEW else self.here
        return covering.tests_of(
            mutant.path, mutant.lines, in_function=mutant.in_function, cpu_s=cpu_s, budget_s=budget_s
        )

    def try_all(self, run: _Run, cpu_s: Mapping[str, float], tests_of: _TestsOf) -> int:
        for begin in range(0, len(self.jobs), _CHUNK):
            found = [(job, self._try(job, run, cpu_s, tests_of(job))) for job in self.jobs[begin : begin + _CHUNK]]
            killers = sorted({str(one["killer"]) for _, one in found if one["killer"]})
            slow = [tests_of(job) for job, one in found if one["outcome"] == "endless"]
            if not all(self._is_sound(found[0][0], run, cpu_s, tests) for tests in [killers, *slow] if tests):
                return FAILED
            for job, one in found:
                self.outcomes.add(job.row, one)
            sys.stderr.write(f"{found[0][0].way.name.lower()}: {begin + len(found)} of {len(self.jobs)}\n")
        return 0

    def _try(self, job: Job, run: _Run, cpu_s: Mapping[str, float], tests: list[str]) -> dict[str, object]:
        found: dict[str, object] = {"outcome": "uncovered", "killer": "", "cpu_s": 0.0}
        if tests:
            found = in_fork(lambda told: run(job.mutant, tests, told), sum(cpu_s[test] for test in tests))
        return {**found, "outcome": self._judge(job, str(found["outcome"]))}

    def _judge(self, job: Job, outcome: str) -> str:
        """The outcome, or what is to be tried next."""
        if job.way is Way.WARM and outcome == "survived":
            return OPEN
        is_alive = outcome in ("survived", "uncovered")
        if is_alive and job.way is not Way.ANEW and self.tests_of(replace(job, is_left=True)):
            return APART
        return outcome

    def _is_sound(self, job: Job, run: _Run, cpu_s: Mapping[str, float], tests: list[str]) -> bool:
        """Whether the tests succeed without a change."""
        mutant = PythonMutant(job.mutant.path, "unchanged", UNCHANGED, (), job.mutant.in_function)
        found = in_fork(lambda told: run(mutant, tests, told), sum(cpu_s[test] for test in tests))
        if found["outcome"] != "survived":
            sys.stderr.write(f"fails on the code as it is: {found['killer'] or found['outcome']}\n")
        return found["outcome"] == "survived"


class _Server:
    """Stands in pytest's place once all tests are collected."""

    def __init__(self, bench: _Bench, way: Way, tests: set[str]) -> None:
        self.bench, self.way, self.tests, self.code = bench, way, tests, 0

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        cpu_s: Mapping[str, float] = self.bench.here.cpu_s
        tests_of: _TestsOf = self.bench.tests_of
        if self.way is Way.WARM:
            try:
                warmed = warm.warm_up([items[test] for test in items if test in self.tests])
            except warm.FailedError as error:
                sys.stderr.write(f"fails on the code as it is: {error}\n")
                self.code = FAILED
                return True
            cpu_s, tests_of = warmed, lambda job: self.bench.tests_of(job, warmed, _WARM_CPU_S)
        else:
            tests_of = self._with_more
        functions = warm.find_functions({str(ROOT / job.mutant.path) for job in self.bench.jobs})

        def run(mutant: PythonMutant, tests: Sequence[str], told: Path) -> int:
            return warm.run_here(mutant, [items[test] for test in tests if test in items], functions, told)

        self.code = self.bench.try_all(run, cpu_s, tests_of)
        return True

    def _with_more(self, job: Job) -> list[str]:
        """Those that run the line, then others of the same files: what they share may have been made by it."""
        return self.bench.here.with_more(self.bench.tests_of(job))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
