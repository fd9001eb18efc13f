"""`python -m tests.support.mutation.command [PACKAGE]` (`scripts/prove mutants`): changes code in one place at a time,
and counts the changes that no test notices.

A sample of mutants is drawn with a seed. What was found is kept in .mutants/ while code and tests stay as they are, so
that a run which was stopped goes on where it was; its counts go to tests/mutants.jsonl.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.support.mutation import forge, kept
from tests.support.mutation.covering import Covering
from tests.support.mutation.python_mutants import UNCHANGED, PythonMutant, find_mutants

__all__ = ["PACKAGES", "main"]

ROOT = Path(__file__).parents[3]
_WORK = ROOT / ".mutants"
_CHUNK = 25
"""Mutants whose outcomes are kept together."""
_SHOWN = 100
"""Tests, the quickest, that are also run on the code as it is."""


@dataclass(frozen=True, slots=True)
class Package:
    """Python code, and the unit tests that are to notice changes of it."""

    folder: str
    tests: tuple[str, ...]
    but: tuple[str, ...] = ()
    """Folders below it whose files are data: sentences for people."""

    def files(self) -> list[str]:
        paths = (str(one.relative_to(ROOT)) for one in sorted((ROOT / self.folder).rglob("*.py")))
        return [path for path in paths if not path.startswith(self.but or ("/",))]

    def test_files(self) -> list[str]:
        return sorted({str(one.relative_to(ROOT)) for pattern in self.tests for one in ROOT.glob(pattern)})


_LEDGER = "tests/unit/ledger/test_"
PACKAGES: dict[str, Package] = {
    "verify": Package(
        "ledger/verify",
        (
            *(f"{_LEDGER}{name}*.py" for name in ("verify", "bundle", "told", "replay", "statements")),
            *(f"{_LEDGER}{name}.py" for name in ("provenance_statements", "every_event_is_handled")),
        ),
        ("ledger/verify/words",),
    ),
    "submit": Package(
        "ledger/submit",
        (
            *(f"{_LEDGER}{name}*.py" for name in ("submit", "outbox")),
            *(f"tests/unit/services/test_{name}*.py" for name in ("relay", "gateway_set_back", "gateway_restored")),
        ),
    ),
    "plans": Package("ledger/plans", (f"{_LEDGER}plans*.py",)),
}


def _digest(paths: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.encode() + b"\0" + (ROOT / path).read_bytes() + b"\0")
    return digest.hexdigest()[:16]


class Outcomes:
    """Results of earlier runs that still hold. A killed mutant stays killed while its file is unchanged; a survivor is
    tried again when a test changed."""

    def __init__(self, folder: Path, tests: str) -> None:
        self.folder, self.tests = folder, tests
        self.path = folder / "known.jsonl"
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self._known = {(one["name"], one["source"]): one for one in map(json.loads, lines)}

    def get(self, name: str, source: str) -> tuple[str, float] | None:
        one = self._known.get((name, source))
        if one is None or (not kept.is_killed(one["outcome"]) and one["tests"] != self.tests):
            return None
        return one["outcome"], one["cpu_s"]

    def add(self, name: str, source: str, found: Mapping[str, object]) -> None:
        row = {"name": name, "source": source, "tests": self.tests, **found}
        self._known[(name, source)] = row
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")


def _cover(package: Package, folder: Path, tests: str) -> Covering:
    """Runs the tests once, unless that was done already. Raises RuntimeError if one fails."""
    stamp = folder / "covering.digest"
    now = tests + _digest(package.files())
    if not stamp.exists() or stamp.read_text() != now:
        command = [sys.executable, "-m", "tests.support.mutation.covering", str(folder), package.folder]
        done = subprocess.run([*command, *package.test_files()], check=False, capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            raise RuntimeError(f"the tests fail on the code as it is:\n{done.stdout[-3000:]}")
        stamp.write_text(now)
    return Covering.read(folder)


def _try_python(
    package: Package, mutants: Sequence[PythonMutant], folder: Path, outcomes: Outcomes, sources: Mapping[str, str]
) -> None:
    """Tries what is not known yet. Raises RuntimeError if the tests fail without a change."""
    left = [one for one in mutants if outcomes.get(one.name, sources[one.path]) is None]
    if not left:
        return
    covering = _cover(package, folder, outcomes.tests)
    every = sorted(covering.cpu_s, key=covering.cpu_s.__getitem__)[:_SHOWN]
    for begin in range(0, len(left), _CHUNK):
        chunk = left[begin : begin + _CHUNK]
        jobs = [(one, covering.tests_of(one.path, one.lines, in_function=one.in_function)) for one in chunk]
        if begin == 0:
            jobs += [(one, every) for one in _unchanged(chunk[0].path)]
        (folder / "jobs.json").write_text(json.dumps([{"mutant": asdict(one), "tests": tests} for one, tests in jobs]))
        results = folder / "results.jsonl"
        results.unlink(missing_ok=True)
        subprocess.run(
            [sys.executable, "-m", "tests.support.mutation.forks", str(folder)],
            check=False,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        found = {one.pop("name"): one for one in map(json.loads, results.read_text().splitlines())}
        if any(found[name]["outcome"] != "survived" for name in found if name.startswith("unchanged ")):
            raise RuntimeError("the tests fail on the code as it is")
        for one in chunk:
            outcomes.add(one.name, sources[one.path], found[one.name])
        sys.stderr.write(f"{begin + len(chunk)} of {len(left)}\n")


def _unchanged(path: str) -> list[PythonMutant]:
    """For both ways of running tests, which must succeed on the code as it is."""
    return [PythonMutant(path, f"unchanged {here}", UNCHANGED, (), here) for here in (True, False)]


def _python(name: str, seed: int, size: int) -> kept.Sample:
    package = PACKAGES[name]
    folder = _WORK / name
    folder.mkdir(parents=True, exist_ok=True)
    every = [one for path in package.files() for one in find_mutants(ROOT, path)]
    drawn = random.Random(seed).sample(every, min(size, len(every)))  # noqa: S311  # the same in every run
    sources = {path: _digest([path]) for path in package.files()}
    outcomes = Outcomes(folder, _digest(package.test_files()))
    _try_python(package, drawn, folder, outcomes, sources)
    known = {one.name: outcomes.get(one.name, sources[one.path]) or ("uncovered", 0.0) for one in drawn}
    return _report(name, seed, [one.name for one in every], known, package.folder)


def _solidity(seed: int, size: int) -> kept.Sample:
    folder = _WORK / "contracts"
    folder.mkdir(parents=True, exist_ok=True)
    every = forge.find_mutants()
    drawn = random.Random(seed).sample(every, min(size, len(every)))  # noqa: S311  # the same in every run
    sources = {path: _digest([path]) for path in forge.sources()}
    outcomes = Outcomes(folder, _digest(forge.test_files()))
    left = [one for one in drawn if outcomes.get(one.name, sources[one.path]) is None]
    for number, (one, found) in enumerate(forge.try_all(left)):
        outcomes.add(one.name, sources[one.path], found)
        sys.stderr.write(f"{number + 1} of {len(left)}: {found['outcome']}\n")
    known = {one.name: outcomes.get(one.name, sources[one.path]) or ("uncovered", 0.0) for one in drawn}
    return _report("contracts", seed, [one.name for one in every], known, "contracts/src")


def _report(
    name: str, seed: int, every: Sequence[str], known: Mapping[str, tuple[str, float]], folder: str
) -> kept.Sample:
    explained = kept.read_explained()
    outcomes = {mutant: outcome for mutant, (outcome, _) in known.items()}
    for line in kept.tell_survivors(outcomes, explained):
        sys.stdout.write(line + "\n")
    for gone in kept.unknown_explanations(every, explained, folder):
        sys.stdout.write(f"explained, but no longer a mutant: {gone}\n")
    cpu_s = round(sum(cpu for _, cpu in known.values()))
    ended = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return kept.count(name, seed, len(every), outcomes, explained, cpu_seconds=cpu_s, commit=commit(), ended=ended)


def commit() -> str:
    """Of the checkout; with a plus sign if it was changed since."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, cwd=ROOT).stdout

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", f":!{kept.KEPT.relative_to(ROOT)}")
    return git("rev-parse", "--short=12", "HEAD").strip() + ("+" if changed else "")


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints survivors and counts. Exit code 1 if fewer mutants are killed than the bar asks for."""
    runs: dict[str, Callable[[int, int], kept.Sample]] = {"contracts": _solidity}
    for name in PACKAGES:
        runs[name] = lambda seed, size, name=name: _python(name, seed, size)  # type: ignore[misc]
    parser = argparse.ArgumentParser(
        prog="scripts/prove mutants", description="Count the changes that no test notices."
    )
    parser.add_argument("packages", nargs="*", choices=[[], *runs], metavar="PACKAGE", help=", ".join(runs))
    parser.add_argument("--seed", type=int, default=1, help="draws the sample")
    parser.add_argument("--sample", type=int, default=300, help="mutants of each package; 0 takes all")
    given = parser.parse_args(arguments)
    for name in given.packages:
        kept.add(runs[name](given.seed, given.sample or sys.maxsize))
    samples = [one for one in kept.read_samples() if not given.packages or one.package in given.packages]
    sys.stdout.write("".join(kept.tell_sample(one) + "\n" for one in samples))
    latest = {one.package: one for one in samples}
    return int(any(one.share < kept.BAR for one in latest.values()))


if __name__ == "__main__":
    sys.exit(main())
