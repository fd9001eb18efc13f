"""One digest over everything that floats trip over: evaluator, batch, threads, library, instruction set.

Each instruction set is a process of its own, since torch reads its environment once. The other CPUs are emulated by
what these variables forbid; another architecture is not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quality.benches.samples import build_random_windows
from quality.benches.tables import Bench
from quality.digest import combine_digests
from quality.errors import QualityError
from quality.evaluate import load_evaluator
from quality.inspection import Inspector

__all__ = ["ENVIRONMENTS", "run_digest"]

ENVIRONMENTS: dict[str, dict[str, str]] = {
    "as it is": {},
    "ATen without vectors": {"ATEN_CPU_CAPABILITY": "default"},
    "ATen AVX2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "oneDNN SSE4.1": {"ONEDNN_MAX_CPU_ISA": "SSE41"},
    "oneDNN AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
}
BATCHES = (1, 7, 64, 512)
THREADS = (1, 2)
PYTHON_ROWS = 64
"""Pure Python is slow: it runs these rows only, and numpy runs them once more to compare."""
_TIMEOUT_S = 1800


def run_digest(model: Path, rows: int, tell: Callable[[str, int, int], None]) -> Bench:
    """Number of distinct digests of a model on random windows. Raises QualityError when a run fails."""
    found: dict[str, dict[str, str]] = {}
    for index, (name, variables) in enumerate(ENVIRONMENTS.items()):
        tell("digest", index, len(ENVIRONMENTS))
        found[name] = _run_in(variables, model, rows, with_python=index == 0)
    tell("digest", len(ENVIRONMENTS), len(ENVIRONMENTS))
    settings = [(environment, setting, digest) for environment, run in found.items() for setting, digest in run.items()]
    whole = {digest for _, setting, digest in settings if "rows" not in setting}
    part = {digest for _, setting, digest in settings if "rows" in setting}
    table = [
        [name, str(len(run)), str(len({v for k, v in run.items() if "rows" not in k}))] for name, run in found.items()
    ]
    table.append(["all", str(len(settings)), str(len(whole))])
    table.append([f"python and numpy, {min(rows, PYTHON_ROWS)} rows", str(2), str(len(part))])
    return Bench(
        title=f"{model}: {rows} windows, by evaluator, batch, threads, oneDNN and instruction set",
        heads=["environment", "settings", "distinct digests"],
        rows=table,
        answer={
            "model": str(model),
            "rows": rows,
            "settings": len(settings),
            "distinct_digests": len(whole),
            "digest": sorted(whole)[0],
            "distinct_digests_of_python_and_numpy": len(part),
        },
        passed=len(whole) == 1 and len(part) == 1,
    )


def _run_in(variables: dict[str, str], model: Path, rows: int, *, with_python: bool) -> dict[str, str]:
    command = [sys.executable, "-m", "quality.benches.digest", str(model), str(rows), str(int(with_python))]
    done = subprocess.run(
        command, env=os.environ | variables, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    if done.returncode:
        raise QualityError(f"a run under {variables} failed: {(done.stderr.strip().splitlines() or ['no reason'])[-1]}")
    answer: dict[str, str] = json.loads(done.stdout)
    return answer


def evaluate_all(model: Path, rows: int, *, with_python: bool) -> dict[str, str]:
    """Digest of every setting of this process, by its name."""
    import torch  # noqa: PLC0415  the parent process does without

    inspector = Inspector(model.read_bytes())
    windows = build_random_windows(rows, inspector.model.width, seed=5)
    digests = {f"numpy, batch {batch}": _digest(inspector, windows, "numpy", batch) for batch in BATCHES}
    for threads in THREADS:
        torch.set_num_threads(threads)
        for mkldnn in (False, True):
            torch.backends.mkldnn.set_flags(mkldnn)  # type: ignore[no-untyped-call]  # torch states no types
            for batch in BATCHES:
                name = f"torch, batch {batch}, threads {threads}, oneDNN {'on' if mkldnn else 'off'}"
                digests[name] = _digest(inspector, windows, "torch", batch)
    if with_python:
        some = windows[:PYTHON_ROWS]
        for name in ("python", "numpy"):
            digests[f"{name}, {len(some)} rows"] = _digest(inspector, some, name, len(some))
    return digests


def _digest(inspector: Inspector, windows: NDArray[np.int64], evaluator: str, batch: int) -> str:
    infer = load_evaluator(evaluator)(inspector.model)
    starts: Iterable[int] = range(0, len(windows), batch)
    inferences = (
        inference
        for start in starts
        for inference in inspector.inspect_all(windows[start : start + batch], infer=infer)
    )
    return combine_digests(inferences).hex()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(evaluate_all(Path(sys.argv[1]), int(sys.argv[2]), with_python=sys.argv[3] == "1")))
