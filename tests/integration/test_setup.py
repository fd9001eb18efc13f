"""The set-up of scripts/_setup with a package index that others publish to: real pip, made-up wheels, no network."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.wheels import Checkout, build_checkout, build_wheel

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A set-up that went well, with pytest-cov's way of asking for coverage, and a newer coverage in the index."""
    checkout = build_checkout(tmp_path_factory.mktemp("first") / "checkout")
    plugin = build_wheel(checkout.index, "plugin", "1.0", requires=["coverage[toml]>=7"])
    coverage = build_wheel(checkout.index, "coverage", "7.17", extras=["toml"])
    checkout.lock("demo", plugin, coverage)
    build_wheel(checkout.index, "coverage", "99.0", extras=["toml"])
    done = checkout.prepare("demo")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "setting up .venv (demo); this takes a minute or two the first time\n"
    return checkout


@pytest.fixture
def checkout(first: Checkout, tmp_path: Path) -> Checkout:
    return first.copy(tmp_path / "checkout")


def test_a_newer_version_in_the_index_is_not_taken(first: Checkout) -> None:
    assert first.installed() == {"plugin 1.0", "coverage 7.17", "sample 1"}
    assert first.stamps() == [".prepared-demo"]
    again = first.prepare("demo")
    assert (again.returncode, again.stderr) == (0, "")


def test_a_lock_that_is_not_complete_fails_in_a_clear_line(checkout: Checkout) -> None:
    checkout.lock("demo", build_wheel(checkout.index, "plugin", "2.0", requires=["coverage>=8", "left-pad"]))
    done = checkout.prepare("demo")
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == [
        "plugin 2.0 requires left-pad, which is not installed.",
        "plugin 2.0 has requirement coverage>=8, but you have coverage 7.17.",
        "the packages in .venv do not fit each other, as pip says above; remove .venv and try again, and if that does "
        "not help, run scripts/lock: requirements-demo.lock is not complete",
    ]
    assert checkout.stamps() == [".prepared-demo"], "the first one's alone: the next run tries again"
    assert checkout.prepare("demo").returncode == 1


def test_other_bytes_under_a_locked_version_are_refused(checkout: Checkout) -> None:
    line = build_wheel(checkout.index, "plugin", "3.0")
    build_wheel(checkout.index, "plugin", "3.0", requires=["left-pad"])
    checkout.lock("demo", line)
    done = checkout.prepare("demo")
    assert done.returncode == 1
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in done.stderr
    assert checkout.installed() == {"plugin 1.0", "coverage 7.17", "sample 1"}


def test_a_newer_torch_that_does_not_fit_the_lock_is_passed_over(checkout: Checkout) -> None:
    for version, needs in (("2.9.0", "7"), ("2.14.0", "7"), ("2.15.0", "99")):
        build_wheel(checkout.index, "torch", version, requires=[f"coverage>={needs}"])
    lock = (checkout.root / "scripts" / "requirements-demo.lock").read_text()
    checkout.lock("dev", lock)
    done = checkout.prepare("dev")
    assert done.returncode == 0, done.stderr
    assert checkout.installed() == {"plugin 1.0", "coverage 7.17", "sample 1", "torch 2.14.0"}
    checkout.lock("demo", "changed: but the developers' packages are all there\n")
    assert checkout.prepare("demo").returncode == 0


def test_the_lowest_versions_have_an_environment_of_their_own(checkout: Checkout) -> None:
    for version in ("2.9.0", "2.14.0"):
        build_wheel(checkout.index, "torch", version)
    checkout.lock("lowest", build_wheel(checkout.index, "coverage", "7.1"))
    done = checkout.prepare("lowest")
    assert done.returncode == 0, done.stderr
    assert checkout.installed(".venv-lowest") == {"coverage 7.1", "sample 1", "torch 2.9.0"}
    assert checkout.installed() == {"plugin 1.0", "coverage 7.17", "sample 1"}
