"""aeon's MiniRocket classifier, which is a transform and a ridge, in its default size on one thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aeon.classification.convolution_based import MiniRocketClassifier

from tests.bench.peers.answer import Act, Prepare

_TRAINED = 300


def start(arguments: Mapping[str, Any]) -> Mapping[str, Prepare]:
    generator = np.random.default_rng(1)
    classifier = MiniRocketClassifier(n_jobs=1, random_state=1)
    rows = generator.normal(size=(_TRAINED, 1, arguments["width"])).astype(np.float32)
    classifier.fit(rows, generator.integers(0, 2, _TRAINED))

    def task(windows: int, times: int) -> Prepare:
        def prepare() -> Act:
            asked = generator.normal(size=(windows, 1, arguments["width"])).astype(np.float32)

            def act() -> tuple[int, object]:
                for _ in range(times):
                    classifier.predict(asked)
                return windows * times, None

            return act

        return prepare

    return {"alone": task(1, arguments["alone"]), "batch": task(arguments["batch"], 1)}
