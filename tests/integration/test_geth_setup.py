"""The set-up of geth by scripts/_setup: real Go, whose module proxy is a folder. tests/network runs what it makes."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.support.requirements import SCRIPTS

pytestmark = pytest.mark.integration
_MODULE, _VERSION = "github.com/ethereum/go-ethereum", "v1.13.15"


def set_up(root: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    (root / "scripts").mkdir(exist_ok=True)
    shutil.copy(SCRIPTS / "_setup", root / "scripts")
    return subprocess.run(
        [shutil.which("bash") or "bash", "-euo", "pipefail", "-c", "source scripts/_setup; install_geth"],
        cwd=root,
        env={"PATH": os.environ["PATH"], "HOME": str(root), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def publish(folder: Path, program: str) -> None:
    """Makes `folder` a module proxy that has our version of geth, with another program in it."""
    versions = folder / _MODULE / "@v"
    versions.mkdir(parents=True)
    module = f"module {_MODULE}\n\ngo 1.20\n"
    (versions / f"{_VERSION}.mod").write_text(module)
    (versions / f"{_VERSION}.info").write_text(f'{{"Version": "{_VERSION}"}}')
    with zipfile.ZipFile(versions / f"{_VERSION}.zip", "w") as packed:
        packed.writestr(f"{_MODULE}@{_VERSION}/go.mod", module)
        packed.writestr(f"{_MODULE}@{_VERSION}/cmd/geth/main.go", program)


def test_without_go_it_says_what_will_be_skipped(tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("dirname", "cksum"):
        (programs / name).symlink_to(shutil.which(name) or name)
    done = set_up(tmp_path, PATH=str(programs))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "go is not here: the tests on a network of geth will be skipped, by name\n"


@pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed")
def test_another_program_under_the_pinned_version_is_not_built(tmp_path: Path) -> None:
    publish(tmp_path / "proxy", "package main\n\nfunc main() {}\n")
    proxy = {"GOPROXY": f"file://{tmp_path / 'proxy'}", "GOTOOLCHAIN": "local", "GOFLAGS": "-modcacherw"}
    done = set_up(tmp_path, **proxy)
    assert done.returncode == 0, done.stderr
    assert f"not built: module {_MODULE} is not to be had, or not with checksum h1:U7sSGYGo4SPjP6iN" in done.stderr
    assert not (tmp_path / ".geth").exists()
