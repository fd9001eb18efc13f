"""How well trees do on two public tables, by honest cross-validation over five fixed seeds.

    python -m quality.bench_tables steel --data DIR
    python -m quality.bench_tables ai4i --data DIR

DIR holds `Faults.NNA` (UCI Steel Plates Faults) or `ai4i2020.csv` (AI4I 2020), itself or in the folder of that name in
the UCI archive. A table goes to stderr, JSON to stdout. Everything about a model (derived columns, recipe, rounds,
threshold) is chosen inside the training folds; a test fold is only ever judged. Agreement is with the float trees that
LightGBM grew, on columns before they are rounded to words: it says what integers cost, not what other trees would say.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress as Bars
from rich.table import Table as Grid

from quality.errors import InputError, QualityError
from quality.fitting import Problem
from quality.labels import build_classes
from quality.metrics import Counts, average_precision, classify_all, confusion, macro_f1
from quality.model import build_model
from quality.splits import split_folds
from quality.train import score_rows, train

__all__ = ["BENCHES", "SEEDS", "Answer", "main", "run", "show"]

SEEDS = (0, 1, 2, 3, 4)
_TABLE_WIDTH = 120
_STEEL_COLUMNS = 27
_AI4I_COLUMNS = (
    "Type",
    "Air temperature [K]",
    "Process temperature [K]",
    "Rotational speed [rpm]",
    "Torque [Nm]",
    "Tool wear [min]",
)
"""What a sensor knows before the part fails; serial numbers and the five failure modes stay out."""
_AI4I_LABELS = ("Machine_failure", "Machine failure")

Floats = NDArray[np.float64]
Classes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Bench:
    """One public table and how it is judged."""

    title: str
    load: Callable[[Path], tuple[Floats, Classes]]
    folds: int
    bars: dict[str, float]
    """What each figure's mean over the seeds has to reach."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a bench found; its fields are the JSON."""

    bench: str
    rows: int
    columns: int
    class_rows: list[int]
    """Rows of each class."""
    folds: int
    seeds: list[int]
    per_seed: list[dict[str, float]]
    """Over all rows, each judged once by a model that had not seen it; `_by_fold` is the mean of the folds' figures.
    `agreement` is the share of rows of which integer and float trees say the same, `bytes` a model's mean size."""
    mean: dict[str, float]
    spread: dict[str, float]
    """Standard deviation over the seeds."""
    bars: dict[str, float]
    passed: bool


def load_steel(folder: Path) -> tuple[Floats, Classes]:
    """Columns (1941, 27) and classes (1941,), 0..6 in the order of the file's last seven columns. Raises InputError."""
    lines = _read(folder, "steel_plates", "Faults.NNA").splitlines()
    table = _to_numbers("Faults.NNA", [line.strip('"').split("\t") for line in lines if line.strip()])
    flags = table[:, _STEEL_COLUMNS:]
    if flags.shape[1] != 7 or not (flags.sum(axis=1) == 1).all():
        raise InputError("Faults.NNA does not mark one of seven classes a row", mend="fetch it from UCI again")
    return table[:, :_STEEL_COLUMNS], flags.argmax(axis=1).astype(np.int64)


def load_ai4i(folder: Path) -> tuple[Floats, Classes]:
    """Columns (10000, 6), Type as 0, 1, 2 for L, M, H, and whether the machine failed. Raises InputError."""
    rows = list(csv.DictReader(_read(folder, "ai4i2020", "ai4i2020.csv").splitlines()))
    label = next((name for name in _AI4I_LABELS if rows and name in rows[0]), None)
    if label is None or not set(_AI4I_COLUMNS) <= set(rows[0]):
        raise InputError("ai4i2020.csv lacks a column", mend="fetch it from UCI again")
    kinds = {"L": "0", "M": "1", "H": "2"}
    cells = [[kinds.get(row["Type"], ""), *(row[name] for name in (*_AI4I_COLUMNS[1:], label))] for row in rows]
    table = _to_numbers("ai4i2020.csv", cells)
    return table[:, :-1], (table[:, -1] == 1).astype(np.int64)


