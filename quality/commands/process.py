"""`python -m millmark.quality process DO`: train a model of production state, simulate with it, propose setpoints."""

from __future__ import annotations

import argparse
import csv
import io
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from millmark.quality.commands.options import (
    Answer,
    Parser,
    add_examples,
    let_idle_threads_sleep,
    make_folder,
    natural,
    positive,
    write,
)
from millmark.quality.errors import InputError, ModelError
from millmark.quality.model import MAX_MODEL_BYTES
from millmark.quality.process import MachineState, ProcessModel, Proposal, arrays, parse_process_model, propose_setpoint
from millmark.quality.process.proposals import parse_terms
from millmark.quality.process.records import build_process_model, process_digest
from millmark.quality.process.telemetry import Layout, Telemetry, load_telemetry, read_as, run_line

_EXAMPLES = """  python -m millmark.quality process example --out line
  python -m millmark.quality process train --inputs line/moulder.csv --step 60 --states temperature,pressure,speed \\
    --energy energy --setpoints temperature_set,pressure_set,speed_set --backlog backlog --eta eta --e e \\
    --capacity 12 --horizon 20 --out moulder
  python -m millmark.quality process simulate --model moulder/model.bin --inputs line/moulder.csv --rows 20
  python -m millmark.quality process propose --model moulder/model.bin --inputs line/moulder.csv \\
    --terms line/terms.toml"""
_TERMS = """[prices]
rate_per_hour = 6000
price_per_kwh = 31
co2e_mg_per_wh = 380
carbon_price_per_kg = 10
tardiness_per_unit_hour = 20
price_per_unit = 25
[horizon]
arrivals = 8
[setpoint.temperature_set]
low = 192
high = 222
rate = 8
[setpoint.pressure_set]
low = 66
high = 94
rate = 6
[setpoint.speed_set]
low = 21
high = 45
rate = 5
[limit.temperature]
low = 192
high = 224
"""


def add_options(parser: Parser) -> None:
    """Add the command's options and its functions to a parser."""
    add_examples(parser, _EXAMPLES)
    doing = parser.add_subparsers(required=True, metavar="DO")
    example = doing.add_parser(
        "example", help="write telemetry of two machines in line, and a file of bounds and prices"
    )
    example.add_argument("--out", type=Path, required=True, metavar="DIR")
    example.add_argument("--minutes", type=positive, default=3000, metavar="N", help="rows (default 3000)")
    example.add_argument("--seed", type=natural, default=0)
    example.set_defaults(command=_write_example)
    _add_train(doing.add_parser("train", help="train a model and write it with its card"))
    simulate = doing.add_parser("simulate", help="predict the last rows of telemetry from those before")
    _add_model(simulate)
    simulate.add_argument("--rows", type=positive, default=60, metavar="N", help="rows to predict (default 60)")
    simulate.set_defaults(command=_simulate)
    propose = doing.add_parser("propose", help="propose setpoints for the state at the end of telemetry")
    _add_model(propose)
    propose.add_argument(
        "--terms", type=Path, required=True, metavar="FILE", help="TOML with prices, bounds and limits"
    )
    propose.add_argument("--overhauled-at", type=natural, metavar="TIME", help="Unix time of the last overhaul")
    propose.set_defaults(command=_propose)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, metavar="FILE", help="model.bin")
    parser.add_argument("--inputs", type=Path, required=True, metavar="FILE", help="CSV with the column time")


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--inputs", type=Path, nargs="+", required=True, metavar="FILE", help="CSV with the column time"
    )
    parser.add_argument("--step", type=positive, required=True, metavar="S", help="seconds from a row to the next")
    parser.add_argument(
        "--states", type=_names, required=True, metavar="NAMES", help="measured columns, comma-separated"
    )
    parser.add_argument("--setpoints", type=_names, default=(), metavar="NAMES")
    parser.add_argument("--given", type=_names, default=(), metavar="NAMES", help="columns that are known in advance")
    parser.add_argument("--energy", default="", metavar="NAME", help="Wh of the step that ends at a row")
    parser.add_argument("--backlog", default="", metavar="NAME", help="with --eta, --e and --capacity")
    parser.add_argument("--eta", default="", metavar="NAME", help="measured availability, 0..1")
    parser.add_argument("--e", default="", metavar="NAME", help="measured effectiveness x quality, 0..1")
    parser.add_argument("--capacity", type=float, default=0.0, metavar="N", help="units per row at eta = e = 1")
    parser.add_argument("--horizon", type=positive, default=60, metavar="N", help="rows ahead that count (default 60)")
    parser.add_argument("--rounds", type=positive, default=600, metavar="N", help="training rounds (default 600)")
    parser.add_argument("--hidden", type=positive, default=32, metavar="N", help="hidden units (default 32)")
    parser.add_argument("--history", type=positive, default=8, metavar="N", help="rows that it starts from (default 8)")
    parser.add_argument(
        "--folds",
        type=positive,
        default=1,
        metavar="N",
        help="hold out each N-th of the runs in turn (default: the last)",
    )
    parser.add_argument("--seed", type=natural, default=0)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for model.bin and card.json")
    parser.set_defaults(command=_train)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip().lower() for part in text.split(",") if part.strip())


