"""`millmark bench`: benchmarks, run on this machine."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from millmark.services.lab.commands.bench_loop import run_loop
from millmark.services.lab.commands.demand_bench import run_demand, run_preferences
from millmark.services.lab.commands.planning_bench import run_capacities, run_planning, run_replan
from millmark.services.options import AsJson
from millmark.services.output import print_json, print_table, warn

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Run benchmarks on this machine.")
    group.command("gas", epilog="Example: millmark bench gas --json")(run_gas)
    group.command("interpreter", epilog="Example: millmark bench interpreter --json")(run_interpreter)
    group.command("genealogy", epilog="Example: millmark bench genealogy --json")(run_genealogy)
    group.command("bundle", epilog="Example: millmark bench bundle --json")(run_bundle)
    group.command("gateway", epilog="Example: millmark bench gateway --json")(run_gateway)
    group.command("api", epilog="Example: millmark bench api --cases 10000 --json")(run_api)
    group.command("capture", epilog="Example: millmark bench capture --json")(run_capture)
    group.command("executions", epilog="Example: millmark bench executions --inputs 1000 --json")(run_executions)
    group.command("dictionary", epilog="Example: millmark bench dictionary --guesses 1000000 --json")(run_dictionary)
    group.command("epcis", epilog="Example: millmark bench epcis --json")(run_epcis)
    group.command("names", epilog="Example: millmark bench names --requests 400 --json")(run_names)
    group.command("planning", epilog="Example: millmark bench planning --orders 8,24 --seeds 3 --json")(run_planning)
    group.command("capacities", epilog="Example: millmark bench capacities --orders 8 --seeds 5")(run_capacities)
    group.command("replan", epilog="Example: millmark bench replan --orders 24 --seeds 5")(run_replan)
    group.command("loop", epilog="Example: millmark bench loop --weeks 100 --seed 3")(run_loop)
    group.command("demand", epilog="Example: millmark bench demand --set weekly --data M4")(run_demand)
    group.command("preferences", epilog="Example: millmark bench preferences --peer choice/bin/python")(run_preferences)
    group.command("process", epilog="Example: millmark bench process --runs 10 --json")(run_process)
    group.command("network", epilog="Example: millmark bench network --seconds 60 --json")(run_network)
    app.add_typer(group, name="bench")


def run_gas(context: typer.Context, as_json: AsJson = False) -> None:
    """Measure gas per record of every kind, with 50 of a kind in one transaction, on the embedded chain.

    The figures are exact and reproducible.
    """
    from millmark.services.lab.bench.gas import measure_gas  # noqa: PLC0415 - numpy is optional

    found = measure_gas()
    if as_json:
        kinds = {kind: {"records": count, "gas": gas // count} for kind, (count, gas) in found.items()}
        print_json(context, {"kinds": kinds})
        return
    print_table("gas per record", ["kind", "records", "gas"], [[kind, n, gas // n] for kind, (n, gas) in found.items()])


def run_interpreter(context: typer.Context, as_json: AsJson = False) -> None:
    """Compare the embedded chain with one on py-evm's own loop, on what `bench gas` sends: answers, blocks, CPU time.

    Takes a few minutes, most of them in py-evm's own loop. Fails if an answer or a block differs.
    """
    from millmark.services.lab.bench.interpreter import measure_interpreter  # noqa: PLC0415 - py-evm is optional

    found = measure_interpreter().to_json()
    if as_json:
        print_json(context, found)
        return
    columns = ["requests", "blocks", "CPU s", "py-evm CPU s", "ratio"]
    print_table("embedded chain, and on py-evm's own loop", columns, [list(found.values())])


def run_process(
    context: typer.Context,
    data: Annotated[
        Path | None, typer.Option(help="Folder of ai4i2020.csv; without it, tool wear is left out.")
    ] = None,
    peers: Annotated[
        Path | None, typer.Option(help="Python of an environment with tep-studio and casadi; without it, left out.")
    ] = None,
    runs: Annotated[int, typer.Option(min=1, max=1000, help="Disturbed runs of the proposed setpoints.")] = 100,
    parts: Annotated[str, typer.Option(help="Only these of tep,wear,setpoints,settling.")] = "",
    as_json: AsJson = False,
) -> None:
    """Judge models of production state on a simulated plant and on tool wear, and the setpoints that they propose.

    Beside a linear ARX, persistence, and CasADi with IPOPT. Exit code 1 if a bar is missed.
    """
    from millmark.quality.threads import let_idle_threads_sleep  # noqa: PLC0415 - quality needs numpy, which is optional

    let_idle_threads_sleep()
    from millmark.quality.benches.process import PARTS, run_process as judge  # noqa: PLC0415, I001 - needs torch

    found = judge(tuple(part for part in parts.split(",") if part) or PARTS, data, peers, runs)
    if as_json:
        print_json(context, {**found.answer, "passed": found.passed})
    else:
        print_table(found.title, list(found.heads), [list(row) for row in found.rows])
    if not found.passed:
        raise typer.Exit(1)


def run_network(
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
    from millmark.services.lab.bench.network import FIREFLY_PER_S, measure_network  # noqa: PLC0415 - py-evm is optional
    from millmark.services.network import find_program, identify_program  # noqa: PLC0415 - used here only

    found = measure_network(identify_program(node) if node else find_program(), seconds, rounds, warn)
    if as_json:
        print_json(context, found.to_json())
    else:
        columns = ["side", "records/s", "records", "CPU s", "validators' CPU s"]
        sides = (("own", found.own), ("pre-signed", found.presigned), ("FireFly, published, 4 cores", None))
        rows = [
            [name, round(side.per_s), side.records, round(side.cpu_s, 1), round(side.nodes_cpu_s, 1)]
            if side
            else [name, FIREFLY_PER_S, "", "", ""]
            for name, side in sides
        ]
        print_table(f"one key on {found.network}; bound by: {found.bound_by()}", columns, rows)
        warn(f"index: at most {found.index.most} blocks behind what is final")
    if not found.is_enough:
        raise typer.Exit(1)


def run_executions(
    context: typer.Context,
    inputs: Annotated[int, typer.Option(min=10, max=100_000, help="Number of random inputs per network.")] = 10_000,
    seed: Annotated[int, typer.Option(help="The same seed generates the same networks and inputs.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Compare the contract's verdicts with those of the evaluators in numpy, Python and Torch.

    Runs on anvil if it is installed, otherwise on a devchain, which takes about 30 ms per input. Exit code 1 if any
    verdict differs.
    """
    from millmark.services.lab.bench.executions import compare_executions  # noqa: PLC0415 - numpy is optional
    from millmark.services.lab.faults.chains import running_chain  # noqa: PLC0415 - likewise

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as bars:
        bar = bars.add_task("executions", total=None)
        tell = lambda name, done: bars.update(bar, description=name, completed=done, total=inputs)  # noqa: E731 - short
        with tempfile.TemporaryDirectory() as folder, running_chain(Path(folder)) as chain:
            found = compare_executions(inputs, seed, tell, chain.transport)
    if as_json:
        print_json(context, {"networks": [{"network": agreement.name, **asdict(agreement)} for agreement in found]})
    else:
        rows = [[one.name, one.inputs, one.invalid, one.differing, one.digest[:16]] for one in found]
        print_table("contract, numpy, Python, Torch", ["network", "inputs", "invalid", "differing", "digest"], rows)
    if any(agreement.differing for agreement in found):
        raise typer.Exit(1)


