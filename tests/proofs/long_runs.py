"""Long proofs in parts: `python -m tests.proofs.long_runs [NAME...] [--hours H] [--at-once N]` (`scripts/prove long`).

Each part is a run with a seed of its own; what it counted is added to tests/long_runs.jsonl, which is committed. So a
run of many hours can be spread over days and machines: the next call goes on where the last one stopped. Without a
name, prints how far each proof is.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeAlias

from tests.proofs.arguments import choosing
from tests.support import toolchain

__all__ = ["LONG_RUNS", "LongRun", "Part", "main", "read_parts", "tell_state"]

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "tests" / "long_runs.jsonl"
_LIMIT_S = 4 * 3600
_FIRST_SEED = 1001
"""Seeds below are those of the short forms."""
_VIOLATIONS = ("lost", "duplicate", "phantom", "misordered")
Count: TypeAlias = Callable[[str], tuple[int, int]]
"""From what a part printed: what it tried, and how often something went wrong."""


@dataclass(frozen=True, slots=True)
class LongRun:
    """`command`: `{seed}` stands for the part's seed. `each`: what a part is asked to try; its count may differ."""

    name: str
    shows: str
    target: int
    each: int
    unit: str
    command: tuple[str, ...]
    count: Count
    folder: Path = ROOT
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """What one part tried and found."""

    name: str
    seed: int
    count: int
    violations: int
    passed: bool
    seconds: int
    cpu_seconds: int
    """Of the run and the processes that it started and waited for."""
    commit: str
    ended: str


def _last_object(printed: str) -> dict[str, Any]:
    starts = [found.start() for found in re.finditer(r"^\{", printed, re.MULTILINE)]
    found: dict[str, Any] = json.loads(printed[starts[-1] :])
    return found


def count_faults(printed: str) -> tuple[int, int]:
    report = _last_object(printed)
    wrong = sum(report[name] for name in _VIOLATIONS) + len(report["broken"])
    wrong += (not report["replay_equal"]) + (not report["heads_equal"])
    return sum(report["injected"].values()), wrong


def count_events(printed: str) -> tuple[int, int]:
    return _last_object(printed)["events"], count_faults(printed)[1]


def count_seconds(printed: str) -> tuple[int, int]:
    return _last_object(printed)["count"], count_faults(printed)[1]


def count_requests(printed: str) -> tuple[int, int]:
    report = _last_object(printed)
    return report["cases"], report["server_errors"] + report["schema_breaks"]


def count_forgeries(printed: str) -> tuple[int, int]:
    report = _last_object(printed)
    parts = (report["forgeries"], report["mutations"])
    wrong = sum(part["accepted"] for part in parts) + report["forgeries"]["wrong_step"]
    return sum(sum(part["tried"].values()) for part in parts), wrong


def count_invariants(printed: str) -> tuple[int, int]:
    """Runs of 64 calls of each invariant; forge says `(runs: 256, calls: 16384, reverts: 0)`."""
    runs = [int(one) for one in re.findall(r"\[PASS\] invariant\w*\(\) \(runs: (\d+)", printed)]
    return min(runs, default=0), len(re.findall(r"\[FAIL", printed))


def _faults(name: str, target: int, unit: str, each: int, shows: str, count: Count = count_faults) -> LongRun:
    command = (sys.executable, "-m", "tests.faults", name, "--count", str(each), "--seed", "{seed}", "--json")
    return LongRun(name, shows, target, each, unit, command, count)


LONG_RUNS = (
    _faults("rpc", 250_000, "faults", 2500, "answers of the node lost, late, doubled or wrong"),
    _faults("kill", 5000, "kills", 50, "SIGKILL at every step of a record's way"),
    _faults("disk", 5000, "faults", 100, "a disk that is full or fails"),
    _faults("reorg", 5000, "reorganisations", 200, "up to 12 blocks deep"),
    _faults("nonce", 50_000, "drops", 1000, "dropped transactions and skipped nonces"),
    _faults("offline", 1_000_000, "events", 1_000_000, "one backlog, killed on its way", count_events),
    _faults("soak", 7200, "seconds", 7200, "steady work; memory and files stay level", count_seconds),
    LongRun(
        "api",
        "generated requests to a real gateway, held against its OpenAPI document",
        200_000,
        5000,
        "requests",
        (sys.executable, "-m", "tests.bench", "api", "--cases", "5000", "--seed", "{seed}", "--json"),
        count_requests,
    ),
    LongRun(
        "forgeries",
        "forged and mutated bundles: none is accepted, each is refused by the step that it is meant for",
        1_000_000,
        30_000,
        "bundles",
        (
            *(sys.executable, "-m", "tests.proofs.forgeries", "tests/vectors/bundle/part.bundle"),
            *("tests/vectors/bundle/trust.json", "--per-step", "500", "--mutations", "25000", "--seed", "{seed}"),
        ),
        count_forgeries,
    ),
    LongRun(
        "invariants",
        "the ledger's invariants over random calls, 64 a run",
        10_000,
        1000,
        "runs",
        (str(toolchain.native_binary("forge")), "test", "--match-test", "invariant", "--fuzz-seed", "{seed}"),
        count_invariants,
        toolchain.PROJECT,
        {"FOUNDRY_INVARIANT_RUNS": "1000", "FOUNDRY_INVARIANT_DEPTH": "64"},
    ),
)