def _write_example(options: argparse.Namespace) -> Answer:
    make_folder(options.out)
    names = ("moulder", "press")
    for name, telemetry in zip(names, run_line(options.minutes, options.seed), strict=True):
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(("time", *telemetry.names))
        for at, row in zip(telemetry.times.tolist(), telemetry.values.tolist(), strict=True):
            table.writerow((at, *(f"{value:.4f}" for value in row)))
        write(options.out / f"{name}.csv", text.getvalue().encode())
    write(options.out / "terms.toml", _TERMS.encode())
    return {"files": [str(options.out / name) for name in ("moulder.csv", "press.csv", "terms.toml")]}


def _train(options: argparse.Namespace) -> Answer:
    let_idle_threads_sleep()
    try:
        from millmark.quality.process import training  # noqa: PLC0415  the other commands need no torch
    except ModuleNotFoundError as missing:
        raise InputError(f"train needs {missing.name}", hint="install millmark[quality]") from missing

    layout = Layout(
        options.states,
        options.setpoints,
        options.given,
        options.energy.lower(),
        options.backlog.lower(),
        options.eta.lower(),
        options.e.lower(),
        options.capacity,
    )
    telemetry = load_telemetry(options.inputs, options.step)
    make_folder(options.out)
    recipe = training.Recipe(options.horizon, options.history, options.hidden, options.rounds, folds=options.folds)
    trained = training.train_process(telemetry, layout, recipe, options.seed)
    card = training.build_process_card(trained, telemetry, layout, options.inputs[0].name)
    write(options.out / "model.bin", build_process_model(trained.model))
    write(options.out / "card.json", card)
    files = {"model_file": str(options.out / "model.bin"), "card_file": str(options.out / "card.json")}
    return {**files, **json.loads(card)}


def _load(options: argparse.Namespace) -> tuple[ProcessModel, Telemetry]:
    try:
        # Not more than one byte beyond what is allowed: a wrong path may be a very large file.
        with options.model.open("rb") as file:
            model = parse_process_model(file.read(MAX_MODEL_BYTES + 1))
    except OSError as error:
        raise InputError(f"{options.model} cannot be read: {error.strerror}", hint="check the path") from error
    return model, load_telemetry([options.inputs], model.step_s)


def _simulate(options: argparse.Namespace) -> Answer:
    model, telemetry = _load(options)
    fixed, n = read_as(model.columns, telemetry), model.predicted
    span = model.history + options.rows
    if len(fixed) < span or telemetry.run[-1] != telemetry.run[-span]:
        raise InputError(f"there are not {span} rows without a gap at the end", hint="state fewer --rows")
    latest = len(fixed) - options.rows - 1
    found = arrays.Simulator(model).roll(fixed[np.newaxis, : latest + 1], fixed[np.newaxis, latest:-1, n:])
    if found.ran_away.any():
        raise ModelError("the predicted state runs away", hint="train the model again")
    return {
        "model": process_digest(build_process_model(model)).hex(),
        "columns": [column.name for column in model.columns[:n]],
        "decimals": [column.decimals for column in model.columns[:n]],
        "predicted": found.states[0].tolist(),
        "measured": fixed[latest + 1 :, :n].tolist(),
        "eta": found.eta[0].tolist(),
        "e": found.effectiveness[0].tolist(),
        "shares_per": 65536,
    }


def _propose(options: argparse.Namespace) -> Answer:
    model, telemetry = _load(options)
    try:
        terms = parse_terms(options.terms.read_bytes(), model)
    except OSError as error:
        raise InputError(f"{options.terms} cannot be read: {error.strerror}", hint="check the path") from error
    rows = read_as(model.columns, telemetry)[telemetry.run == telemetry.run[-1]]
    state = MachineState(rows.tolist(), terms.arrivals, options.overhauled_at or terms.overhauled_at)
    answer = propose_setpoint(model, state, terms.bounds, terms.limits, terms.prices, terms.step)
    if isinstance(answer, Proposal):
        return {"proposed": True, **asdict(answer)}
    return {"proposed": False, **asdict(answer)}
