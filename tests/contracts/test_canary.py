"""The runner of the Solidity suite itself: a red or an empty suite must not look green."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support import toolchain

pytestmark = pytest.mark.contracts

HEADER = "// SPDX-License-Identifier: Apache-2.0\npragma solidity 0.8.37;\n"
TEST = HEADER + 'import {{Base}} from "./Base.sol";\ncontract CanaryTest is Base {{ {body} }}\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The Foundry project with no contract and no test in it."""
    copy = tmp_path / "project"
    (copy / "test").mkdir(parents=True)
    shutil.copytree(toolchain.PROJECT / "tools", copy / "tools")
    for name in ("foundry.toml", "package.json", "test/Base.sol"):
        shutil.copy(toolchain.PROJECT / name, copy / name)
    (copy / "node_modules").symlink_to(toolchain.PROJECT / "node_modules")
    return copy


def write_test(project: Path, body: str) -> None:
    (project / "test" / "Canary.t.sol").write_text(TEST.format(body=body))


def test_passing_test_is_counted(project: Path, tmp_path: Path) -> None:
    write_test(project, "function test_truth() public pure { assertTrue(true); }")
    assert toolchain.run_suite(minimum=1, output=tmp_path, project=project).count == 1


def test_failing_test_fails_the_run(project: Path, tmp_path: Path) -> None:
    write_test(project, "function test_lie() public pure { assertEq(uint256(1), uint256(2)); }")
    assert toolchain.run_forge(["test"], output=tmp_path, project=project).returncode != 0
    with pytest.raises(toolchain.SuiteError, match=r"test_lie\(\): .*1 != 2"):
        toolchain.run_suite(minimum=0, output=tmp_path, project=project)


def test_failing_invariant_fails_the_run(project: Path, tmp_path: Path) -> None:
    invariant = (
        "uint256 public n; function bump() external { n++; } function invariant_zero() public view { assertEq(n, 0); }"
    )
    setup = "function setUp() public { targetContract(address(this)); }"
    write_test(project, f"{invariant} {setup}")
    source = project / "test" / "Canary.t.sol"
    source.write_text(source.read_text().replace("Base", "InvariantBase").replace("./InvariantBase.sol", "./Base.sol"))
    with pytest.raises(toolchain.SuiteError, match="invariant_zero"):
        toolchain.run_suite(minimum=0, output=tmp_path, project=project)


def test_broken_source_fails_the_run(project: Path, tmp_path: Path) -> None:
    write_test(project, "function test_(")
    with pytest.raises(toolchain.SuiteError, match="Expected"):
        toolchain.run_suite(minimum=0, output=tmp_path, project=project)


def test_compiler_warning_fails_the_run(project: Path, tmp_path: Path) -> None:
    write_test(project, "function test_unused() public pure { uint256 unused; }")
    with pytest.raises(toolchain.SuiteError, match="Unused local variable"):
        toolchain.run_suite(minimum=0, output=tmp_path, project=project)


def test_empty_suite_fails(project: Path, tmp_path: Path) -> None:
    with pytest.raises(toolchain.SuiteError, match="no tests"):
        toolchain.run_suite(minimum=0, output=tmp_path, project=project)


def test_shrunken_suite_fails(project: Path, tmp_path: Path) -> None:
    write_test(project, "function test_truth() public pure { assertTrue(true); }")
    with pytest.raises(toolchain.SuiteError, match="1 Solidity tests passed, at least 2"):
        toolchain.run_suite(minimum=2, output=tmp_path, project=project)
