"""A rocket model that decides in integers, on one thread: 2,016 features, the most that one is trained to."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from millmark.quality.evaluate import load_evaluator
from millmark.quality.fitting import undecided
from millmark.quality.inference import Scale
from millmark.quality.rocket.records import MAX_WORD, Feature, Rocket, Section
from millmark.quality.rocket.train import lay_out
from tests.bench.peers.answer import Act, Prepare

_FEATURES_A_KERNEL = 24


def start(arguments: Mapping[str, Any]) -> Mapping[str, Prepare]:
    generator = np.random.default_rng(1)
    width = arguments["width"]
    evaluate = load_evaluator("numpy")(_build(width, generator))

    def task(windows: int, times: int) -> Prepare:
        def prepare() -> Act:
            words = _draw(generator, windows, width)

            def act() -> tuple[int, object]:
                for _ in range(times):
                    evaluate(words)
                return windows * times, None

            return act

        return prepare

    return {"alone": task(1, arguments["alone"]), "batch": task(arguments["batch"], 1)}


def _draw(generator: np.random.Generator, windows: int, width: int) -> Any:
    return generator.integers(-MAX_WORD, MAX_WORD + 1, (windows, width), dtype=np.int8)


def _build(width: int, generator: np.random.Generator) -> Rocket:
    """Kernels and biases as training lays them out; weights at random, which cost what others cost."""
    layout = lay_out(_draw(generator, 64, width), _FEATURES_A_KERNEL, generator)
    sections = tuple(
        Section(dilation, padded, tuple(Feature(*key, (int(generator.integers(1, 100)),)) for key in features))
        for dilation, padded, features in layout
    )
    return Rocket(width, 6, undecided(1), (Scale(0, 1, 46),), (0,), sections)
