"""The verifier, and the check of a plan, where nothing is installed but what it needs."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import millmark
from millmark import ledger
from tests.support.bundle_vector import DATA, NEEDED, TRUST

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the library and three packages, and no other site-packages."""
    folder = tmp_path_factory.mktemp("alone")
    for package, name in ((millmark, ""), (ledger, "ledger")):
        source, left_out = Path(str(package.__file__)).parent, shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, folder / "millmark" / name, ignore=left_out, dirs_exist_ok=True)
    for name in NEEDED:
        for file in importlib.metadata.files(name) or ():
            source = Path(str(file.locate()))
            if file.parts[0] != ".." and source.is_file():
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, folder / file)
    return folder


def run(alone: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-S", "-E", "-s", "-m", *words],
        cwd=alone,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_verifier_runs_where_only_its_packages_are(alone: Path) -> None:
    done = run(alone, "millmark.verify", str(DATA), "--trust", str(TRUST), "--max-age", "1000000")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("VERIFIED")


def test_an_auditor_checks_a_plan_where_only_the_verifiers_packages_are(alone: Path, tmp_path: Path) -> None:
    vectors = json.loads((Path(__file__).parents[1] / "vectors" / "plans.json").read_text("utf-8"))
    for vector in vectors["accepted"]:
        file = tmp_path / "plan.json"
        file.write_text(json.dumps(vector["file"]), "utf-8")
        done = run(alone, "millmark.ledger.plans", str(file))
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"plan {vector['plan']}\nfeasible: ")
    lower = {**vectors["accepted"][0]["file"]}
    lower["plan"] = {**lower["plan"], "bound": {**lower["plan"]["bound"], "value": 1}}
    file.write_text(json.dumps(lower), "utf-8")
    done = run(alone, "millmark.ledger.plans", str(file))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "REFUSED rule bound" in done.stderr
