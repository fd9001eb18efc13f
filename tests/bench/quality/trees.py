"""Evaluates trees on two public tables by nested cross-validation with five fixed seeds. Needs numpy.

The data folder contains `Faults.NNA` (UCI Steel Plates Faults) or `ai4i2020.csv` (AI4I 2020) in their original form,
directly or in a subfolder named as in the UCI archive. Everything about a model (derived columns, recipe, rounds,
threshold) is chosen on the training folds; a test fold only evaluates. Agreement is with the float trees from which the
model was exported, on unrounded columns: it measures the cost of integers, not the variance between trainings.
"""

import csv
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from millmark.quality.errors import InputError
from millmark.quality.fitting import Problem, build_classes, split_folds
from millmark.quality.metrics import Counts, average_precision, classify_all, confusion, macro_f1
from millmark.quality.model import build_model
from millmark.quality.train import score_rows, train
from tests.bench.quality.tables import Bench

_STEEL_COLUMNS = 27
_AI4I_COLUMNS = (
    "Type",
    "Air temperature [K]",
    "Process temperature [K]",
    "Rotational speed [rpm]",
    "Torque [Nm]",
    "Tool wear [min]",
)
"""Measurements known before a failure: without serial numbers, and without the five failure modes, which are labels."""
_AI4I_LABELS = ("Machine_failure", "Machine failure")

Floats = NDArray[np.float64]
Classes = NDArray[np.int64]


def load_steel(folder: Path) -> tuple[Floats, Classes]:
    """Values (1941, 27) and classes (1941,): 0..6 in the order of the file's last seven columns. Raises InputError."""
    lines = _read(folder, "steel_plates", "Faults.NNA").splitlines()
    table = _to_numbers("Faults.NNA", [line.strip('"').split("\t") for line in lines if line.strip()])
    flags = table[:, _STEEL_COLUMNS:]
    if flags.shape[1] != 7 or not (flags.sum(axis=1) == 1).all():
        raise InputError("Faults.NNA does not mark one of seven classes per row", hint="download it from UCI again")
    return table[:, :_STEEL_COLUMNS], flags.argmax(axis=1).astype(np.int64)


def load_ai4i(folder: Path) -> tuple[Floats, Classes]:
    """Values (10000, 6), with Type L, M, H as 0, 1, 2, and classes (10000,): 1 if the machine failed.

    Raises InputError.
    """
    rows = list(csv.DictReader(_read(folder, "ai4i2020", "ai4i2020.csv").splitlines()))
    label = next((name for name in _AI4I_LABELS if rows and name in rows[0]), None)
    if label is None or not set(_AI4I_COLUMNS) <= set(rows[0]):
        raise InputError("a column of ai4i2020.csv is missing", hint="download it from UCI again")
    kinds = {"L": "0", "M": "1", "H": "2"}
    cells = [[kinds.get(row["Type"], ""), *(row[name] for name in (*_AI4I_COLUMNS[1:], label))] for row in rows]
    table = _to_numbers("ai4i2020.csv", cells)
    return table[:, :-1], (table[:, -1] == 1).astype(np.int64)


