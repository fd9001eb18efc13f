"""The Solidity tests reach every line of the contracts and nearly every branch; the exceptions are listed here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import toolchain
from tests.support.figures import Tell


@dataclass(frozen=True, slots=True)
class Coverage:
    """Lines and branches of one source file, and the line numbers of those that no test reached."""

    lines: int
    branches: int
    missed_lines: tuple[int, ...]
    missed_branches: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Missed:
    """A line or branch that no test reached."""

    kind: str
    """`line` or `branch`."""
    file: str
    """Path relative to the Foundry project."""
    line: int
    text: str
    """The source line without indentation. Exceptions refer to it, so that edits elsewhere do not affect them."""


def parse_lcov(report: str) -> dict[str, Coverage]:
    """Parses a report; returns coverage by source file."""
    files: dict[str, Coverage] = {}
    for record in report.split("end_of_record"):
        fields = [line.split(":", 1) for line in record.splitlines() if ":" in line]
        sources = [value for key, value in fields if key == "SF"]
        if not sources:
            continue
        lines = [value.split(",") for key, value in fields if key == "DA"]
        branches = [value.split(",") for key, value in fields if key == "BRDA"]
        files[sources[0]] = Coverage(
            lines=len(lines),
            branches=len(branches),
            missed_lines=tuple(int(number) for number, hits, *_ in lines if hits == "0"),
            missed_branches=tuple(int(number) for number, _, _, hits in branches if hits in ("0", "-")),
        )
    return files


def list_missed(files: Mapping[str, Coverage], project: Path) -> list[Missed]:
    """All lines and branches that no test reached, with their source text."""
    missed = []
    for file, coverage in sorted(files.items()):
        text = (project / file).read_text().splitlines()
        places = [("line", number) for number in coverage.missed_lines]
        places += [("branch", number) for number in coverage.missed_branches]
        missed += [Missed(kind, file, number, text[number - 1].strip()) for kind, number in places]
    return missed


BRANCH_FLOOR = 0.95

UNCALLED = "two bases declare _msgData, so one must be chosen; nothing calls it"

EXCEPTIONS: dict[tuple[str, str, str], str] = {
    ("line", file, text): UNCALLED
    for file in ("src/registry/Members.sol", "src/history/History.sol")
    for text in (
        "function _msgData() internal view override(Context, ERC2771Context) returns (bytes calldata) {",
        "return ERC2771Context._msgData();",
    )
}
"""(`line` or `branch`, file, source text) of what no test can reach, with the reason."""

SHORT_RUNS = {"FOUNDRY_FUZZ_RUNS": "64", "FOUNDRY_INVARIANT_RUNS": "16", "FOUNDRY_INVARIANT_DEPTH": "64"}
"""Coverage runs unoptimised code, slowly; longer fuzzing belongs to the suite itself."""


def measure(output: Path) -> dict[str, Coverage]:
    report = output / "lcov.info"
    options = ["--report", "lcov", "--report-file", str(report), "--no-match-coverage", "test/|node_modules"]
    # Their runs are fixed and long, and reach no line or branch that EvaluatorTest and the campaigns do not.
    options += ["--no-match-contract", "EvaluatorFuzzTest|ReachTest"]
    done = toolchain.run_forge(["coverage", *options], output=output, environment=SHORT_RUNS)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return parse_lcov(report.read_text())


def sources_with_functions() -> set[str]:
    source = toolchain.PROJECT / "src"
    bodies = [
        path for path in source.rglob("*.sol") if "interfaces" not in path.parts and "function " in path.read_text()
    ]
    return {str(path.relative_to(toolchain.PROJECT)) for path in bodies}


@pytest.mark.left_out
@pytest.mark.contracts
def test_solidity_coverage(tmp_path: Path, tell: Tell) -> None:
    files = measure(tmp_path)
    missed = list_missed(files, toolchain.PROJECT)
    unexplained = [place for place in missed if (place.kind, place.file, place.text) not in EXCEPTIONS]
    branches = sum(coverage.branches for coverage in files.values())
    share = 1 - sum(place.kind == "branch" for place in unexplained) / branches
    lines = sum(coverage.lines for coverage in files.values())
    tell(f"{lines} lines, {branches} branches in {len(files)} files; branches {share:.1%}")
    for place in missed:
        tell(f"  {place.kind} {place.file}:{place.line} {place.text}")
    assert sources_with_functions() - set(files) == set(), "not measured"
    assert [place for place in unexplained if place.kind == "line"] == []
    assert share >= BRANCH_FLOOR
    stale = set(EXCEPTIONS) - {(place.kind, place.file, place.text) for place in missed}
    assert stale == set(), "exceptions that tests reach now"


def test_report_is_read(tmp_path: Path) -> None:
    (tmp_path / "A.sol").write_text("one\n  two\nthree\n")
    report = "TN:\nSF:A.sol\nDA:1,3\nDA:2,0\nBRDA:3,0,0,-\nBRDA:3,0,1,2\nLF:2\nend_of_record\nTN:\n"
    files = parse_lcov(report)
    assert files == {"A.sol": Coverage(lines=2, branches=2, missed_lines=(2,), missed_branches=(3,))}
    assert list_missed(files, tmp_path) == [Missed("line", "A.sol", 2, "two"), Missed("branch", "A.sol", 3, "three")]
