"""The Solidity tools of contracts/, as the tests use them.

Forge runs as the native binary of its platform package: in this release, the launcher in node_modules/.bin exits with 0
even if tests fail (foundry-rs/foundry issue 14781), so a failed suite would pass.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "contracts"
ARTIFACTS = ROOT / "ledger" / "artifacts"
SIZE_LIMIT = 24_576
"""Limit for the size of deployed code in bytes (EIP-170)."""
CREATION_LIMIT = 40_000
"""Ours for creation code in bytes; EIP-3860 allows 49,152, constructor arguments included."""

_SYSTEMS = {"linux": "linux", "darwin": "darwin", "win32": "win32"}
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


class SuiteError(AssertionError):
    """The Solidity suite did not run, failed, or had fewer tests than required."""


@dataclass(frozen=True, slots=True)
class Log:
    """An event emitted by a Solidity test or a contract that it called."""

    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """The result of one forge run."""

    passed: Mapping[str, int]
    """Passing tests, by test contract."""
    failures: tuple[str, ...]
    """One line for each failed test: contract, test and reason."""
    skipped: int
    """Tests that skipped themselves."""
    logs: Mapping[str, tuple[Log, ...]]
    """Emitted events, by `contract test`; empty unless forge ran with `-vv`."""

    @property
    def count(self) -> int:
        """Number of passing tests."""
        return sum(self.passed.values())


def native_binary(tool: str) -> Path:
    """Path of the native `forge` or `anvil` for this platform, whether it exists or not."""
    system = _SYSTEMS.get(sys.platform, sys.platform)
    machine = _MACHINES.get(platform.machine().lower(), platform.machine().lower())
    name = f"{tool}.exe" if system == "win32" else tool
    return PROJECT / "node_modules" / "@foundry-rs" / f"{tool}-{system}-{machine}" / "bin" / name


def describe_missing() -> str | None:
    """Why the tests marked `contracts` cannot run on this machine, or None."""
    if shutil.which("node") is None:
        return "Solidity tool chain: node is not installed"
    for needed in (PROJECT / "node_modules" / "solc", native_binary("forge"), native_binary("anvil")):
        if not needed.exists():
            absent = needed.relative_to(ROOT)
            return f"Solidity tool chain: {absent} is absent; run `npm ci --ignore-scripts` in contracts/"
    return None


def run_forge(
    arguments: Sequence[str], *, output: Path, project: Path = PROJECT, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs forge with its build and cache in `output`, so that concurrent runs do not interfere. Ignores the exit
    code."""
    folders = {"FOUNDRY_OUT": str(output / "out"), "FOUNDRY_CACHE_PATH": str(output / "cache")}
    return subprocess.run(
        [native_binary("forge"), *arguments],
        cwd=project,
        env={**os.environ, **folders, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )


def parse_suite(report: str) -> SuiteResult:
    """Parses the output of `forge test --json`. Raises SuiteError for plain text: forge found no tests, and exits with
    0."""
    try:
        suites = json.loads(report)
    except ValueError:
        raise SuiteError(f"forge reported no tests: {report.strip()[:2000]}") from None
    passed: dict[str, int] = {}
    failures: list[str] = []
    skipped = 0
    logs: dict[str, tuple[Log, ...]] = {}
    for suite, body in sorted(suites.items()):
        for test, result in body["test_results"].items():
            logs[f"{suite.partition(':')[2]} {test}"] = tuple(parse_log(log) for log in result.get("logs", []))
            if result["status"] == "Success":
                passed[suite] = passed.get(suite, 0) + 1
            elif result["status"] == "Skipped":
                skipped += 1
            else:
                failures.append(f"{suite} {test}: {result['reason']}")
    return SuiteResult(passed, tuple(failures), skipped, logs)


def parse_log(log: Mapping[str, Any]) -> Log:
    """Parses one entry of `logs` in forge's report."""
    topics = tuple(bytes.fromhex(topic.removeprefix("0x")) for topic in log["topics"])
    return Log(topics, bytes.fromhex(log["data"].removeprefix("0x")))


def run_suite(*, minimum: int, output: Path, project: Path = PROJECT) -> SuiteResult:
    """Runs all Solidity tests from a clean build. Raises SuiteError unless all pass, at least `minimum`."""
    return judge_suite(run_tests(output=output, project=project), minimum=minimum)


def run_tests(
    *, output: Path, project: Path = PROJECT, arguments: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Runs all Solidity tests from a clean build, which is kept in `output`. Ignores the exit code."""
    return run_forge(["test", "--force", "--json", *arguments], output=output, project=project)


def judge_suite(done: subprocess.CompletedProcess[str], *, minimum: int) -> SuiteResult:
    """Parses the output of `run_tests`. Raises SuiteError unless all tests passed and there are at least `minimum`."""
    if done.returncode != 0 and not done.stdout.lstrip().startswith("{"):
        raise SuiteError(f"forge exited {done.returncode}:\n{done.stdout}{done.stderr}")
    result = parse_suite(done.stdout)
    if done.returncode != 0 or result.failures:
        raise SuiteError(f"forge exited {done.returncode}:\n" + "\n".join(result.failures))
    if result.count < minimum:
        raise SuiteError(f"{result.count} Solidity tests passed, at least {minimum} were expected")
    return result


def read_artifacts(folder: Path = ARTIFACTS) -> dict[str, dict[str, Any]]:
    """The committed artifacts, by contract name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def code_sizes(artifacts: Mapping[str, Mapping[str, Any]], code: str = "deployedBytecode") -> dict[str, int]:
    """Size of the deployed code in bytes, or of the `bytecode` that creates it, by contract name."""
    return {name: len(artifact[code]) // 2 - 1 for name, artifact in artifacts.items() if code in artifact}
