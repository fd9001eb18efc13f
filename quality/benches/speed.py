"""Times the integer network 152-32-16-2 beside the same network in float32 torch, on one thread.

Reports medians of interleaved repeats. Other work on the machine slows both sides of the ratio alike, so the ratio is
more telling than the times. Single parts are timed separately from batches, which would evict the caches between them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch

from quality.benches.samples import build_random_mlp
from quality.benches.tables import Bench
from quality.evaluate import load_evaluator
from quality.inspection import Inspector
from quality.model import build_model

__all__ = ["run_speed"]

LAYERS = (152, 32, 16, 2)
BATCH = 1024
REPEATS = 200
NUMPY_BAR_US = 50.0
TORCH_BAR = 4.0


def run_speed() -> Bench:
    """Time both networks, in microseconds (medians). Passes if two figures reach their bars: the time of one part with
    numpy, and torch's time for integers relative to floats."""
    torch.set_num_threads(1)
    network = build_random_mlp(LAYERS, seed=1)
    inspector = Inspector(build_model(network))
    rng = np.random.default_rng(2)
    inputs = rng.integers(-127, 128, (BATCH, LAYERS[0]), dtype=np.int8)
    window = rng.integers(-(10**6), 10**6, LAYERS[0]).tolist()
    by_numpy, by_torch = (load_evaluator(name)(network) for name in ("numpy", "torch"))
    floats = torch.nn.Sequential(
        *(part for reads, writes in pairwise(LAYERS) for part in (torch.nn.Linear(reads, writes), torch.nn.ReLU()))
    )[:-1]
    x = torch.from_numpy(inputs.astype(np.float32))

    def plain() -> None:
        with torch.inference_mode():
            floats(x)

    part, zero = inputs[:1], bytes(32)

    def inspect() -> bytes:
        return inspector.inspect(window, context=zero, salt=zero).digest

    medians = _time({"numpy, one part": lambda: by_numpy(part), "numpy, one part from sensor value to digest": inspect})
    medians |= _time({"torch integers, batch of 1024": lambda: by_torch(inputs), "torch float32, batch of 1024": plain})
    ratio = medians["torch integers, batch of 1024"] / medians["torch float32, batch of 1024"]
    rows = [[name, f"{value:.1f}"] for name, value in medians.items()]
    rows.append(["torch integers to float32", f"{ratio:.2f} times"])
    return Bench(
        title=f"Network {'-'.join(map(str, LAYERS))}, one thread, medians of {REPEATS} interleaved repeats",
        heads=["what", "us"],
        rows=rows,
        answer={
            "medians_us": medians,
            "ratio": ratio,
            "bars": {"numpy_one_part_us": NUMPY_BAR_US, "ratio": TORCH_BAR},
        },
        passed=medians["numpy, one part"] <= NUMPY_BAR_US and ratio <= TORCH_BAR,
    )


def _time(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median time of each call, in microseconds."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(REPEATS + 20):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if repeat >= 20:  # the first repeats warm up caches and thread pools
                times[name].append((time.perf_counter() - start) * 1e6)
    return {name: statistics.median(values) for name, values in times.items()}
