"""Fake wheels, and a fake checkout for trying the set-up of scripts/_setup without a network."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
