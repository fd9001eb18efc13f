"""`python -m millmark.quality train`: train a model; write it with its card, pictures and TensorBoard logs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from millmark.quality import errors, fitting, metrics, model
from millmark.quality.card import Card, Sources, build_card, draw_confusion, draw_reliability, ppm
from millmark.quality.commands.options import (
    Answer,
    Parser,
    add_examples,
    add_windows,
    make_folder,
    natural,
    positive,
    write,
)
from millmark.quality.data import Table, choose_decimals, load_ford_a, load_inputs, load_labels
from millmark.quality.progress import log_to, show_progress
from millmark.quality.train import KINDS, Columns, Trained, train

_EXAMPLES = """  python -m millmark.quality train --out forda
  python -m millmark.quality train --inputs X.npy --labels y.csv --out model
  python -m millmark.quality train --inputs X.csv --labels y.csv --kind mlp --cost 50:1 --out model
  tensorboard --logdir model/logs"""
_FEW_ROWS = 10
"""Classes with fewer rows get a warning."""


def add_options(parser: Parser) -> None:
    """Add the command's options and its function to a parser."""
    add_examples(parser, _EXAMPLES)
    add_windows(parser)
    parser.add_argument(
        "--labels", type=Path, metavar="FILE", help=".npy, .csv or .tsv with one label per row: numbers or words"
    )
    parser.add_argument(
        "--kind", choices=["auto", *KINDS], default="auto", help="auto (default) chooses by cross-validation"
    )
    parser.add_argument(
        "--columns",
        choices=[columns.value for columns in Columns],
        help="for auto: signal is one quantity over time, table is different quantities (default: guessed and shown)",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="for model.bin, card.json, pictures and logs"
    )
    parser.add_argument(
        "--seed", type=natural, default=0, help="seed of splits, initial weights and row order (default 0)"
    )
    parser.add_argument(
        "--reject",
        type=_parse_list,
        default=(),
        metavar="LABELS",
        help="labels that mean FAIL, separated by commas (default: all but the first in sorted order, unless those are "
        "most rows: then it has to be stated)",
    )
    parser.add_argument(
        "--cost",
        type=_parse_cost,
        metavar="FN:FP",
        help="choose the threshold for this cost of a missed defect to a false alarm, such as 50:1",
    )
    parser.add_argument(
        "--recall", type=_parse_recall, metavar="R", help="choose the threshold that finds this share of the defects"
    )
    parser.add_argument(
        "--class-weights",
        type=_parse_weights,
        default={},
        metavar="WEIGHTS",
        help="balanced, or LABEL=WEIGHT,... (default: all rows weigh the same)",
    )
    parser.add_argument("--threads", type=positive, default=1, help="threads of torch (default 1)")
    parser.set_defaults(command=_train)


