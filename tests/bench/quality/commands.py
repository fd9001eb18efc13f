"""Benchmarks of quality models: the table goes to stderr as text, the result to stdout as JSON."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from millmark.quality.commands.options import Answer, Parser, add_examples, let_idle_threads_sleep, positive
from millmark.quality.errors import InputError, QualityError
from millmark.quality.inspection import Inspector
from millmark.quality.progress import show_progress
from tests.bench.quality.tables import Bench, show

_EXAMPLES = """  scripts/bench forda
  scripts/bench steel --data uci/steel_plates
  scripts/bench digest --model model/model.bin --inputs X.npy
  scripts/bench process --runs 10
  scripts/bench speed"""
_MODEL = Path(__file__).parents[3] / "quality" / "models" / "forda.bin"


def main(arguments: Sequence[str]) -> int:
    """Run a benchmark and return the exit code: 0 success, 1 a missed bar, 2 unusable input."""
    try:
        answer = _bench(_build_parser().parse_args(arguments))
    except QualityError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0 if answer["passed"] else 1


def _build_parser() -> Parser:
    parser = Parser(prog="scripts/bench", description="Measure accuracy, speed or reproducibility of quality models.")
    add_examples(parser, _EXAMPLES)
    parser.add_argument("name", choices=["ai4i", "digest", "forda", "process", "speed", "steel"])
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="folder with the public data (forda: downloaded if omitted)"
    )
    parser.add_argument(
        "--seeds", type=positive, default=5, metavar="N", help="use the first N of five seeds (default 5)"
    )
    parser.add_argument(
        "--kind", choices=["mlp", "cnn", "rocket"], default="rocket", help="forda: kind of model (default rocket)"
    )
    parser.add_argument(
        "--model", type=Path, default=_MODEL, metavar="FILE", help="digest: model to run (default: the FordA CNN)"
    )
    parser.add_argument("--inputs", type=Path, metavar="FILE", help="digest: windows to run (default: random ones)")
    parser.add_argument(
        "--rows", type=positive, default=512, metavar="N", help="digest: number of windows, at most (default 512)"
    )
    parser.add_argument(
        "--runs", type=positive, default=100, metavar="N", help="process: disturbed runs of the setpoints (default 100)"
    )
    return parser


def _bench(options: argparse.Namespace) -> Answer:
    kinds = {"digest": _bench_digest, "forda": _bench_forda, "process": _bench_process, "speed": _bench_speed}
    run = kinds.get(options.name, _bench_trees)
    try:
        bench = run(options)
    except ModuleNotFoundError as missing:
        raise InputError(f"bench {options.name} needs {missing.name}", hint="install millmark[quality]") from missing
    sys.stderr.write(show(bench))
    return {"bench": options.name, **bench.answer, "passed": bench.passed}


def _bench_forda(options: argparse.Namespace) -> Bench:
    from tests.bench.quality.forda import SEEDS, load_split, run_forda  # noqa: PLC0415  each bench needs other packages

    split = load_split(options.data)
    with show_progress() as bars:
        return run_forda(split, options.kind, SEEDS[: options.seeds], bars)


def _bench_digest(options: argparse.Namespace) -> Bench:
    from tests.bench.quality.digest import build_windows, run_digest  # noqa: PLC0415  likewise

    if not options.model.is_file():
        raise InputError(f"{options.model} cannot be read: no such file", hint="check the path")
    # Refuse unusable input here, before a process for each environment fails on it.
    rows = len(build_windows(Inspector(options.model.read_bytes()), options.rows, options.inputs))
    with show_progress() as bars:
        given = options.model, rows, options.inputs
        return run_digest(*given, lambda name, done, planned: bars(name, done, planned, {}))


def _bench_speed(_options: argparse.Namespace) -> Bench:
    from tests.bench.quality.speed import run_speed  # noqa: PLC0415  likewise

    return run_speed()


def _bench_process(options: argparse.Namespace) -> Bench:
    let_idle_threads_sleep()
    from tests.bench.quality.process import run_process  # noqa: PLC0415  likewise

    return run_process(options.runs)


def _bench_trees(options: argparse.Namespace) -> Bench:
    from tests.bench.quality.trees import SEEDS, run_trees  # noqa: PLC0415  likewise

    name = options.name
    if options.data is None:
        raise InputError(f"bench {name} needs its data", hint="pass the folder with --data")
    with show_progress() as bars:
        given = name, options.data, SEEDS[: options.seeds]
        return run_trees(*given, lambda done, planned: bars(name, done, planned, {}))
