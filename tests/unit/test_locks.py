"""The locks are complete: pip installs them without resolving, so that nothing published later can come in."""

from __future__ import annotations

import json
import sys
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.support.requirements import (
    EXTRAS,
    LOCKS,
    METADATA,
    PLATFORMS,
    PROJECT,
    PYTHONS,
    ROOT,
    SCRIPTS,
    applying,
    build_environment,
    close,
    read_lock,
    read_roots,
)

HERE = build_environment(f"{sys.version_info.major}.{sys.version_info.minor}", "linux")
BASE_PACKAGES = 62


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_everything_that_its_packages_require(lock: str, python: str, platform: str) -> None:
    closure = close(lock, build_environment(python, platform))
    assert closure.gaps == []
    assert len(closure.found) > (70 if lock == "image" else 80)


def test_every_lock_of_the_scripts_is_judged() -> None:
    """But for those of programs in a .venv of their own, which the project does not import."""
    names = {f"requirements-{lock}.lock" for lock in (*LOCKS, "halmos", "peers", "supply")}
    assert {path.name for path in SCRIPTS.glob("*.lock")} == names


def test_a_lock_holds_nothing_else() -> None:
    """Beyond what some platform needs; numpy and setuptools are the scripts' own (requirements.in)."""
    for lock in LOCKS:
        environments = [build_environment(python, platform) for python in PYTHONS for platform in PLATFORMS]
        needed = set().union(*(close(lock, environment).found for environment in environments))
        held = set().union(*(read_lock(lock, environment) for environment in environments))
        assert held - needed <= {"numpy", "setuptools"}, lock


def test_a_gap_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when pytest-cov began to ask for coverage's extra, and as when a version no longer satisfies."""
    [cov] = [pin for pin in METADATA if pin.startswith("pytest-cov==") and close("dev", HERE).lock["pytest-cov"] in pin]
    monkeypatch.setitem(METADATA, cov, {"python": "", "requires": ["coverage[toml]>=99", "left-pad"]})
    version = close("dev", HERE).lock["coverage"]
    assert close("dev", HERE).gaps == [
        f"{cov} needs coverage[toml]>=99, and the lock has {version}",
        f"{cov} needs left-pad, which is not in the lock",
    ]


def test_the_demonstrations_lock_is_a_part_of_the_developers() -> None:
    """One .venv serves scripts/demo and scripts/test."""
    for python in PYTHONS:
        environment = build_environment(python, "linux")
        assert read_lock("demo", environment).items() <= read_lock("dev", environment).items()


def test_the_metadata_written_down_are_those_of_what_is_installed() -> None:
    """Wherever they decide something: for the extras that are asked for."""
    compared = 0
    for lock in LOCKS:
        closure = close(lock, HERE)
        for name, version in closure.lock.items():
            try:
                installed = metadata.distribution(name)
            except metadata.PackageNotFoundError:
                continue
            if installed.version != version:
                continue
            compared += 1
            written = METADATA[f"{name}=={version}"]
            assert written["python"] == (installed.metadata["Requires-Python"] or ""), name
            for extra in closure.found[name]:
                pair = [applying(lines, HERE, extra) for lines in (written["requires"], installed.requires or [])]
                assert sorted(map(str, pair[0])) == sorted(map(str, pair[1])), (name, extra)
    assert compared > 80


def test_no_metadata_are_left_over() -> None:
    locked = {
        f"{name}=={version}"
        for lock in LOCKS
        for python in PYTHONS
        for platform in PLATFORMS
        for name, version in read_lock(lock, build_environment(python, platform)).items()
    }
    assert {pin for pin in METADATA if not pin.startswith("torch==")} == locked
    assert json.loads((SCRIPTS / "requirements.json").read_text()) == METADATA


def test_each_lower_bound_is_the_version_that_the_lowest_lock_holds() -> None:
    """The unit tests pass with that lock; a bound below it would be one that nobody ever tried."""
    lock = read_lock("lowest", HERE)
    lowest = {requirement.name: requirement for requirement in read_roots(EXTRAS) if requirement.name != "torch"}
    bounds = {name: _lower_bound(requirement) for name, requirement in lowest.items()}
    assert {name: str(bound) for name, bound in bounds.items() if bound != Version(lock[name.lower()])} == {}


def _lower_bound(requirement: Requirement) -> Version:
    [bound] = [Version(one.version) for one in requirement.specifier if one.operator == ">="]
    return bound


def test_every_dependency_is_explained_in_a_line() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    for line in [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]:
        shown = [row for row in text.splitlines() if f'"{line}",' in row]  # one for each extra that has it
        assert shown, line
        assert all("# " in row for row in shown), line


def test_the_base_install_is_small() -> None:
    """Neither an EVM nor web3.py: those are extras."""
    found = set(close("dev", HERE, extras=()).found)
    assert len(found) == BASE_PACKAGES
    assert f"{BASE_PACKAGES} packages" in (ROOT / "services" / "COMMANDS.md").read_text()
    assert not found & {"eth-account", "eth-tester", "py-evm", "requests", "trie", "web3"}
