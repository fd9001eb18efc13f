"""`python -m quality bench NAME`: one table a name, as text on stderr and as JSON on stdout."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from quality.benches.tables import Bench, show
from quality.commands.options import Answer, Parser, add_examples, positive
from quality.errors import InputError
from quality.inspection import Inspector
from quality.watch import show_bars

__all__ = ["add_options"]

_EXAMPLES = """  python -m quality bench forda
  python -m quality bench steel --data uci/steel_plates
  python -m quality bench digest --model model/model.bin --inputs X.npy
  python -m quality bench speed"""
_MODEL = Path(__file__).parents[1] / "models" / "forda.bin"


def add_options(parser: Parser) -> None:
    """Options of the command, and what it runs."""
    add_examples(parser, _EXAMPLES)
    parser.add_argument("name", choices=["ai4i", "digest", "forda", "speed", "steel"])
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the public data (forda: fetched if absent)")
    parser.add_argument("--seeds", type=positive, default=5, metavar="N", help="the first N of five seeds (default 5)")
    parser.add_argument("--kind", choices=["mlp", "cnn", "rocket"], default="rocket", help="of forda (default rocket)")
    parser.add_argument("--model", type=Path, default=_MODEL, metavar="FILE", help="of digest (default: the FordA CNN)")
    parser.add_argument("--inputs", type=Path, metavar="FILE", help="windows of digest (default: random ones)")
    parser.add_argument("--rows", type=positive, default=512, metavar="N", help="most windows of digest (default 512)")
    parser.set_defaults(command=_bench)


def _bench(options: argparse.Namespace) -> Answer:
    if options.name in ("ai4i", "steel"):
        return _bench_table(options)
    if options.name == "forda":
        bench = _bench_forda(options)
    elif options.name == "digest":
        bench = _bench_digest(options)
    else:
        bench = _bench_speed()
    sys.stderr.write(show(bench))
    return {"bench": options.name, **bench.answer, "passed": bench.passed}


def _bench_forda(options: argparse.Namespace) -> Bench:
    from quality.benches.forda import SEEDS, load_split, run_forda  # noqa: PLC0415  each bench needs other packages

    split = load_split(options.data)
    with show_bars() as bars:
        return run_forda(split, options.kind, SEEDS[: options.seeds], bars)


def _bench_digest(options: argparse.Namespace) -> Bench:
    from quality.benches.digest import build_windows, run_digest  # noqa: PLC0415  likewise

    if not options.model.is_file():
        raise InputError(f"{options.model} cannot be read: no such file", mend="check the path")
    # What is unusable is refused here, and not by a process of its own.
    rows = len(build_windows(Inspector(options.model.read_bytes()), options.rows, options.inputs))
    with show_bars() as bars:
        given = options.model, rows, options.inputs
        return run_digest(*given, lambda name, done, planned: bars(name, done, planned, {}))


def _bench_speed() -> Bench:
    try:
        from quality.benches.speed import run_speed  # noqa: PLC0415  likewise
    except ModuleNotFoundError as missing:
        raise InputError(f"bench speed needs {missing.name}", mend="install millmark[quality]") from missing
    return run_speed()


def _bench_table(options: argparse.Namespace) -> Answer:
    """Trees on a table, with a grid of their own."""
    try:
        from rich.console import Console  # noqa: PLC0415  likewise

        from quality.bench_tables import SEEDS, run  # noqa: PLC0415  likewise
        from quality.bench_tables import show as show_grid  # noqa: PLC0415  likewise
    except ModuleNotFoundError as missing:
        raise InputError(f"bench {options.name} needs {missing.name}", mend="install millmark[quality]") from missing
    if options.data is None:
        raise InputError(f"bench {options.name} needs its data", mend="give the folder with --data")
    with show_bars() as bars:
        seeds = SEEDS[: options.seeds]
        answer = run(options.name, options.data, seeds, lambda done, planned: bars(options.name, done, planned, {}))
    show_grid(answer, Console(stderr=True))
    return asdict(answer)