def _to_numbers(name: str, cells: list[list[str]]) -> Floats:
    try:
        return np.array([[float(cell) for cell in row] for row in cells], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is not a table of numbers", hint="download it from UCI again") from error


def _read(folder: Path, name: str, file: str) -> str:
    path = next((path for path in (folder / file, folder / name / file) if path.is_file()), None)
    if path is None:
        raise InputError(f"{folder} has no {file}", hint="pass the folder of the data with --data")
    return path.read_text(encoding="utf-8-sig")


SEEDS = (0, 1, 2, 3, 4)


@dataclass(frozen=True, slots=True)
class PublicTable:
    """A public table, and how models are evaluated on it."""

    title: str
    load: Callable[[Path], tuple[Floats, Classes]]
    """Reads (values, classes) from the data folder."""
    folds: int
    bars: Mapping[str, float]
    """Least mean over the seeds, by figure."""


TABLES = {
    "ai4i": PublicTable("AI4I 2020", load_ai4i, 5, {"f1": 0.80, "average_precision": 0.86, "agreement": 0.995}),
    "steel": PublicTable("Steel Plates Faults", load_steel, 10, {"macro_f1": 0.80, "agreement": 0.98}),
}


def run_trees(name: str, folder: Path, seeds: Sequence[int], tell: Callable[[int, int], None]) -> Bench:
    """One column per seed, with figures over all rows, each predicted once by a model that was not trained on it.

    Figures `by fold` are means over the folds' own figures; `bytes` is the mean size of a model. `tell` is called with
    (folds done, folds planned) after each fold. Raises QualityError.
    """
    table = TABLES[name]
    values, classes = table.load(folder)
    count = int(classes.max()) + 1
    problem = Problem(values, classes, count, (1.0,) * count)
    judged: list[dict[str, float]] = []
    for number, seed in enumerate(seeds):
        folds = []
        for index, (learnt, held) in enumerate(split_folds(problem.classes, table.folds, seed)):
            folds.append(_judge_fold(problem.take(learnt), problem.take(held), seed))
            tell(number * table.folds + index + 1, len(seeds) * table.folds)
        judged.append(_summarise(folds, binary=problem.outputs == 1))
    return _report(table, problem, seeds, judged)


def _report(table: PublicTable, problem: Problem, seeds: Sequence[int], judged: Sequence[Mapping[str, float]]) -> Bench:
    means = {figure: statistics.mean(row[figure] for row in judged) for figure in judged[0]}
    spreads = {figure: statistics.pstdev(row[figure] for row in judged) for figure in means}
    class_rows = np.bincount(problem.classes).tolist()
    rows = []
    for figure, mean in means.items():
        values = [*(row[figure] for row in judged), mean, spreads[figure]]
        shown = [f"{value:.0f}" if figure == "bytes" else f"{value:.4f}" for value in values]
        bar = f"{table.bars[figure]:.3f}" if figure in table.bars else ""
        rows.append([figure.replace("_", " "), *shown, bar])
    return Bench(
        title=f"{table.title}: {len(problem.classes)} rows ({', '.join(map(str, class_rows))} by class), "
        f"{problem.values.shape[1]} columns, {table.folds} folds",
        heads=["figure", *(f"seed {seed}" for seed in seeds), "mean", "spread", "bar"],
        rows=rows,
        answer={
            "rows": len(problem.classes),
            "columns": problem.values.shape[1],
            "class_rows": class_rows,
            "folds": table.folds,
            "seeds": list(seeds),
            "per_seed": judged,
            "mean": means,
            "spread": spreads,
            "bars": table.bars,
        },
        passed=all(means[figure] >= bar for figure, bar in table.bars.items()),
    )


@dataclass(frozen=True, slots=True)
class _Fold:
    """Predictions of one fold's model for the held-out rows."""

    actual: Classes
    said: Classes
    """Predicted class: the first one with the largest logit; for a single logit, whether it reaches the threshold."""
    float_said: Classes
    """Predicted class of the float trees."""
    scores: Classes
    """The first logit in millionths of a nat, so that models with different steps can be ranked together."""
    size: int
    """Bytes of the model."""


def _judge_fold(learnt: Problem, held: Problem, seed: int) -> _Fold:
    trained = train(learnt, build_classes([str(label) for label in range(learnt.count)]), kind="trees", seed=seed)
    step, decision = trained.fitted.logit_step, trained.model.decision
    logits = score_rows(trained.model, held.fixed)
    floats = trained.fitted.float_logits(held.fixed)
    float_fails = (floats[:, 0] >= decision.threshold * step).astype(np.int64)
    return _Fold(
        actual=held.classes,
        said=classify_all(decision, logits),
        float_said=float_fails if held.outputs == 1 else floats.argmax(axis=1),
        scores=np.rint(logits[:, 0] * step * 1e6).astype(np.int64),
        size=len(build_model(trained.model)),
    )


def _summarise(folds: Sequence[_Fold], binary: bool) -> dict[str, float]:
    """Figures over the rows of all folds together; `_by_fold` figures are means over the folds' own figures."""
    actual, said, float_said, scores = (
        np.concatenate(parts)
        for parts in zip(*((f.actual, f.said, f.float_said, f.scores) for f in folds), strict=True)
    )
    measure = _measure_binary if binary else _measure_classes
    by_fold = [measure(fold.actual, fold.said, fold.scores) for fold in folds]
    return {
        **measure(actual, said, scores),
        **{f"{figure}_by_fold": statistics.mean(row[figure] for row in by_fold) for figure in by_fold[0]},
        "agreement": float(np.mean(said == float_said)),
        "bytes": statistics.mean(fold.size for fold in folds),
    }


def _measure_binary(actual: Classes, said: Classes, scores: Classes) -> dict[str, float]:
    return {
        "f1": Counts.of(said == 1, actual == 1).f1,
        "average_precision": average_precision(scores, actual == 1),
        "accuracy": float(np.mean(said == actual)),
    }


def _measure_classes(actual: Classes, said: Classes, _scores: Classes) -> dict[str, float]:
    count = int(max(actual.max(), said.max())) + 1
    return {"macro_f1": macro_f1(confusion(said, actual, count)), "accuracy": float(np.mean(said == actual))}