def run_genealogy(
    context: typer.Context,
    lots: Annotated[int, typer.Option(help="Number of lots of the plant.")] = 200_000,
    seed: Annotated[int, typer.Option(help="The same seed generates the same plant.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Time queries for ancestors and recalls in a large plant, beside the same queries through SQLAlchemy's ORM.

    Times are in milliseconds.
    """
    from millmark.services.lab.bench.genealogy import measure_genealogy  # noqa: PLC0415 - loads the ORM, used here only

    found = measure_genealogy(lots, seed)
    if as_json:
        questions = {timing.question: timing.to_json() for timing in found}
        print_json(context, {"lots": lots, "seed": seed, "questions": questions})
        return
    columns = ["question", "asked", "lots found", "median ms", "CPU ms", "ORM objects ms", "ORM query ms"]
    rows = [
        [t.question, t.asked, t.lots, t.median_ms, t.cpu_ms, *(t.peer_ms.get(way, "") for way in ("objects", "query"))]
        for t in found
    ]
    print_table(f"genealogy of {lots:,} lots", columns, rows)


def run_bundle(
    context: typer.Context,
    leaves: Annotated[
        int, typer.Option(help="Number N of received lots in the part, which has 2 N - 2 ancestors.")
    ] = 26,
    rounds: Annotated[int, typer.Option(help="How often each lot goes to another factory and back.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Measure the size of a part's bundle, and the time to build and verify it, in milliseconds."""
    from millmark.services.lab.bench.bundle import measure_bundle  # noqa: PLC0415 - loads an embedded chain

    found = measure_bundle(leaves, rounds)
    if as_json:
        print_json(context, found.to_json())
        return
    columns = ["ancestors", "records", "bytes", "build ms", "verify ms", "CPU ms", "least CPU ms", "JSON decode ms"]
    row = [found.ancestors, found.records, found.bytes, found.build_ms, found.verify_ms, found.verify_cpu_ms]
    print_table("provenance file of one part", columns, [[*row, found.verify_least_cpu_ms, found.decode_ms]])


def run_gateway(
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
    from millmark.services.lab.bench.gateway import measure_gateway  # noqa: PLC0415 - loads an embedded chain

    found = measure_gateway(ancestors, rate, seconds, rounds)
    if as_json:
        print_json(context, {"rounds": [times.to_json() for times in found]})
        return
    columns = ["round", "requests", "errors", "p50 ms", "p99 ms", "slowest ms", "server CPU ms", "load"]
    rows = [list(times.to_json().values()) for times in found]
    print_table(f"trace of a part with {ancestors} ancestors, {rate} requests/s", columns, rows)


def run_api(
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
    from millmark.services.lab.bench.api import measure_api  # noqa: PLC0415 - schemathesis is optional

    found = measure_api(cases, seed, postgresql=postgresql)
    if as_json:
        print_json(context, found.to_json())
    else:
        print_table(
            "the API against its document", ["figure", "value"], [[n, str(v)] for n, v in found.to_json().items()]
        )
    if found.server_errors or found.failures:
        raise typer.Exit(1)


def run_capture(
    context: typer.Context,
    events: Annotated[int, typer.Option(min=1000, help="Number of batched events per round.")] = 50_000,
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="Number of events in a batch.")] = 5000,
    rate: Annotated[int, typer.Option(min=1, max=10_000, help="Single events per second.")] = 1000,
    seconds: Annotated[float, typer.Option(min=1, max=600, help="Seconds for which single events are sent.")] = 10.0,
    http_batch: Annotated[int, typer.Option(min=1, max=1000, help="Number of events in a batch over HTTP.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Measure a node's capture: events per second in batches and with one commit per event, the latency of single
    events, and microseconds per event over HTTP, beside one FastAPI and pydantic request per event."""
    from millmark.services.lab.bench.capture import measure_ack, measure_throughput  # noqa: PLC0415 - loads the node, as above
    from millmark.services.lab.bench.capture_http import measure_http  # noqa: PLC0415 - as above

    with tempfile.TemporaryDirectory(prefix="millmark-bench-") as folder:
        first, second, third = (Path(folder) / name for name in ("log", "node", "http"))
        for one in (first, second, third):
            one.mkdir()
        throughput, ack = measure_throughput(first, events, batch), measure_ack(second, rate, seconds)
        http = measure_http(third, http_batch)
    found = {**throughput.to_json(), **{f"ack_{name}": value for name, value in ack.to_json().items()}}
    found |= {f"http_{name}": value for name, value in http.to_json().items()}
    if as_json:
        print_json(context, found)
        return
    print_table("capture", ["figure", "value"], [[name, str(value)] for name, value in found.items()])


def run_dictionary(
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
    from millmark.services.lab.bench.dictionary import measure_dictionary  # noqa: PLC0415 - loads an embedded chain

    found, tried = measure_dictionary(guesses, orders)
    held = not any(one.hits for one in found) and all(one.control_hits == one.control for one in found)
    if as_json:
        hashes = {one.name: one.to_json() for one in found}
        print_json(context, {"guesses": tried, "held": held, "hashes": hashes})
    else:
        columns = ["hashes", "published", "hit", "without salts", "hit"]
        rows = [[one.name, one.published, one.hits, one.control, one.control_hits] for one in found]
        print_table(f"{tried:,} guesses", columns, rows)
    if not held:
        raise typer.Exit(1)


def run_epcis(
    context: typer.Context,
    batch: Annotated[int, typer.Option(min=1, max=1000, help="Number of events in a batch.")] = 100,
    batches: Annotated[int, typer.Option(min=4, max=1000, help="Number of batches per round.")] = 40,
    singles: Annotated[int, typer.Option(min=50, max=10_000, help="Number of single events per round.")] = 400,
    as_json: AsJson = False,
) -> None:
    """Measure capture of EPCIS events over HTTP in batches, beside one FastAPI and pydantic request per event.

    Times are in microseconds per event.
    """
    from millmark.services.lab.bench.epcis import measure_epcis  # noqa: PLC0415 - loads the standards' schemas

    with tempfile.TemporaryDirectory(prefix="millmark-bench-") as folder:
        found = measure_epcis(Path(folder), batches, batch, singles).to_json()
    if as_json:
        print_json(context, found)
        return
    print_table("EPCIS capture, per event", ["figure", "value"], [[name, str(value)] for name, value in found.items()])


def run_names(
    context: typer.Context,
    requests: Annotated[int, typer.Option(min=20, max=10_000, help="Number of requests for each kind of name.")] = 400,
    seed: Annotated[int, typer.Option(help="The same seed asks for the same names.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Measure whether a gateway's response times tell that a name is known there which the caller must not see.

    Exit code 1 if they do: if the area under the ROC curve is above 0.55.
    """
    from millmark.services.lab.bench.names import MAX_AUC, measure_names  # noqa: PLC0415 - loads the gateway's parts

    found = measure_names(requests, seed)
    if as_json:
        print_json(context, {"paths": [one.to_json() for one in found]})
    else:
        columns = ["path", "requests", "foreign ms", "unknown ms", "AUC"]
        rows = [[one.path, one.requests, one.foreign_ms, one.unknown_ms, one.auc] for one in found]
        print_table("foreign and unknown names", columns, rows)
    if any(one.auc > MAX_AUC for one in found):
        raise typer.Exit(1)