def _to_numbers(name: str, cells: list[list[str]]) -> Floats:
    try:
        return np.array([[float(cell) for cell in row] for row in cells], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is not a table of numbers", mend="fetch it from UCI again") from error


def _read(folder: Path, name: str, file: str) -> str:
    path = next((path for path in (folder / file, folder / name / file) if path.is_file()), None)
    if path is None:
        raise InputError(f"{folder} holds no {file}", mend="give the folder that does with --data")
    return path.read_text(encoding="utf-8-sig")


BENCHES = {
    "ai4i": Bench("AI4I 2020", load_ai4i, 5, {"f1": 0.80, "average_precision": 0.86, "agreement": 0.995}),
    "steel": Bench("Steel Plates Faults", load_steel, 10, {"macro_f1": 0.80, "agreement": 0.98}),
}


def run(
    name: str, folder: Path, seeds: Sequence[int] = SEEDS, tell: Callable[[int, int], None] | None = None
) -> Answer:
    """What one bench found; `tell` hears (folds done, folds planned). Raises QualityError."""
    bench = BENCHES[name]
    problem = _pose(*bench.load(folder))
    judged: list[dict[str, float]] = []
    for number, seed in enumerate(seeds):
        folds = []
        for index, (learnt, held) in enumerate(split_folds(problem.classes, bench.folds, seed)):
            folds.append(_judge_fold(problem.take(learnt), problem.take(held), seed))
            if tell is not None:
                tell(number * bench.folds + index + 1, len(seeds) * bench.folds)
        judged.append(_summarise(folds, binary=problem.outputs == 1))
    means = {figure: statistics.mean(row[figure] for row in judged) for figure in judged[0]}
    return Answer(
        bench=name,
        rows=len(problem.classes),
        columns=problem.values.shape[1],
        class_rows=np.bincount(problem.classes).tolist(),
        folds=bench.folds,
        seeds=list(seeds),
        per_seed=judged,
        mean=means,
        spread={figure: statistics.pstdev(row[figure] for row in judged) for figure in judged[0]},
        bars=bench.bars,
        passed=all(means[figure] >= bar for figure, bar in bench.bars.items()),
    )


def _pose(values: Floats, classes: Classes) -> Problem:
    count = int(classes.max()) + 1
    return Problem(values, classes, count, (1.0,) * count)


@dataclass(frozen=True, slots=True)
class _Fold:
    """What one fold's model says of the rows that it had not seen."""

    actual: Classes
    said: Classes
    """The first class with the largest logit; for one logit, whether it reaches the threshold."""
    float_said: Classes
    scores: Classes
    """The first logit in millionths of a nat, so that those of models with other steps can be ranked together."""
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
    """Figures over all rows, each judged once; `_by_fold` is the mean of the folds' own figures."""
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


def show(answer: Answer, console: Console) -> None:
    """The answer as a table, one row a figure, one column a seed."""
    console.print(f"{BENCHES[answer.bench].title}: {answer.rows} rows, {answer.columns} columns, {answer.folds} folds")
    console.print(f"rows of each class: {', '.join(map(str, answer.class_rows))}")
    table = Grid("figure", *(f"seed {seed}" for seed in answer.seeds), "mean", "spread", "bar")
    for column in table.columns:
        column.no_wrap = True
    for figure, mean in answer.mean.items():
        values = [*(row[figure] for row in answer.per_seed), mean, answer.spread[figure]]
        bar = f"{answer.bars[figure]:.3f}" if figure in answer.bars else ""
        shown = [f"{value:.0f}" if figure == "bytes" else f"{value:.4f}" for value in values]
        table.add_row(figure.replace("_", " "), *shown, bar)
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code of a command line: 0 when every bar is reached, 1 when one is not, 2 for unusable input."""
    parser = argparse.ArgumentParser(prog="python -m quality.bench_tables", description="Trees on two public tables.")
    parser.add_argument("bench", choices=sorted(BENCHES))
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the folder with the table")
    counts = range(1, len(SEEDS) + 1)
    parser.add_argument(
        "--seeds", type=int, choices=counts, default=len(SEEDS), metavar="N", help="the first N seeds (default 5)"
    )
    options = parser.parse_args(arguments)
    console = Console(stderr=True)
    # A file or a pipe has no width; the table needs some.
    console.width = max(console.width, _TABLE_WIDTH)
    try:
        with Bars(console=console, disable=not sys.stderr.isatty()) as bars:
            task = bars.add_task(options.bench)
            answer = run(
                options.bench,
                options.data,
                SEEDS[: options.seeds],
                lambda done, planned: bars.update(task, completed=done, total=planned),
            )
    except QualityError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    show(answer, console)
    sys.stdout.write(json.dumps(asdict(answer)) + "\n")
    return 0 if answer.passed else 1


if __name__ == "__main__":
    sys.exit(main())
