"""Fits choice-learn's multinomial logit to the same choices, in an environment of its own that has it: its Python runs
this file, which imports nothing of Millmark.

    python choice_peer.py CHOICES.npz

The file has `values` (N x J x K, scaled), `there` (N x J), `chosen` (N) and `fold` (N). Prints JSON: the sum of the
held-out log-likelihoods over the folds, that of a fit to all, and the CPU seconds.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np


def main(path: str) -> None:
    from choice_learn.data import ChoiceDataset  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - the peer's
    from choice_learn.models import SimpleMNL  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - as above

    found = np.load(path)
    begin = time.process_time()

    def dataset(kept: Any) -> Any:
        return ChoiceDataset(
            items_features_by_choice=(found["values"][kept].astype(np.float32),),
            items_features_by_choice_names=([str(place) for place in range(found["values"].shape[2])],),
            available_items_by_choice=found["there"][kept].astype(np.float32),
            choices=found["chosen"][kept].astype(np.int64),
        )

    def score(fit: Any, judged: Any) -> float:
        model = SimpleMNL(intercept=None, optimizer="lbfgs", epochs=1000, lbfgs_tolerance=1e-8)
        model.fit(dataset(fit), verbose=0)
        shares = np.asarray(model.predict_probas(dataset(judged)))
        return float(np.log(np.maximum(shares[np.arange(len(shares)), found["chosen"][judged]], 1e-300)).sum())

    folds = found["fold"]
    everything = np.ones(len(folds), dtype=bool)
    held_out = sum(score(folds != fold, folds == fold) for fold in range(folds.max() + 1))
    answer = {"held_out": held_out, "all": score(everything, everything), "cpu_s": time.process_time() - begin}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
