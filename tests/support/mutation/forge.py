"""Runs the Solidity suite on mutants of the contracts, in a copy of the project.

First the tests of the file's own name, if there are any; then all others but the random walks. Both are linked with
what they deploy when they run, so that of a mutant only the contracts are compiled; what survives so is tried once more
with everything compiled together. The optimiser is off, which halves the time; tests that need it (bars on gas) fail so
on the code as it is, and are passed over.
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

from tests.support import toolchain
from tests.support.mutation.solidity_mutants import SolidityMutant, apply, find_mutants, sources

__all__ = ["find_mutants", "sources", "test_files", "try_all"]

_LIMIT_CPU_S, _LIMIT_S = 1800, 4 * 3600
"""Of one run of forge: the first ends one that computes without end, the second one that is stuck."""
_LONG = "test/{invariant,model}/**"
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
        suite = _Suite(project, {})
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
    linked: bool
    """Whether they are linked with what they deploy when they run."""


@dataclass(frozen=True, slots=True)
class _Suite:
    project: Path
    passed_over: dict[_Stage, list[str]]
    """The tests that fail on the code as it is."""

    def attempt(self, mutant: SolidityMutant) -> dict[str, object]:
        """Outcome, the test that failed, and the processor time in seconds."""
        begun = _cpu_s()
        changed = self.project / mutant.path.removeprefix("contracts/")
        original, outcome, killer = changed.read_bytes(), "survived", ""
        for stage in self._stages(mutant):
            if stage not in self.passed_over:
                self.passed_over[stage] = sorted(set(_FAILED.findall(self._forge(stage)[1])))
            try:
                changed.write_bytes(apply(mutant))
                code, printed = self._forge(stage, *self._without_failing(stage))
            finally:
                changed.write_bytes(original)
            if code:
                outcome, killer = _judge(code, printed)
                break
        return {"outcome": outcome, "killer": killer, "cpu_s": round(_cpu_s() - begun, 1)}

    def _stages(self, mutant: SolidityMutant) -> list[_Stage]:
        own = f"test/{Path(mutant.path).stem}.t.sol"
        first = [_Stage(("--match-path", own), linked=True)] if (self.project / own).exists() else []
        return [*first, *(_Stage(("--no-match-path", _LONG), linked) for linked in (True, False))]

    def _without_failing(self, stage: _Stage) -> list[str]:
        failing = self.passed_over[stage]
        return ["--fail-fast", *(["--no-match-test", rf"^({'|'.join(failing)})\("] if failing else [])]

    def _forge(self, stage: _Stage, *more: str) -> tuple[int, str]:
        """Exit code and output; `_ENDLESS` if it did not end."""
        command = [str(toolchain.native_binary("forge")), "test", "--root", str(self.project), "--fuzz-runs", "16"]
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
