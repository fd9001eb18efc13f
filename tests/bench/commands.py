"""The benchmarks of `scripts/bench NAME`, with their options."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from rich.console import Console
from rich.progress import Progress

from millmark.ledger.errors import InputError
from millmark.services.output import AsJson, json_format, print_document, print_table, warn

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Benchmarks, run on this machine.")
FirstSeed: TypeAlias = Annotated[int, typer.Option(min=0, max=1_000_000, help="The first seed.")]
Seeds: TypeAlias = Annotated[int, typer.Option(min=1, max=1000, help="How many instances of each size.")]
Sizes: TypeAlias = Annotated[str, typer.Option(help="Numbers of orders, with commas between.")]
CpuSeconds: TypeAlias = Annotated[float, typer.Option(min=0.05, max=3600, help="CPU seconds on either side.")]


def _show(context: typer.Context, found: Mapping[str, object], as_json: bool, passed: bool = True) -> None:
    """Prints what was found as JSON, or as a table for each of its lists. Exits with 1 if a bar is missed."""
    if as_json:
        print_document({"format": json_format(["bench", str(context.info_name)]), **found})
    else:
        single: list[tuple[str, object]] = []
        for name, value in found.items():
            rows = _rows_of(value)
            if rows:
                columns = list(dict.fromkeys(key for row in rows for key in row))
                print_table(name, columns, [[_short(row.get(key, "-")) for key in columns] for row in rows])
            else:
                single.append((name, value))
        if single:
            print_table(str(context.info_name), ["figure", "value"], [[name, str(value)] for name, value in single])
    if not passed:
        raise typer.Exit(1)


def _rows_of(value: object) -> list[Mapping[str, object]]:
    if isinstance(value, Mapping):
        return [{"": name, **row} for name, row in value.items() if isinstance(row, Mapping)]
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def _short(value: object) -> object:
    return f"{value:.4g}" if isinstance(value, float) else value


@app.command()
def idle(
    context: typer.Context,
    seconds: Annotated[int, typer.Option(min=1, max=86_400, help="How long to look at them.")] = 600,
    as_json: AsJson = False,
) -> None:
    """Measure processor time and memory of gateways and a node while nothing happens.

    Exits with 1 if a bar is missed.
    """
    from tests.bench.idle import measure_idle  # noqa: PLC0415 - what a benchmark needs is loaded for it alone

    with tempfile.TemporaryDirectory() as folder:
        found = measure_idle(Path(folder), seconds)
    _show(context, {"idle": found}, as_json, passed=all(one["passed"] for one in found))


@app.command()
def gas(context: typer.Context, as_json: AsJson = False) -> None:
    """Measure gas per record of every kind, with 50 of a kind in one transaction, on the embedded chain.

    The figures are exact and reproducible.
    """
    from tests.bench.gas import measure_gas  # noqa: PLC0415 - what a benchmark needs is loaded for it alone

    found = measure_gas()
    kinds = {kind: {"records": count, "gas": gas // count} for kind, (count, gas) in found.items()}
    _show(context, {"kinds": kinds}, as_json)


@app.command()
def network(
    context: typer.Context,
    seconds: Annotated[float, typer.Option(min=1, help="Seconds of each side, over all turns.")] = 30,
    rounds: Annotated[int, typer.Option(min=1, help="Number of turns of each side.")] = 2,
    node: Annotated[Path | None, typer.Option(help="Node program; by default the first one on the PATH.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare the submitter with transactions signed beforehand, for one key on a network of validators.

    Starts five signers of Clique with geth, or four validators with a QBFT program. Exit code 1 if it writes less than
    35 % of the records a second, or the index falls more than 2 blocks behind what is final.
    """
    from millmark.services.network import find_program, identify_program  # noqa: PLC0415 - as above
    from tests.bench.network import measure_network  # noqa: PLC0415 - as above

    found = measure_network(identify_program(node) if node else find_program(), seconds, rounds, warn)
    _show(context, found.to_json(), as_json, found.is_enough)


