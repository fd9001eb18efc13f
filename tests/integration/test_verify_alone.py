"""The verifier where nothing is installed but what it needs."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ledger
from tests.support.bundle_vector import DATA, NEEDED, TRUST

pytestmark = pytest.mark.integration


def test_the_verifier_runs_where_only_its_packages_are(tmp_path: Path) -> None:
    """A folder with the library and three packages, and no other site-packages."""
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copytree(Path(ledger.__file__).parent, alone / "ledger", ignore=shutil.ignore_patterns("__pycache__"))
    for name in NEEDED:
        for file in importlib.metadata.files(name) or ():
            source = Path(str(file.locate()))
            if file.parts[0] != ".." and source.is_file():
                (alone / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, alone / file)
    command = [sys.executable, "-S", "-E", "-s", "-m", "ledger.verify", str(DATA), "--trust", str(TRUST)]
    done = subprocess.run(
        [*command, "--max-age", "1000000"],
        cwd=alone,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("VERIFIED")
