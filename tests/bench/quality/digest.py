"""Counts distinct digests over what makes float results differ: evaluator, batch, threads, library, instruction set.

Each instruction set runs in a process of its own, since torch reads the environment variables once. Older CPUs are
emulated by forbidding newer instructions; other architectures are not covered. A process that runs too long is stopped;
the settings that it finished still count, and the table shows how many there were.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from millmark.quality.commands.options import PATIENT
from millmark.quality.data import load_inputs, to_fixed
from millmark.quality.errors import QualityError
from millmark.quality.evaluate import load_evaluator
from millmark.quality.evaluate.scaling import verify_windows
from millmark.quality.inference import combine_digests
from millmark.quality.inspection import Inspector
from tests.bench.quality.speed import build_random_windows
from tests.bench.quality.tables import Bench

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
"""Rows for pure Python, which is slow; numpy runs the same rows again for comparison."""
_SETTINGS = len(BATCHES) * (1 + 2 * len(THREADS))
"""Settings per process, without pure Python."""
_TIMEOUT_S = 600
"""Limit per process."""


def run_digest(model: Path, rows: int, inputs: Path | None, tell: Callable[[str, int, int], None]) -> Bench:
    """Count the distinct digests that a model has on random windows, or on the first `rows` windows of a file.

    Raises QualityError if a process fails.
    """
    found: dict[str, dict[str, str]] = {}
    for index, (name, variables) in enumerate(ENVIRONMENTS.items()):
        tell("digest", index, len(ENVIRONMENTS))
        found[name] = _run_in(variables, model, rows, inputs, with_python=index == 0)
    tell("digest", len(ENVIRONMENTS), len(ENVIRONMENTS))
    return _judge(
        found, f"{model}: {rows} {'random windows' if inputs is None else f'windows of {inputs}'}", model, rows
    )


def _judge(found: dict[str, dict[str, str]], title: str, model: Path, rows: int) -> Bench:
    planned = len(found) * _SETTINGS + 2
    settings = [(setting, digest) for run in found.values() for setting, digest in run.items()]
    # Settings that ran on fewer rows, for pure Python, have "rows" in their names: theirs is another digest.
    whole = {digest for setting, digest in settings if "rows" not in setting}
    part = {digest for setting, digest in settings if "rows" in setting}
    table = [
        [name, str(len(run)), str(len({v for k, v in run.items() if "rows" not in k}))] for name, run in found.items()
    ]
    table.append(["all", f"{len(settings)} of {planned}", str(len(whole))])
    table.append([f"python and numpy, {min(rows, PYTHON_ROWS)} rows", str(2), str(len(part))])
    return Bench(
        title=f"{title}, by evaluator, batch, threads, oneDNN and instruction set",
        heads=["environment", "settings", "distinct digests"],
        rows=table,
        answer={
            "model": str(model),
            "rows": rows,
            "settings": len(settings),
            "settings_planned": planned,
            "distinct_digests": len(whole),
            "digest": min(whole, default=None),
            "distinct_digests_of_python_and_numpy": len(part),
        },
        passed=len(whole) == 1 and len(part) == 1 and len(settings) == planned,
    )


def _run_in(
    variables: dict[str, str], model: Path, rows: int, inputs: Path | None, *, with_python: bool
) -> dict[str, str]:
    """Digests by setting from a process with these environment variables, as far as it got in time."""
    command = [sys.executable, "-m", "tests.bench.quality.digest", str(model), str(rows), str(int(with_python))]
    command += [] if inputs is None else [str(inputs)]
    try:
        done = subprocess.run(
            command, env=os.environ | PATIENT | variables, capture_output=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as stopped:
        return _parse_lines(stopped.stdout or b"")
    if done.returncode:
        reasons = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise QualityError(f"a run with {variables} failed: {reasons[-1]}")
    return _parse_lines(done.stdout)


def _parse_lines(output: bytes) -> dict[str, str]:
    """Digests by setting; ignores a last line that was cut off when the process was stopped."""
    whole = output[: output.rfind(b"\n") + 1]
    return dict(json.loads(line) for line in whole.splitlines())


def evaluate_all(model: Path, rows: int, inputs: Path | None = None, *, with_python: bool) -> Iterator[tuple[str, str]]:
    """(setting, digest) for every setting of this process. Raises InputError if the model cannot read the windows."""
    import torch  # noqa: PLC0415  the parent process does not need it

    inspector = Inspector(model.read_bytes())
    windows = build_windows(inspector, rows, inputs)
    if with_python:
        some = windows[:PYTHON_ROWS]
        for name in ("python", "numpy"):
            yield f"{name}, {len(some)} rows", _digest(inspector, some, name, len(some))
    for batch in BATCHES:
        yield f"numpy, batch {batch}", _digest(inspector, windows, "numpy", batch)
    for threads in THREADS:
        torch.set_num_threads(threads)
        for mkldnn in (False, True):
            torch.backends.mkldnn.set_flags(mkldnn)  # type: ignore[no-untyped-call]  # torch states no types
            for batch in BATCHES:
                name = f"torch, batch {batch}, threads {threads}, oneDNN {'on' if mkldnn else 'off'}"
                yield name, _digest(inspector, windows, "torch", batch)


def build_windows(inspector: Inspector, rows: int, inputs: Path | None) -> NDArray[np.int64]:
    """Fixed-point windows: the first of a file, or random ones. Raises InputError if the model cannot read them."""
    if inputs is None:
        return build_random_windows(rows, inspector.model.width, seed=5)
    windows = to_fixed(load_inputs(inputs)[0][:rows], inspector.model.decimals)
    verify_windows(inspector.model, windows)
    return windows


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
    given = Path(sys.argv[4]) if len(sys.argv) > 4 else None
    for found in evaluate_all(Path(sys.argv[1]), int(sys.argv[2]), given, with_python=sys.argv[3] == "1"):
        sys.stdout.write(json.dumps(found) + "\n")
        # Flushed line by line, so that a process that is stopped loses only the setting in progress.
        sys.stdout.flush()