@app.command()
def executions(
    context: typer.Context,
    inputs: Annotated[int, typer.Option(min=10, max=100_000, help="Number of random inputs per network.")] = 10_000,
    seed: Annotated[int, typer.Option(help="The same seed generates the same networks and inputs.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Compare the contract's verdicts with those of the evaluators in numpy, Python and Torch.

    Runs on anvil if it is installed, otherwise on a devchain, which takes about 30 ms per input. Exit code 1 if any
    verdict differs.
    """
    from tests.bench.inferences import compare_executions  # noqa: PLC0415 - as above
    from tests.faults.chains import running_chain  # noqa: PLC0415 - as above

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as bars:
        bar = bars.add_task("executions", total=None)
        tell = lambda name, done: bars.update(bar, description=name, completed=done, total=inputs)  # noqa: E731 - short
        with tempfile.TemporaryDirectory() as folder, running_chain(Path(folder)) as chain:
            found = compare_executions(inputs, seed, tell, chain.transport)
    networks = [{"network": agreement.name, **asdict(agreement)} for agreement in found]
    _show(context, {"networks": networks}, as_json, not any(agreement.differing for agreement in found))


@app.command()
def bundle(
    context: typer.Context,
    leaves: Annotated[
        int, typer.Option(help="Number N of received lots in the part, which has 2 N - 2 ancestors.")
    ] = 26,
    rounds: Annotated[int, typer.Option(help="How often each lot goes to another factory and back.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Measure the size of a part's bundle, and the time to build and verify it, in milliseconds."""
    from tests.bench.bundle import measure_bundle  # noqa: PLC0415 - as above

    _show(context, measure_bundle(leaves, rounds).to_json(), as_json)


@app.command()
def gateway(
    context: typer.Context,
    ancestors: Annotated[int, typer.Option(help="Number of ancestors of the traced part.")] = 50,
    rate: Annotated[
        int, typer.Option(min=1, max=2000, help="Requests per second, sent whether or not responses arrive.")
    ] = 100,
    seconds: Annotated[float, typer.Option(min=1, max=600, help="Duration of each round in seconds.")] = 10.0,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Number of rounds; results vary with other load.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Measure the latency of traces at a real gateway under a steady rate of requests, in milliseconds."""
    from tests.bench.gateway import measure_gateway  # noqa: PLC0415 - as above

    found = measure_gateway(ancestors, rate, seconds, rounds)
    _show(context, {"rounds": [times.to_json() for times in found]}, as_json)


@app.command()
def api(
    context: typer.Context,
    cases: Annotated[int, typer.Option(min=200, help="Minimum number of requests.")] = 10_000,
    seed: Annotated[int, typer.Option(help="The same seed generates the same requests.")] = 1,
    postgresql: Annotated[
        bool, typer.Option("--postgresql", help="On a new PostgreSQL cluster instead of SQLite; needs initdb.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fuzz the API of a real gateway on a real chain with valid and invalid requests from its OpenAPI document.

    Exit code 1 if a response is a 5xx or violates the document.
    """
    from tests.bench.api import measure_api  # noqa: PLC0415 - as above

    found = measure_api(cases, seed, postgresql=postgresql)
    _show(context, found.to_json(), as_json, not found.server_errors and not found.failures)


@app.command()
def dictionary(
    context: typer.Context,
    guesses: Annotated[
        int, typer.Option(min=1, max=1_000_000_000, help="Number of guesses; true values come first.")
    ] = 1_000_000,
    orders: Annotated[int, typer.Option(min=1, max=200, help="Number of orders on the attacked ledger.")] = 6,
    as_json: AsJson = False,
) -> None:
    """Run a dictionary attack on all published hashes of a new ledger, and on the same ledger without salts.

    Exit code 1 unless no hash of the former and every hash of the latter is found.
    """
    from tests.bench.dictionary import measure_dictionary  # noqa: PLC0415 - as above

    found, tried = measure_dictionary(guesses, orders)
    held = not any(one.hits for one in found) and all(one.control_hits == one.control for one in found)
    hashes = {one.name: one.to_json() for one in found}
    _show(context, {"guesses": tried, "held": held, "hashes": hashes}, as_json, held)


@app.command()
def names(
    context: typer.Context,
    requests: Annotated[int, typer.Option(min=20, max=10_000, help="Number of requests for each kind of name.")] = 400,
    seed: Annotated[int, typer.Option(help="The same seed asks for the same names.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Measure whether a gateway's response times tell that a name is known there which the caller must not see.

    Exit code 1 if they do: if the area under the ROC curve is above 0.55.
    """
    from tests.bench.names import MAX_AUC, measure_names  # noqa: PLC0415 - as above

    found = measure_names(requests, seed)
    paths = [one.to_json() for one in found]
    _show(context, {"paths": paths}, as_json, all(one.auc <= MAX_AUC for one in found))


@app.command()
def planning(
    context: typer.Context,
    orders: Sizes = "8,24,60",
    seeds: Seeds = 20,
    first_seed: FirstSeed = 0,
    cpu_seconds: CpuSeconds = 30.0,
    as_json: AsJson = False,
) -> None:
    """Compare plans with those of CP-SAT alone at equal CPU seconds, and with list rules; time the check.

    Instances are drawn from seeds, from --first-seed on: a long run can be cut into pieces. Takes the CPU seconds twice
    for each.
    """
    from tests.bench.planning import compare_plans, summarise  # noqa: PLC0415 - as above

    found = list(compare_plans(_parse_sizes(orders), range(first_seed, first_seed + seeds), cpu_seconds))
    summaries = [one.to_json() for one in summarise(found)]
    _show(context, {"instances": [asdict(one) for one in found], "summaries": summaries}, as_json)


@app.command()
def loop(
    context: typer.Context,
    weeks: Annotated[int, typer.Option(min=1, max=10_000, help="Weeks to simulate.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="First seed: the fate of the machines.")] = 0,
    seeds: Seeds = 1,
    orders: Annotated[int, typer.Option(min=1, max=100, help="Orders a week, of three operations each.")] = 16,
    cpu_seconds: Annotated[float, typer.Option(min=0.05, max=60, help="Counted work of a plan, about seconds.")] = 0.3,
    as_json: AsJson = False,
) -> None:
    """Simulate a plant whose machines drift, with feedback and without: cost, rejects and lateness over the weeks.

    Both sides have the same orders, drift, failures and parts, and plans by local search. Fails unless each sum is
    lower with feedback, and no ten weeks in a row are more than 5 % worse.
    """
    from tests.bench.loop import compare_loops  # noqa: PLC0415 - as above

    found = list(compare_loops(weeks, range(seed, seed + seeds), orders, cpu_seconds))
    shown = {f"seed {one.seed}": one.figures() for one in found}
    members = {"seeds": [one.to_json() for one in found]} if as_json else shown
    _show(context, members, as_json, all(one.holds() for one in found))


def _parse_sizes(text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if not sizes or not all(1 <= size <= 1000 for size in sizes):
        raise InputError(f"--orders {text!r} is not a list of numbers from 1 to 1000", hint="write 8,24,60")
    return sizes
