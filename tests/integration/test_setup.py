"""The set-up of scripts/_setup with a package index that others publish to: real pip, made-up wheels, no network."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.requirements import SCRIPTS

PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "sample"
version = "1"
[project.optional-dependencies]
quality = [
    "torch>=2.9,<3", # as in ours
]
"""
BACKEND = """
import zipfile
from pathlib import Path

NAME = "sample-1-py3-none-any.whl"


def build_editable(folder, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(Path(folder) / NAME, "w") as wheel:
        wheel.writestr("sample-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: sample\\nVersion: 1\\n")
        wheel.writestr("sample-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("sample-1.dist-info/RECORD", "")
    return NAME
"""


def build_wheel(folder: Path, name: str, version: str, requires: Sequence[str] = (), extras: Sequence[str] = ()) -> str:
    """Writes the wheel of one empty module, and returns its line for a lock."""
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    metadata += [f"Requires-Dist: {line}" for line in requires] + [f"Provides-Extra: {extra}" for extra in extras]
    about = f"{name.replace('-', '_')}-{version}"
    path = folder / f"{about}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name.replace('-', '_')}.py", f"VERSION = '{version}'\n")
        wheel.writestr(f"{about}.dist-info/METADATA", "\n".join(metadata) + "\n")
        wheel.writestr(f"{about}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}.dist-info/RECORD", "")
    return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@dataclass(frozen=True)
class Checkout:
    """A separate project with our scripts/_setup, and a folder as its package index."""

    root: Path

    @property
    def index(self) -> Path:
        return self.root / "index"

    def lock(self, kind: str, *lines: str) -> None:
        (self.root / "scripts" / f"requirements-{kind}.lock").write_text("".join(lines))

    def prepare(self, kind: str) -> subprocess.CompletedProcess[str]:
        """Runs the first steps of scripts/demo and scripts/test."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.index),
        }
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"source scripts/_setup; prepare {kind}"],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def installed(self, folder: str = ".venv") -> set[str]:
        """`NAME VERSION` of the installed packages, except pip and those it brings."""
        folders = (self.root / folder).glob("lib/python*/site-packages/*.dist-info")
        found = [path.name.removesuffix(".dist-info").split("-")[:2] for path in folders]
        return {f"{name} {version}" for name, version in found if name not in ("pip", "setuptools")}

    def stamps(self) -> list[str]:
        return sorted(path.name.rsplit("-", 1)[0] for path in (self.root / ".venv").glob(".prepared-*"))

    def copy(self, root: Path) -> Checkout:
        """A copy with the .venv, which takes long to build."""
        shutil.copytree(self.root, root, symlinks=True)
        return Checkout(root)


def build_checkout(root: Path) -> Checkout:
    (root / "scripts").mkdir(parents=True)
    (root / "index").mkdir()
    shutil.copy(SCRIPTS / "_setup", root / "scripts")
    (root / "pyproject.toml").write_text(PROJECT)
    (root / "backend.py").write_text(BACKEND)
    checkout = Checkout(root)
    for kind in ("demo", "dev", "lowest"):
        checkout.lock(kind)
    return checkout


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
