"""The wheel, as a partner installs it: beside packages of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from tests.support.bundle_vector import DATA, NEEDED, TRUST
from tests.support.house import PACKAGES, ROOT
from tests.support.one_name import PUBLIC
from tests.support.patience import MAX_S

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with packages called ledger and services, in which the wheel and what the verifier needs are installed
    afterwards."""
    checkout, wheels, site = (tmp_path_factory.mktemp(name) for name in ("checkout", "wheels", "site"))
    left_out = shutil.ignore_patterns("__pycache__", "node_modules", "built", "build")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, checkout / package, ignore=left_out)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, checkout)
    for name in ("ledger", "services"):
        (site / name).mkdir()
        (site / name / "__init__.py").write_text("OURS = True\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(checkout)]
    subprocess.run([*pip, *build], check=True, timeout=MAX_S)
    [wheel] = wheels.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    for name in NEEDED:
        for top in {path.parts[0] for path in metadata.files(name) or () if path.parts[0] != ".."}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(metadata.distribution(name).locate_file(top))))
    return site


def run(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(site), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-S", *arguments]
    return subprocess.run(
        command, cwd=site, env=environment, capture_output=True, text=True, timeout=MAX_S, check=False
    )


def test_it_puts_one_name_beside_others(site: Path) -> None:
    linked = {path.name for path in site.iterdir() if path.is_symlink()}
    own = {path.name for path in site.iterdir()} - linked - {"ledger", "services"}
    assert {name.partition("-")[0] for name in own} == {"millmark"}
    done = run(site, "-c", "import ledger, services, millmark.verify; assert ledger.OURS and services.OURS")
    assert (done.returncode, done.stderr) == (0, "")


def test_it_verifies_beside_them(site: Path) -> None:
    done = run(site, "-m", "millmark.verify", str(DATA), "--trust", str(TRUST), "--max-age", "1000000")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("VERIFIED")


def test_it_has_every_module_of_the_three_folders_once(site: Path) -> None:
    for package in PACKAGES:
        there = {path.relative_to(ROOT) for path in (ROOT / package).rglob("*.py") if not path.is_relative_to(PUBLIC)}
        there = {path for path in there if not {"node_modules", "built", "build"} & {*path.parts}}
        packed = {path.relative_to(site / "millmark") for path in (site / "millmark" / package).rglob("*.py")}
        missing = {path for path in there - packed if (ROOT / path.parent / "__init__.py").exists()}
        assert (missing, packed - there) == (set(), set())
