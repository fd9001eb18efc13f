"""`python -m tests.proofs.mutation.command [PACKAGE]` (`scripts/prove mutants`): changes code in one place at a time,
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
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.proofs.arguments import choosing
from tests.proofs.mutation import forge, kept
from tests.proofs.mutation.covering import Covering
from tests.proofs.mutation.outcomes import UNDECIDED, Outcomes
from tests.proofs.mutation.python_mutants import PythonMutant, find_mutants

__all__ = ["PACKAGES", "main"]

ROOT = Path(__file__).parents[3]
_WORK = ROOT / ".mutants"


@dataclass(frozen=True, slots=True)
class Package:
    """Python code, and the tests that are to notice changes of it; none of them starts a process."""

    folder: str
    tests: tuple[str, ...]
    but: tuple[str, ...] = ()
    """Folders below it whose files are data: sentences for people."""
    apart: tuple[str, ...] = ()
    """Further tests, with an HTTP client in their process: what its threads share does not survive a fork, so they run
    anew on each mutant that the others leave."""

    def files(self) -> list[str]:
        paths = (str(one.relative_to(ROOT)) for one in sorted((ROOT / self.folder).rglob("*.py")))
        return [path for path in paths if not path.startswith(self.but or ("/",))]

    def test_files(self) -> list[str]:
        return sorted({*_glob(self.tests), *self.apart_files()})

    def apart_files(self) -> list[str]:
        return _glob(self.apart)


def _glob(patterns: Sequence[str]) -> list[str]:
    return sorted({str(one.relative_to(ROOT)) for pattern in patterns for one in ROOT.glob(pattern)})


_LEDGER = "tests/unit/ledger/test_"
PACKAGES: dict[str, Package] = {
    "verify": Package(
        "ledger/verify",
        (
            *(f"{_LEDGER}{name}*.py" for name in ("verify", "bundle", "told", "replay", "statements")),
            *(f"{_LEDGER}{name}.py" for name in ("provenance_statements", "every_event_is_handled")),
            "tests/unit/test_lazy_names.py",
            "tests/integration/test_footprints.py",
        ),
        ("ledger/verify/words",),
    ),
    "submit": Package(
        "ledger/submit",
        (
            *(f"{_LEDGER}{name}*.py" for name in ("submit", "outbox")),
            "tests/unit/services/test_relay*.py",
        ),
        apart=tuple(f"tests/unit/services/test_gateway_{name}.py" for name in ("restored", "set_back")),
    ),
    "plans": Package("ledger/plans", (f"{_LEDGER}plans*.py",)),
}


def _digest(paths: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.encode() + b"\0" + (ROOT / path).read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _cover(package: Package, folder: Path) -> None:
    """Runs the tests that changed since this was done last; all of them if the code did. Raises RuntimeError if one
    fails."""
    stamp = folder / "covering.digests.json"
    now = {path: _digest([path]) for path in package.test_files()} | {"": _digest(package.files())}
    before = json.loads(stamp.read_text()) if stamp.exists() else {}
    if before.get("") != now[""]:
        before = {}
    if before.keys() - now.keys():
        Covering.read(folder).only(now.keys()).write(folder)  # others are no longer among the package's tests
    changed = [path for path in now if path and now[path] != before.get(path)]
    if changed:
        part = folder / "part"
        part.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "tests.proofs.mutation.covering", str(part), package.folder, *changed]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            raise RuntimeError(f"the tests fail on the code as it is:\n{done.stdout[-3000:]}")
        kept_before = Covering.read(folder).only(now.keys() - set(changed)) if before else Covering({}, {}, [])
        kept_before.with_part(Covering.read(part)).write(folder)
    stamp.write_text(json.dumps(now))


def _try_python(package: Package, mutants: Mapping[str, PythonMutant], rows: Sequence[Row], folder: Path) -> None:
    """Tries what is not known yet. Raises RuntimeError if the tests fail without a change."""
    outcomes = Outcomes(folder)
    left = [row for row in rows if outcomes.state(row) in UNDECIDED]
    if not left:
        return
    _cover(package, folder)
    (folder / "jobs.json").write_text(
        json.dumps([{"mutant": asdict(mutants[row["name"]]), "row": row} for row in left])
    )
    command = [sys.executable, "-m", "tests.proofs.mutation.forks", str(folder), *package.apart_files()]
    done = subprocess.run(command, check=False, cwd=ROOT, stdout=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(f"the runner ended with {done.returncode}")


Row = dict[str, str]
"""Name of a mutant, and digests of its file and of the tests."""


def _draw(names: Sequence[str], paths: Mapping[str, str], tests: Sequence[str], seed: int, size: int) -> list[Row]:
    """A sample, the same in every run."""
    drawn = random.Random(seed).sample(names, min(size, len(names)))  # noqa: S311  # reproducible
    sources, digest = {path: _digest([path]) for path in set(paths.values())}, _digest(tests)
    return [{"name": name, "source": sources[paths[name]], "tests": digest} for name in drawn]


def _python(name: str, seed: int, size: int, part: str = "") -> kept.Sample:
    """With `part`, of the mutants whose name contains it."""
    package = PACKAGES[name]
    folder = _WORK / name
    folder.mkdir(parents=True, exist_ok=True)
    every = {one.name: one for path in package.files() for one in find_mutants(ROOT, path)}
    names = [one for one in every if part in one]
    paths = {one.name: one.path for one in every.values()}
    rows = _draw(names, paths, package.test_files(), seed, size)
    _try_python(package, every, rows, folder)
    return _report(name, seed, list(every), rows, folder, package.folder)


def _solidity(seed: int, size: int) -> kept.Sample:
    folder = _WORK / "contracts"
    folder.mkdir(parents=True, exist_ok=True)
    every = {one.name: one for one in forge.find_mutants()}
    rows = _draw(list(every), {one.name: one.path for one in every.values()}, forge.test_files(), seed, size)
    outcomes = Outcomes(folder)
    left = {row["name"]: row for row in rows if not outcomes.state(row)}
    for number, (one, found) in enumerate(forge.try_all([every[name] for name in left])):
        outcomes.add(left[one.name], found)
        sys.stderr.write(f"{number + 1} of {len(left)}: {found['outcome']}\n")
    return _report("contracts", seed, list(every), rows, folder, "contracts/src")


def _report(name: str, seed: int, every: Sequence[str], rows: Sequence[Row], work: Path, folder: str) -> kept.Sample:
    explained, known = kept.read_explained(), Outcomes(work)
    outcomes = {row["name"]: known.state(row) or "uncovered" for row in rows}
    for line in kept.tell_survivors(outcomes, explained):
        sys.stdout.write(line + "\n")
    for gone in kept.unknown_explanations(every, explained, folder):
        sys.stdout.write(f"explained, but no longer a mutant: {gone}\n")
    cpu_s = round(sum(float(str((known.get(row) or {}).get("cpu_s", 0))) for row in rows))
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
    parser = argparse.ArgumentParser(
        prog="scripts/prove mutants", description="Count the changes that no test notices."
    )
    names = ["contracts", *PACKAGES]
    parser.add_argument("packages", nargs="*", type=choosing(names), metavar="PACKAGE", help=", ".join(names))
    parser.add_argument("--seed", type=int, default=1, help="draws the sample")
    parser.add_argument("--sample", type=int, default=300, help="mutants of each package; 0 takes all")
    parser.add_argument("--part", default="", help="only mutants whose name contains this; these are not counted")
    given = parser.parse_args(arguments)
    size = given.sample or sys.maxsize
    for name in given.packages:
        found = _solidity(given.seed, size) if name == "contracts" else _python(name, given.seed, size, given.part)
        if given.part:
            sys.stdout.write(kept.tell_sample(found) + "\n")
        else:
            kept.add(found)
    samples = [one for one in kept.read_samples() if not given.packages or one.package in given.packages]
    sys.stdout.write("".join(kept.tell_sample(one) + "\n" for one in ([] if given.part else samples)))
    latest = {one.package: one for one in samples}
    return int(any(one.share < kept.BAR for one in latest.values()))


if __name__ == "__main__":
    sys.exit(main())
