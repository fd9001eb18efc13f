"""Runs the Solidity suite on mutants of the contracts, in a copy of the project.

First the tests of the file's own name, if there are any, since only what they need is compiled; then all others but
the random walks. The optimiser is off, which halves the time; tests that need it (bars on gas) fail so on the code as
it is, and are passed over.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support import toolchain
from tests.support.mutation.solidity_mutants import SolidityMutant, apply, find_mutants, sources

__all__ = ["find_mutants", "sources", "test_files", "try_all"]

_LIMIT_S = 1800
_LONG = "test/{invariant,model}/**"
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
        passed_over: dict[str, set[str]] = {}
        for one in mutants:
            yield one, _try(project, one, passed_over)


def _copy(project: Path) -> None:
    project.mkdir()
    for name in ("src", "test", "tools", "foundry.toml", "package.json"):
        source = toolchain.PROJECT / name
        shutil.copytree(source, project / name) if source.is_dir() else shutil.copy(source, project / name)
    for name in ("@openzeppelin", "solc", *_SOLC_NEEDS):
        shutil.copytree(toolchain.PROJECT / "node_modules" / name, project / "node_modules" / name)


_SOLC_NEEDS = ("command-exists", "commander", "follow-redirects", "js-sha3", "memorystream", "semver", "tmp")


def _try(project: Path, mutant: SolidityMutant, passed_over: dict[str, set[str]]) -> dict[str, object]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    changed = project / mutant.path.removeprefix("contracts/")
    original = changed.read_bytes()
    outcome, killer = "survived", ""
    for chosen in _stages(project, mutant):
        key = " ".join(chosen)
        if key not in passed_over:
            passed_over[key] = set(_FAILED.findall(_forge(project, chosen)[1]))
        try:
            changed.write_bytes(apply(mutant))
            code, printed = _forge(project, chosen)
        finally:
            changed.write_bytes(original)
        failed = sorted(set(_FAILED.findall(printed)) - passed_over[key])
        if code is None or failed or (code and "Ran " not in printed):
            outcome = "endless" if code is None else "killed"
            killer = failed[0] if failed else "the compiler"
            break
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = now.ru_utime + now.ru_stime - before.ru_utime - before.ru_stime
    return {"outcome": outcome, "killer": killer, "cpu_s": round(cpu_s, 1)}


def _stages(project: Path, mutant: SolidityMutant) -> list[list[str]]:
    own = f"test/{Path(mutant.path).stem}.t.sol"
    first = [["--match-path", own]] if (project / own).exists() else []
    return [*first, ["--no-match-path", _LONG]]


def _forge(project: Path, chosen: Sequence[str]) -> tuple[int | None, str]:
    """Exit code and output; None if it did not end."""
    command = [str(toolchain.native_binary("forge")), "test", "--root", str(project), "--fuzz-runs", "64", *chosen]
    environment = {**os.environ, "FOUNDRY_OPTIMIZER": "false", "FOUNDRY_DENY": "never"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_LIMIT_S, cwd=project, env=environment
        )
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, done.stdout + done.stderr
