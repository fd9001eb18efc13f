"""`python -m quality`: train a model, evaluate one. Answers are JSON on stdout, errors one line on stderr."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress as Bars
from rich.progress import TaskID

from quality.card import Sources, build_card
from quality.data import Floats, Table, build_targets, load_inputs, load_labels, to_fixed
from quality.digest import Inference, combine_digests
from quality.errors import InputError, QualityError
from quality.evaluate import EVALUATORS, load_evaluator
from quality.forda import load_ford_a
from quality.inspection import Inspector
from quality.metrics import Counts, average_precision
from quality.model import build_model

if TYPE_CHECKING:
    from quality.train import Progress

KINDS = ("auto", "mlp", "cnn")
"""As in `quality.floatnet`, repeated so that `--help` does not wait for torch; a test compares the two."""

_TRAIN_EXAMPLE = """examples:
  python -m quality train --out forda
  python -m quality train --inputs X.npy --labels y.csv --kind mlp --out model"""
_EVALUATE_EXAMPLE = """examples:
  python -m quality evaluate --model quality/models/forda.bin
  python -m quality evaluate --model model/model.bin --inputs X.npy --labels y.csv --evaluator torch --batch 256"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code of a command line: 0, 1 for a failure, 2 for unusable input."""
    options = _build_parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], dict[str, object]] = options.command
    try:
        answer = command(options)
    except QualityError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


