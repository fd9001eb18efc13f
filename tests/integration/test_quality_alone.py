"""Quality without the rest of Millmark: an auditor has this package, numpy, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from quality import Model, build_model
from quality.__main__ import main
from tests.support.quality_samples import tiny_network, tiny_rocket, tones

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages in which there is numpy, and the quality package."""
    folder = tmp_path_factory.mktemp("site")
    installed = metadata.distribution("numpy")
    for name in {path.parts[0] for path in installed.files or () if path.parts[0].startswith("numpy")}:
        (folder / name).symlink_to(Path(str(installed.locate_file(name))))
    (folder / "quality").symlink_to(ROOT / "quality")
    return folder


def run(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`-S` leaves out the environment's own packages."""
    environment = {"PYTHONPATH": str(site), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-S", "-W", "error", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_only_numpy_is_there(site: Path, tmp_path: Path) -> None:
    for name, there in (("numpy", True), ("torch", False), ("rich", False), ("tensorboardX", False), ("web3", False)):
        assert (run(site, tmp_path, "-c", f"import {name}").returncode == 0) == there, name


@pytest.mark.parametrize("family", ["network", "rocket"])
@pytest.mark.parametrize("evaluator", ["numpy", "python"])
def test_evaluate_gives_the_digest_that_torch_gives(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], family: str, evaluator: str
) -> None:
    model: Model = tiny_network() if family == "network" else tiny_rocket()
    (tmp_path / "model.bin").write_bytes(build_model(model))
    np.save(tmp_path / "x.npy", np.random.default_rng(1).normal(size=(9, model.width)) * 50)
    (tmp_path / "y.csv").write_text("good\nbad\ngood\n" * 3)
    files = ["--model", "model.bin", "--inputs", "x.npy", "--labels", "y.csv"]
    done = run(site, tmp_path, "-m", "quality", "evaluate", *files, "--evaluator", evaluator)
    assert (done.returncode, done.stderr) == (0, "")
    here = ["evaluate", "--model", str(tmp_path / "model.bin"), "--inputs", str(tmp_path / "x.npy")]
    assert main([*here, "--evaluator", "torch"]) == 0
    assert json.loads(done.stdout)["digest"] == json.loads(capsys.readouterr().out)["digest"]


def test_what_is_missing_is_named_in_one_line(site: Path, tmp_path: Path) -> None:
    problem = tones(40, 2)
    np.save(tmp_path / "x.npy", problem.values)
    np.save(tmp_path / "y.npy", problem.classes)
    (tmp_path / "model.bin").write_bytes(build_model(tiny_network()))
    data = ["--inputs", "x.npy", "--labels", "y.npy"]
    cases = {
        "evaluator torch needs torch": [
            "evaluate",
            "--model",
            "model.bin",
            "--inputs",
            "x.npy",
            "--evaluator",
            "torch",
        ],
        "training needs tensorboardX": ["train", *data, "--kind", "mlp", "--out", "out"],
        "bench speed needs torch": ["bench", "speed"],
    }
    for says, arguments in cases.items():
        done = run(site, tmp_path, "-m", "quality", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"error: {says}; install millmark[quality]\n"
