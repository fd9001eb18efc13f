"""Runs the Solidity suite on mutants of the contracts, in a copy of the project.

First the tests of the file's own name, if there are any; then all others but the random walks. Both are linked with
what they deploy when they run, so that of a mutant only the contracts are compiled; what survives so is tried once more
with everything compiled together, and with the tests that take longest. The optimiser is off, which halves the time;
tests that need it fail so on the code as it is, and are passed over.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.proofs.mutation.solidity_mutants import SolidityMutant, apply, find_mutants, sources
from tests.support import toolchain

__all__ = ["find_mutants", "sources", "test_files", "try_all"]

_LIMIT_CPU_S, _LIMIT_S = 1800, 4 * 3600
"""Of one run of forge: the first ends one that computes without end, the second one that is stuck."""
_LONG = "test/{invariant,model}/**"
_FUZZED, _FUZZES = "EvaluatorFuzzTest", ("Evaluator", "ModelFormat", "Network")
"""Tests that take longer than all others, and the files that they judge."""
_ENDLESS = -1
_FAILED = re.compile(r"^\[FAIL.*?\] (\w+)\(", re.MULTILINE)


def test_files() -> list[str]:
    root = toolchain.PROJECT.parent
    return [str(one.relative_to(root)) for one in sorted((toolchain.PROJECT / "test").rglob("*.sol"))]


def try_all(mutants: Sequence[SolidityMutant]) -> Iterator[tuple[SolidityMutant, dict[str, object]]]:
    """Each mutant's outcome. One that does not compile is no mutant: `invalid` counts as killed, as the compiler's."""
    if not mutants:
        return
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        project = Path(folder) / "contracts"
        _copy(project)
        suite = _Suite.of(project)
        for one in mutants:
            yield one, suite.attempt(one)


def _copy(project: Path) -> None:
    project.mkdir()
    for name in ("src", "test", "tools", "foundry.toml", "package.json"):
        source = toolchain.PROJECT / name
        shutil.copytree(source, project / name) if source.is_dir() else shutil.copy(source, project / name)
    for name in ("@openzeppelin", "solc", *_SOLC_NEEDS):
        shutil.copytree(toolchain.PROJECT / "node_modules" / name, project / "node_modules" / name)


_SOLC_NEEDS = ("command-exists", "commander", "follow-redirects", "js-sha3", "memorystream", "semver", "tmp")


@dataclass(frozen=True, slots=True)
class _Stage:
    """Some of the tests."""

    chosen: tuple[str, ...]
    """Arguments of forge."""
    linked: bool = True
    """Whether they are linked with what they deploy when they run."""


_ALL = _Stage(("--no-match-path", _LONG, "--no-match-contract", _FUZZED))


@dataclass(frozen=True, slots=True)
class _Suite:
    project: Path
    failing: tuple[str, ...] = ()
    """The tests that fail on the code as it is."""

    @classmethod
    def of(cls, project: Path) -> _Suite:
        """Runs the tests on the code as it is. Raises RuntimeError if they cannot be run."""
        code, printed = cls(project)._forge(_ALL)
        failing = tuple(sorted(set(_FAILED.findall(printed))))
        if code and not failing:
            raise RuntimeError(f"forge ended with {code} on the code as it is:\n{printed[-2000:]}")
        return cls(project, failing)

    def attempt(self, mutant: SolidityMutant) -> dict[str, object]:
        """Outcome, the test that failed, and the processor time in seconds."""
        begun = _cpu_s()
        changed = self.project / mutant.path.removeprefix("contracts/")
        original, outcome, killer = changed.read_bytes(), "survived", ""
        passed_over = ["--no-match-test", rf"^({'|'.join(self.failing)})\("] if self.failing else []
        try:
            changed.write_bytes(apply(mutant))
            for stage in self._stages(mutant):
                code, printed = self._forge(stage, "--fail-fast", *passed_over)
                if code:
                    outcome, killer = _judge(code, printed)
                    break
        finally:
            changed.write_bytes(original)
        return {"outcome": outcome, "killer": killer, "cpu_s": round(_cpu_s() - begun, 1)}

    def _stages(self, mutant: SolidityMutant) -> list[_Stage]:
        stem = Path(mutant.path).stem
        own = f"test/{stem}.t.sol"
        first = [_Stage(("--match-path", own, "--no-match-contract", _FUZZED))] if (self.project / own).exists() else []
        whole = _Stage(("--no-match-path", _LONG) if stem in _FUZZES else _ALL.chosen, linked=False)
        return [*first, _ALL, whole]

    def _forge(self, stage: _Stage, *more: str) -> tuple[int, str]:
        """Exit code and output; `_ENDLESS` if it did not end."""
        command = [str(toolchain.native_binary("forge")), "test", "--root", str(self.project), "--fuzz-runs", "64"]
        folder = "linked" if stage.linked else "whole"
        environment = {
            **os.environ,
            "FOUNDRY_OPTIMIZER": "false",
            "FOUNDRY_DENY": "never",
            "FOUNDRY_DYNAMIC_TEST_LINKING": str(stage.linked).lower(),
            "FOUNDRY_OUT": f"out-{folder}",
            "FOUNDRY_CACHE_PATH": f"cache-{folder}",
        }
        return _run([*command, *stage.chosen, *more], self.project, environment)


def _judge(code: int, printed: str) -> tuple[str, str]:
    """Outcome and killer of a run that did not end with 0. Raises RuntimeError if it says nothing about the mutant."""
    failed = _FAILED.findall(printed)
    if failed:
        return "killed", failed[0]
    if code == _ENDLESS:
        return "endless", ""
    if "Compiler run failed" not in printed:
        raise RuntimeError(f"forge ended with {code}:\n{printed[-2000:]}")
    return "killed", "the compiler"


def _run(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (_LIMIT_CPU_S, _LIMIT_CPU_S + 2))

    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=_LIMIT_S,
            cwd=folder,
            env=environment,
            preexec_fn=limit,
        )
    except subprocess.TimeoutExpired:
        return _ENDLESS, ""
    return _ENDLESS if done.returncode < 0 else done.returncode, done.stdout + done.stderr


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
