"""Trains on FordA's default split with five fixed seeds and evaluates on its test rows.

Nothing is chosen on test rows: kind and seeds are given, and everything else comes from training rows. Needs the
packages that the kind needs.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from millmark.quality.data import FordA, Table, load_ford_a, load_table, to_fixed
from millmark.quality.errors import InputError
from millmark.quality.fitting import Problem, Progress, build_classes
from millmark.quality.metrics import Counts, average_precision
from millmark.quality.model import build_model
from millmark.quality.train import score_rows, train
from tests.bench.quality.tables import Bench

SEEDS = (0, 1, 2, 3, 4)
ACCURACY_BAR = 0.940
AGREEMENT_BAR = 0.995
_FIGURES = ("accuracy", "f1", "average_precision", "agreement", "bytes")


def load_split(folder: Path | None) -> FordA:
    """The pinned files, or all `*TRAIN*` and `*TEST*` files of a folder. Raises InputError or DataError."""
    if folder is None:
        return load_ford_a()
    return FordA(train=_join(folder, "TRAIN"), test=_join(folder, "TEST"))


def _join(folder: Path, part: str) -> Table:
    paths = sorted(path for path in folder.glob(f"*{part}*") if path.is_file())
    if not paths:
        raise InputError(f"{folder} has no file named *{part}*", hint="pass the folder of the data with --data")
    tables = [load_table(path) for path in paths]
    return Table(
        values=np.concatenate([table.values for table in tables]),
        labels=np.concatenate([table.labels for table in tables]),
        sha256s=tuple(digest for table in tables for digest in table.sha256s),
    )


def run_forda(split: FordA, kind: str, seeds: Sequence[int], progress: Progress) -> Bench:
    """One row per seed, then mean and standard deviation. Passes if mean accuracy and agreement reach their bars."""
    runs = [_run(split, kind, seed, progress) for seed in seeds]
    means = {name: statistics.mean(run[name] for run in runs) for name in _FIGURES}
    spreads = {name: statistics.pstdev(run[name] for run in runs) for name in _FIGURES}
    named = [*zip(map(str, seeds), runs, strict=True), ("mean", means), ("spread", spreads)]
    return Bench(
        title=f"FordA, {kind}: {len(split.train.labels)} training rows, {len(split.test.labels)} test rows",
        heads=["seed", *(name.replace("_", " ") for name in _FIGURES)],
        rows=[
            [name, *(f"{run[figure]:.{0 if figure == 'bytes' else 4}f}" for figure in _FIGURES)] for name, run in named
        ],
        answer={
            "kind": kind,
            "training_rows": len(split.train.labels),
            "test_rows": len(split.test.labels),
            "seeds": list(seeds),
            "per_seed": runs,
            "mean": means,
            "spread": spreads,
            "bars": {"accuracy": ACCURACY_BAR, "agreement": AGREEMENT_BAR},
        },
        passed=means["accuracy"] >= ACCURACY_BAR and means["agreement"] >= AGREEMENT_BAR,
    )


def _run(split: FordA, kind: str, seed: int, progress: Progress) -> dict[str, float]:
    classes = build_classes(split.train.labels)
    problem = Problem(split.train.values, classes.index(split.train.labels), 2, (1.0, 1.0))
    trained = train(problem, classes, kind=kind, seed=seed, progress=progress)
    actual = classes.fails(classes.index(split.test.labels))
    fixed = to_fixed(split.test.values, trained.model.decimals)
    scores = score_rows(trained.model, fixed)[:, 0]
    threshold = trained.model.decision.threshold
    floats = trained.fitted.float_logits(fixed)[:, 0] >= threshold * trained.fitted.logit_step
    counts = Counts.of(scores >= threshold, actual)
    return {
        "accuracy": counts.accuracy,
        "f1": counts.f1,
        "average_precision": average_precision(scores, actual),
        "agreement": float(np.mean(floats == (scores >= threshold))),
        "bytes": len(build_model(trained.model)),
    }