class _Parser(argparse.ArgumentParser):
    """argparse prints its usage before an error; here an error is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def _build_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m quality", description="Quality models that anybody can re-execute.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    shape = argparse.RawDescriptionHelpFormatter
    text = "train a model and write it with its card"
    train = commands.add_parser("train", help=text, description=text, epilog=_TRAIN_EXAMPLE, formatter_class=shape)
    _add_data_options(train)
    train.add_argument("--kind", choices=KINDS, default="auto", help="auto tries all and keeps the best (default)")
    train.add_argument("--out", type=Path, required=True, metavar="DIR", help="writes DIR/model.bin and DIR/card.json")
    train.add_argument("--seed", type=_natural, default=0, help="of split, initial weights and order (default 0)")
    train.add_argument("--threads", type=_positive, default=1, help="of torch (default 1)")
    train.set_defaults(command=_train)
    text = "run a model on many windows and print the digest of all inferences"
    run = commands.add_parser("evaluate", help=text, description=text, epilog=_EVALUATE_EXAMPLE, formatter_class=shape)
    _add_data_options(run)
    run.add_argument("--model", type=Path, required=True, metavar="FILE", help="a model.bin")
    run.add_argument("--evaluator", choices=EVALUATORS, default="numpy", help="all give the same (default numpy)")
    run.add_argument("--batch", type=_positive, default=64, help="windows at a time (default 64)")
    run.add_argument("--threads", type=_positive, default=1, help="of the torch evaluator (default 1)")
    run.set_defaults(command=_evaluate)
    return parser


def _add_data_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", choices=["forda"], default="forda", help="public data, used without --inputs")
    command.add_argument("--inputs", type=Path, metavar="FILE", help=".npy, .csv or .tsv: one window a row")
    command.add_argument("--labels", type=Path, metavar="FILE", help=".npy, .csv or .tsv: one label a row")
    command.add_argument("--positive", type=float, metavar="LABEL", help="label of a defect (default: the larger)")


def _natural(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"{text} is not in 0..4294967295")
    return value


def _positive(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 2**20:
        raise argparse.ArgumentTypeError(f"{text} is not in 1..1048576")
    return value


def _train(options: argparse.Namespace) -> dict[str, object]:
    try:
        import torch  # noqa: PLC0415  evaluating must not need torch

        from quality.train import train  # noqa: PLC0415  likewise
    except ModuleNotFoundError as missing:
        raise InputError(f"training needs {missing.name}", mend="install millmark[quality]") from missing
    sources = _load_sources(options)
    targets = build_targets(sources.training.labels, options.positive)
    model_path, card_path = options.out / "model.bin", options.out / "card.json"
    # Before the minutes of training, not after them.
    _make_folder(options.out)
    torch.set_num_threads(options.threads)
    with _show_epochs() as progress:
        trained = train(sources.training.values, targets, kind=options.kind, seed=options.seed, progress=progress)
    card = build_card(trained, sources)
    _write(model_path, build_model(trained.network))
    _write(card_path, card)
    return {"model_file": str(model_path), "card_file": str(card_path), **json.loads(card)}


def _load_sources(options: argparse.Namespace) -> Sources:
    if options.inputs is None:
        _require_no_labels(options)
        data = load_ford_a()
        return Sources("UCR FordA, default split", data.train, data.test, options.positive)
    if options.labels is None:
        raise InputError("training needs labels", mend="give --labels")
    values, inputs_sha256 = load_inputs(options.inputs)
    labels, labels_sha256 = load_labels(options.labels)
    return Sources(options.inputs.name, Table(values, labels, (inputs_sha256, labels_sha256)), None, options.positive)


def _require_no_labels(options: argparse.Namespace) -> None:
    if options.labels is not None:
        raise InputError("--labels without --inputs", mend="give both, or neither for the public data")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made: {error.strerror}", mend="choose another --out") from error


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}", mend="choose another --out") from error


@contextmanager
def _show_epochs() -> Iterator[Progress]:
    """Reports epochs as one bar a recipe on stderr, when that is a terminal."""
    with Bars(console=Console(stderr=True), disable=not sys.stderr.isatty()) as bars:
        tasks: dict[str, TaskID] = {}

        def report(name: str, done: int, planned: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=planned)
            bars.update(tasks[name], completed=done)

        yield report


def _evaluate(options: argparse.Namespace) -> dict[str, object]:
    try:
        inspector = Inspector(options.model.read_bytes())
    except OSError as error:
        raise InputError(f"{options.model} cannot be read: {error.strerror}", mend="check the path") from error
    values, labels = _load_windows(options)
    # Labels are checked before the run, so that a long one does not end in a refusal.
    actual = None if labels is None else build_targets(labels, options.positive)
    fixed = to_fixed(values, inspector.model.decimals)
    inferences = _run(inspector, fixed, options)
    answer: dict[str, object] = {"digest": combine_digests(inferences).hex(), "n": len(inferences)}
    if actual is not None:
        scores = np.array([inference.logits[0] for inference in inferences], dtype=np.int64)
        counts = Counts.of(scores >= inspector.model.decision.threshold, actual)
        answer |= {"accuracy": counts.accuracy, "f1": counts.f1}
        answer["average_precision"] = average_precision(scores, actual)
    return answer


def _load_windows(options: argparse.Namespace) -> tuple[Floats, Floats | None]:
    """Windows (n, width), and their labels (n,) if there are any."""
    if options.inputs is None:
        _require_no_labels(options)
        test = load_ford_a().test
        return test.values, test.labels
    values, sha256 = load_inputs(options.inputs)
    if options.labels is None:
        return values, None
    return values, Table(values, load_labels(options.labels)[0], (sha256,)).labels


def _run(inspector: Inspector, fixed: NDArray[np.int64], options: argparse.Namespace) -> list[Inference]:
    """All inferences in order, `--batch` windows at a time, with zero contexts and salts."""
    infer = load_evaluator(options.evaluator)(inspector.model)
    if options.evaluator == "torch":
        import torch  # noqa: PLC0415  only this evaluator has threads

        torch.set_num_threads(options.threads)
    inferences: list[Inference] = []
    with Bars(console=Console(stderr=True), disable=not sys.stderr.isatty()) as bars:
        task = bars.add_task("evaluate", total=len(fixed))
        for start in range(0, len(fixed), options.batch):
            inferences += inspector.inspect_all(fixed[start : start + options.batch], infer=infer)
            bars.update(task, completed=len(inferences))
    return inferences


if __name__ == "__main__":
    sys.exit(main())