def _parse_list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _parse_cost(text: str) -> tuple[int, int]:
    try:
        missed, alarmed = map(int, text.split(":"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not two whole numbers, such as 50:1") from error
    return missed, alarmed


def _parse_recall(text: str) -> int:
    try:
        return ppm(float(text))
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share, such as 0.99") from error


def _parse_weights(text: str) -> Mapping[str, float] | None:
    """Weight by label; None for "balanced", which needs the labels' counts."""
    if text == "balanced":
        return None
    weights = {}
    for part in _parse_list(text):
        # From the right: a label may contain "=", a weight cannot.
        label, _, weight = part.rpartition("=")
        try:
            weights[label] = float(weight)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{part!r} is not LABEL=WEIGHT") from error
        if not 0 < weights[label] < 1e6:
            raise argparse.ArgumentTypeError(f"the weight of {label} is not above 0 and below 1000000")
    return weights


def _train(options: argparse.Namespace) -> Answer:
    goal = metrics.Goal(options.cost, options.recall)
    sources = _load_sources(options)
    classes = fitting.build_classes(sources.training.labels, options.reject)
    if not options.reject:
        _confirm_majority(classes, sources.training.labels)
    problem = _build_problem(sources.training, classes, options.class_weights)
    # An unwritable folder should fail before minutes of training, not after.
    make_folder(options.out)
    _set_threads(options.threads)
    with show_progress() as bars, log_to(options.out / "logs") as log:

        def progress(name: str, done: int, planned: int, figures: Mapping[str, float]) -> None:
            bars(name, done, planned, figures)
            log(name, done, planned, figures)

        columns = None if options.columns is None else Columns(options.columns)
        trained = train(
            problem, classes, kind=options.kind, columns=columns, seed=options.seed, goal=goal, progress=progress
        )
    card = build_card(trained, problem, sources)
    _write_all(options.out, trained, card)
    described = json.loads(card.content)
    meaning, _ = _describe_failures(classes, sources.training.labels)
    sys.stderr.write(f"{meaning}\n{_explain(trained, card, described['data']['rows_by_label'])}")
    files = {"model_file": str(options.out / "model.bin"), "card_file": str(options.out / "card.json")}
    return {**files, **described}


def _describe_failures(classes: fitting.Classes, labels: NDArray[np.str_]) -> tuple[str, bool]:
    """Which labels mean FAIL and how many rows have them, in words; and whether that is most rows."""
    failing = int(classes.fails(classes.index(labels)).sum())
    return f"FAIL means: {', '.join(_failed(classes))} ({failing} of {len(labels)} rows)", 2 * failing > len(labels)


def _failed(classes: fitting.Classes) -> list[str]:
    fails = classes.fails(np.arange(len(classes.labels)))
    return [label for label, fail in zip(classes.labels, fails, strict=True) if fail]


def _confirm_majority(classes: fitting.Classes, labels: NDArray[np.str_]) -> None:
    """Asks on the terminal whether most rows are to fail. Raises InputError if they are and nobody confirms it: where
    the label of the good parts sorts last, a model that turns all of them away looks perfect by its figures."""
    meaning, is_most = _describe_failures(classes, labels)
    if not is_most:
        return
    if sys.stdin.isatty():
        sys.stderr.write(f"{meaning}, and so most rows fail. Train it like that? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
    failed = _failed(classes)
    kept = [label for label in classes.labels if label not in failed]
    hint = f"say which labels mean FAIL: --reject={','.join(kept)}, or --reject={','.join(failed)} if that is meant"
    raise errors.InputError(f"{meaning}, and so most rows fail", hint=hint)


def _load_sources(options: argparse.Namespace) -> Sources:
    if options.inputs is None:
        if options.labels is not None:
            raise errors.InputError(
                "--labels without --inputs", hint="give both, or leave both out to use the public data"
            )
        data = load_ford_a()
        return Sources("UCR FordA, default split", data.train, data.test)
    if options.labels is None:
        raise errors.InputError("training needs labels", hint="pass --labels")
    values, inputs_sha256 = load_inputs(options.inputs)
    labels, labels_sha256 = load_labels(options.labels)
    return Sources(options.inputs.name, Table(values, labels, (inputs_sha256, labels_sha256)), None)


def _build_problem(table: Table, classes: fitting.Classes, weights: Mapping[str, float] | None) -> fitting.Problem:
    indexed = classes.index(table.labels)
    count = len(classes.labels)
    if weights is None:
        # Balanced: all classes have the same total weight.
        shares = tuple(len(indexed) / count / int((indexed == index).sum()) for index in range(count))
    else:
        unknown = sorted(weights.keys() - set(classes.labels))
        if unknown:
            raise errors.InputError(f"unknown label {unknown[0]}", hint=f"choose from {', '.join(classes.labels)}")
        shares = tuple(weights.get(label, 1.0) for label in classes.labels)
    return fitting.Problem(table.values, indexed, count, shares, choose_decimals(table.values))


def _set_threads(threads: int) -> None:
    try:
        import torch  # noqa: PLC0415  some kinds train without it
    except ModuleNotFoundError:
        return
    torch.set_num_threads(threads)


def _write_all(folder: Path, trained: Trained, card: Card) -> None:
    write(folder / "model.bin", model.build_model(trained.model))
    write(folder / "card.json", card.content)
    judged, report = ("test", card.test) if card.test is not None else ("validation", card.validation)
    confusion = draw_confusion(report.confusion, trained.classes.labels, f"Confusion on {judged} rows")
    reliability = draw_reliability(report.reliability, f"Reliability on {judged} rows")
    write(folder / "confusion.svg", confusion.encode())
    write(folder / "reliability.svg", reliability.encode())


def _explain_choice(trained: Trained) -> list[str]:
    """One line per kind tried, the chosen one marked, and why it was preferred if another had the better mean."""
    columns, chosen = trained.columns.value, next(trial for trial in trained.trials if trial.kind == trained.kind)
    lines = [f"rows treated as a {columns}; mean F1 by kind, cross-validated on {trained.sampled} training rows:"]
    for trial in trained.trials:
        mark = "*" if trial is chosen else " "
        figures = f"{trial.mean:.4f} +- {trial.spread:.4f}" if trial.figures else f"not tried: {trial.obstacle}"
        lines.append(f"{mark} {trial.kind:8}{figures}")
    best = max(trained.trials, key=lambda trial: trial.mean)
    if best.mean > chosen.mean:
        error = best.error_against(chosen)
        lines.append(
            f"{best.kind} is better by {best.mean - chosen.mean:.4f}, but within the standard error of {error:.4f}"
        )
    return lines


def _explain(trained: Trained, card: Card, rows_by_label: Mapping[str, int]) -> str:
    """For people, on stderr: warnings, how the kind was chosen, and the model's figures."""
    lines = [
        f"class {label} has only {rows} rows: its figures are unreliable"
        for label, rows in rows_by_label.items()
        if rows < _FEW_ROWS
    ]
    if trained.trials:
        lines += _explain_choice(trained)
    for name, report in (("validation", card.validation), ("test", card.test)):
        if report is not None:
            shown = (
                f"{figure} {value:.4f} [{low:.4f}, {high:.4f}]"
                for figure, (value, (low, high)) in report.figures.items()
            )
            lines.append(f"{name}, {report.counts.rows} rows: " + ", ".join(shown))
    return "\n".join(lines) + "\n"
