"""Quality without the rest of Millmark: an auditor has this package and numpy, or this package alone."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from millmark.quality import Inference, Inspector, Model, build_model
from millmark.quality.__main__ import main
from millmark.quality.audit import Binding, Extract, build_context, build_extract, build_window_leaf_data
from millmark.quality.fitting import build_classes
from millmark.quality.inference import build_input_commitment, pack_window
from millmark.quality.train import train
from tests.support.installs import link_packages
from tests.support.quality_samples import build_random_rocket, table, tiny_network, tones

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with only the quality package."""
    folder = tmp_path_factory.mktemp("bare")
    return link_packages(folder, ["quality"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with only numpy and the quality package."""
    folder = tmp_path_factory.mktemp("site")
    installed = metadata.distribution("numpy")
    for name in {path.parts[0] for path in installed.files or () if path.parts[0].startswith("numpy")}:
        (folder / name).symlink_to(Path(str(installed.locate_file(name))))
    return link_packages(folder, ["quality"])


def run(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the packages of `site` alone; `-S` leaves out those of the environment."""
    environment = {"PYTHONPATH": str(site), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-S", "-W", "error", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_only_numpy_is_there(site: Path, tmp_path: Path) -> None:
    for name, there in (("numpy", True), ("torch", False), ("rich", False), ("tensorboardX", False), ("web3", False)):
        assert (run(site, tmp_path, "-c", f"import {name}").returncode == 0) == there, name


MODELS: dict[str, Callable[[], Model]] = {
    "network": tiny_network,
    "rocket": lambda: build_random_rocket(7),
    "trees": lambda: train(table(60, 3), build_classes(["0", "1", "2"]), kind="trees").model,
}


def write_extract(path: Path, model: Model, **changes: object) -> Inference:
    """Write the extract of an honest inspection of one window, with `changes` to what it states."""
    built = build_model(model)
    window = [(31 * place) % 201 - 100 for place in range(model.width)]
    binding = Binding(31337, b"\x11" * 20, b"\x22" * 32, b"\x33" * 32, 7, b"\x44" * 32, b"\x55" * 32)
    commitment = build_input_commitment(bytes(range(32)), pack_window(window))
    leaf = hashlib.sha256(b"\0" + build_window_leaf_data(binding, commitment)).digest()
    binding = replace(binding, leaf=leaf)
    done = Inspector(built).inspect(window, context=build_context(binding), salt=bytes(range(32)))
    extract = Extract(
        model=built,
        binding=binding,
        salt=bytes(range(32)),
        window=tuple(window),
        model_digest=done.model_digest,
        input_commitment=done.input_commitment,
        logits=done.logits,
        verdict=done.verdict,
        inference_digest=done.digest,
    )
    path.write_bytes(build_extract(replace(extract, **changes)))  # type: ignore[arg-type]  # any field may change
    return done


@pytest.mark.parametrize("family", MODELS)
def test_an_audit_needs_python_alone(bare: Path, tmp_path: Path, family: str) -> None:
    for name in ("numpy", "torch", "lightgbm"):
        assert run(bare, tmp_path, "-c", f"import {name}").returncode == 1
    inspected = write_extract(tmp_path / "extract.json", MODELS[family]())
    done = run(bare, tmp_path, "-m", "millmark.quality", "audit", "extract.json")
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert answer["inference_digest"] == "0x" + inspected.digest.hex()
    assert (answer["logits"], answer["verdict"]) == (list(inspected.logits), inspected.verdict.name)


@pytest.mark.parametrize("family", MODELS)
def test_such_an_audit_names_what_differs(bare: Path, tmp_path: Path, family: str) -> None:
    model = MODELS[family]()
    write_extract(tmp_path / "extract.json", model, logits=(12345,) * model.decision.outputs)
    done = run(bare, tmp_path, "-m", "millmark.quality", "audit", "extract.json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: logits mismatch: stated 12345")
    assert done.stderr.count("\n") == 1


def test_other_commands_say_that_they_need_numpy(bare: Path, tmp_path: Path) -> None:
    for command in ("train", "evaluate"):
        done = run(bare, tmp_path, "-m", "millmark.quality", command)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"error: {command} needs numpy; install millmark[quality]\n"


@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize("evaluator", ["numpy", "python"])
def test_evaluate_prints_the_same_digest_as_torch(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], family: str, evaluator: str
) -> None:
    model = MODELS[family]()
    classes = max(2, model.decision.outputs)
    (tmp_path / "model.bin").write_bytes(build_model(model))
    np.save(tmp_path / "x.npy", np.random.default_rng(1).normal(size=(9, model.width)) * 50)
    (tmp_path / "y.csv").write_text("".join(f"{row % classes}\n" for row in range(9)))
    files = ["--model", "model.bin", "--inputs", "x.npy", "--labels", "y.csv"]
    done = run(site, tmp_path, "-m", "millmark.quality", "evaluate", *files, "--evaluator", evaluator)
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
    }
    for says, arguments in cases.items():
        done = run(site, tmp_path, "-m", "millmark.quality", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"error: {says}; install millmark[quality]\n"
