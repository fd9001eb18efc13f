"""Times the integer network 152-32-16-2 beside the same network in float32 torch, on one thread.

Reports medians of interleaved repeats. Other work on the machine slows both sides of the ratio alike, so the ratio is
more telling than the times. Single parts are timed separately from batches, which would evict the caches between them.
Models and windows are random, since the times do not depend on what a model has learnt. Needs numpy.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from millmark.quality.evaluate import load_evaluator
from millmark.quality.fitting import undecided
from millmark.quality.inference import Scale
from millmark.quality.inspection import Inspector
from millmark.quality.model import build_model
from millmark.quality.network import Dense, Network
from tests.bench.quality.tables import Bench


def build_random_mlp(sizes: Sequence[int], seed: int) -> Network:
    """Dense layers of these sizes, with activations that spread over 0..127 as in a trained network."""
    rng = np.random.default_rng(seed)
    layers = []
    pairs = list(pairwise(sizes))
    for index, (reads, writes) in enumerate(pairs):
        weights = rng.integers(-127, 128, (writes, reads), dtype=np.int8)
        biases = rng.integers(-1000, 1001, writes).tolist()
        # Sums have a standard deviation of about 64 * 73 * sqrt(reads); the multiplier scales that to 40.
        multiplier = 0 if index == len(pairs) - 1 else round(2**24 * 40 / (64 * 73 * reads**0.5))
        layers.append(Dense(reads, writes, multiplier, tuple(biases), weights.tobytes()))
    return Network(sizes[0], 6, undecided(sizes[-1]), (Scale(0, 130, 20),), tuple(layers))


def build_random_windows(rows: int, width: int, seed: int) -> NDArray[np.int64]:
    """Fixed-point windows (rows, width): normal noise with a standard deviation of one unit, in millionths."""
    noise = np.random.default_rng(seed).normal(size=(rows, width)) * 1e6
    windows: NDArray[np.int64] = np.rint(noise).astype(np.int64)
    return windows


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