def read_parts(path: Path = KEPT) -> list[Part]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [Part(**json.loads(line)) for line in lines]


def run_part(run: LongRun, seed: int) -> Part:
    """Runs one part. What it prints is shown if it fails."""
    command = [argument.replace("{seed}", str(seed)) for argument in run.command]
    begun, used = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, **run.environment}
    done = subprocess.run(
        command, cwd=run.folder, env=environment, capture_output=True, text=True, check=False, timeout=_LIMIT_S
    )
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        count, violations = run.count(done.stdout)
    except (ValueError, KeyError, IndexError):
        count, violations = 0, 0
    passed = done.returncode == 0 and count > 0 and not violations
    if not passed:
        sys.stderr.write(done.stdout[-4000:] + done.stderr[-4000:])
    cpu_s = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    ended = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    seconds = round(time.monotonic() - begun)
    return Part(run.name, seed, count, violations, passed, seconds, round(cpu_s), _commit(), ended)


def _commit() -> str:
    """Of the checkout; with a plus sign if it was changed since."""
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", f":!{KEPT.relative_to(ROOT)}")
    return _git("rev-parse", "--short=12", "HEAD").strip() + ("+" if changed else "")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, cwd=ROOT).stdout


def tell_state(parts: Sequence[Part]) -> Iterator[str]:
    """A line for each proof, as Markdown: what was tried of what is asked for, and what was found."""
    yield "| proof | tried | of | parts, seeds | hours | violations | failed parts |"
    yield "|---|---|---|---|---|---|---|"
    for run in LONG_RUNS:
        own = [part for part in parts if part.name == run.name]
        seeds = sorted(part.seed for part in own)
        ran = f"{len(own)}, {seeds[0]} to {seeds[-1]}" if own else "none"
        hours = sum(part.seconds for part in own) / 3600
        wrong, failed = sum(part.violations for part in own), sum(not part.passed for part in own)
        tried = f"{sum(part.count for part in own):,} {run.unit}"
        yield f"| {run.name} | {tried} | {run.target:,} | {ran} | {hours:.2f} | {wrong} | {failed} |"


def go_on(run: LongRun, until: float, kept: Path, at_once: int = 1) -> bool:
    """Runs parts until the target is reached or the time is over, so many at once: most of them wait most of the time.

    No part is begun that those under way are likely to make superfluous, nor any once a part fails. False if one did.
    If one raises an error, that is raised as soon as those beside it have ended and are kept.
    """
    own = [part for part in read_parts(kept) if part.name == run.name]
    seeds = itertools.count(max((part.seed for part in own), default=_FIRST_SEED - 1) + 1)
    tried, well = sum(part.count for part in own), True
    counts = [part.count for part in own if part.passed]
    each = sum(counts) / len(counts) if counts else run.each
    running: set[Future[Part]] = set()
    errors: list[BaseException] = []
    # A process for each, since what children used is counted for a process.
    with ProcessPoolExecutor(at_once, get_context("spawn")) as pool:
        while True:
            while well and len(running) < at_once and time.monotonic() < until:
                if tried + len(running) * each >= run.target:
                    break
                running.add(pool.submit(run_part, run, next(seeds)))
            if not running:
                break
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            failed = [error for one in ended if (error := one.exception()) is not None]
            parts = [one.result() for one in ended if one.exception() is None]
            for part in parts:
                _keep(part, run, kept)
            tried, errors = tried + sum(part.count for part in parts), errors + failed
            well = well and not failed and all(part.passed for part in parts)
    if errors:
        raise errors[0]
    return well


def _keep(part: Part, run: LongRun, kept: Path) -> None:
    with kept.open("a") as file:
        file.write(json.dumps(asdict(part)) + "\n")
    sys.stderr.write(f"{part.name} {part.seed}: {part.count} {run.unit}, {part.violations} wrong, {part.seconds} s\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table. Exit code 1 if a part failed."""
    parser = argparse.ArgumentParser(prog="scripts/prove long", description="Go on with long proofs.")
    names = [run.name for run in LONG_RUNS]
    parser.add_argument("names", nargs="*", type=choosing(names), metavar="NAME", help=", ".join(names))
    parser.add_argument("--hours", type=float, default=1.0, help="begin no part after so many hours, for each name")
    parser.add_argument(
        "--at-once",
        type=int,
        choices=range(1, 65),
        default=1,
        metavar="N",
        help="parts of a name that run side by side",
    )
    parser.add_argument("--keep", type=Path, default=KEPT, help="the file with the parts")
    given = parser.parse_args(arguments)
    chosen = [run for run in LONG_RUNS if run.name in given.names]
    well = [go_on(run, time.monotonic() + given.hours * 3600, given.keep, given.at_once) for run in chosen]
    sys.stdout.write("\n".join(tell_state(read_parts(given.keep))) + "\n")
    return int(not all(well))


if __name__ == "__main__":
    sys.exit(main())
