"""`python -m millmark.quality evaluate`: run a model on many windows. Needs only numpy, unless torch evaluates."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from millmark.quality import data, errors, metrics
from millmark.quality.commands.options import Answer, Parser, add_examples, add_windows, positive
from millmark.quality.evaluate import EVALUATORS, load_evaluator
from millmark.quality.fitting import Classes, build_classes
from millmark.quality.inference import Inference, combine_digests
from millmark.quality.inspection import Inspector
from millmark.quality.progress import show_progress

_EXAMPLES = """  python -m millmark.quality evaluate --model quality/models/forda.bin
  python -m millmark.quality evaluate --model model/model.bin --inputs X.npy --labels y.csv --evaluator torch"""


def add_options(parser: Parser) -> None:
    """Add the command's options and its function to a parser."""
    add_examples(parser, _EXAMPLES)
    add_windows(parser)
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="one label per row; their meaning is taken from the card.json beside the model,"
        " or from the labels themselves if there is none",
    )
    parser.add_argument("--model", type=Path, required=True, metavar="FILE", help="model file (model.bin)")
    parser.add_argument(
        "--evaluator", choices=EVALUATORS, default="numpy", help="results are identical (default numpy)"
    )
    parser.add_argument("--batch", type=positive, default=64, help="windows per batch (default 64)")
    parser.add_argument("--threads", type=positive, default=1, help="threads of the torch evaluator (default 1)")
    parser.set_defaults(command=_evaluate)


def _evaluate(options: argparse.Namespace) -> Answer:
    try:
        inspector = Inspector(options.model.read_bytes())
    except OSError as error:
        raise errors.InputError(f"{options.model} cannot be read: {error.strerror}", hint="check the path") from error
    values, labels = _load_windows(options)
    # Check labels first, so that a long run does not end in a refusal.
    classes = None if labels is None else _find_classes(options.model, inspector, labels)
    actual = None if labels is None or classes is None else classes.index(labels)
    fixed = data.to_fixed(values, inspector.model.decimals)
    inferences = _run(inspector, fixed, options)
    answer: Answer = {"digest": combine_digests(inferences).hex(), "n": len(inferences)}
    if classes is not None and actual is not None:
        logits = np.array([inference.logits for inference in inferences], dtype=np.int64)
        answer |= _measure(inspector, classes, logits, actual)
    return answer


def _load_windows(options: argparse.Namespace) -> tuple[data.Floats, NDArray[np.str_] | None]:
    """Windows (n, width) and, if given, their labels (n,)."""
    if options.inputs is None:
        if options.labels is not None:
            raise errors.InputError(
                "--labels without --inputs", hint="give both, or leave both out to use the public data"
            )
        test = data.load_ford_a_test()
        return test.values, test.labels
    values, sha256 = data.load_inputs(options.inputs)
    if options.labels is None:
        return values, None
    return values, data.Table(values, data.load_labels(options.labels)[0], (sha256,)).labels


def _find_classes(path: Path, inspector: Inspector, labels: NDArray[np.str_]) -> Classes:
    """Labels of the model's classes: from the model's card, else the labels' own, if there are as many as classes.
    Raises InputError if their number differs from the model's."""
    decision = inspector.model.decision
    count = max(2, decision.outputs)
    named = _read_card(path.parent / "card.json", inspector.model_digest.hex())
    if named is None:
        classes = build_classes(labels)
        named = classes.labels
    if len(named) != count:
        hint = "keep the model's card.json beside the model"
        raise errors.InputError(f"labels have {len(named)} classes, the model has {count}", hint=hint)
    return Classes(named, 2 if decision.outputs == 1 else decision.rejects)


def _read_card(path: Path, digest: str) -> tuple[str, ...] | None:
    """The labels in this model's card, by class; None if there is no card, or it is another model's or unusable."""
    try:
        card = json.loads(path.read_bytes())
        labels = card["labels"] if card["model"]["sha256"] == digest else None
    except (OSError, ValueError, LookupError, TypeError):
        # The card only names the classes; without it, the labels do.
        return None
    if not isinstance(labels, list) or len(set(map(str, labels))) != len(labels):
        return None
    return tuple(map(str, labels))


def _measure(inspector: Inspector, classes: Classes, logits: NDArray[np.int64], actual: NDArray[np.int64]) -> Answer:
    """Accuracy, F1 and average precision: of FAIL for two classes, else of the predicted class. With several classes,
    F1 and average precision are means over classes, and the verdicts have figures of their own."""
    decision = inspector.model.decision
    shown = metrics.classify_all(decision, logits)
    counts = metrics.Counts.of(metrics.margins(decision, logits) >= decision.threshold, classes.fails(actual))
    ranked = metrics.macro_average_precision(logits, actual)
    if decision.outputs == 1:
        return {"accuracy": counts.accuracy, "f1": counts.f1, "average_precision": ranked}
    return {
        "accuracy": float(np.mean(shown == actual)),
        "f1": metrics.macro_f1(metrics.confusion(shown, actual, decision.outputs)),
        "average_precision": ranked,
        "verdicts": {"accuracy": counts.accuracy, "f1": counts.f1},
    }


def _run(inspector: Inspector, fixed: NDArray[np.int64], options: argparse.Namespace) -> list[Inference]:
    """All inferences, in order, with zero contexts and salts; `--batch` windows are evaluated at a time."""
    infer = load_evaluator(options.evaluator)(inspector.model)
    if options.evaluator == "torch":
        import torch  # noqa: PLC0415  only this evaluator has threads

        torch.set_num_threads(options.threads)
    inferences: list[Inference] = []
    with show_progress() as progress:
        for start in range(0, len(fixed), options.batch):
            inferences += inspector.inspect_all(fixed[start : start + options.batch], infer=infer)
            progress("evaluate", len(inferences), len(fixed), {})
    return inferences
