"""The demo from end to end, and its result."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ledger.errors import InputError
from ledger.ids import parse_digital_link
from ledger.index import Follower
from ledger.products import Product
from ledger.provenance import Trace, trace_lot
from ledger.records import Contract, Verdict
from ledger.store import Store
from quality import Inspector, to_fixed
from quality.data import Table, load_table
from quality.forda import load_ford_a
from quality.labels import find_defects
from services.devchain import JournaledChain
from services.inspections.statements import to_ledger_verdict
from services.interop.digital_link import build_part_link
from services.lab.demo.consortium import VALIDATORS, Consortium, found_consortium
from services.lab.demo.delivery import deliver_parts
from services.lab.demo.demand import Demand, forecast_demand
from services.lab.demo.drifting import watch_machine
from services.lab.demo.existing import ExistingChain
from services.lab.demo.factories import build_factories
from services.lab.demo.figures import Planned, sum_up
from services.lab.demo.given import Given, read_given
from services.lab.demo.home import JOURNAL, clear_home, database_of, write_home
from services.lab.demo.inspection import inspect_parts, sample_components
from services.lab.demo.life.companies import found_in_life
from services.lab.demo.life.finish import fetch_passport, follow_to_the_end, keep_chain
from services.lab.demo.life.node import start_node
from services.lab.demo.planning import Planning, call_for_offers, choose_offers
from services.lab.demo.plant import InspectorNode, Plant, build_plant
from services.lab.demo.production import Interruption, Job, Line, make_parts, place_orders, rework_parts
from services.lab.demo.proof import Proof, prove_part
from services.lab.demo.replanning import Failure
from services.lab.demo.troubles import go_on_without_coordinator, send_back
from services.settings import read_settings
from services.store import open_store

__all__ = ["DemoResult", "run_demo", "run_in_life"]

T = TypeVar("T")
SYMPTOM_EVERY = 6
"""Every sixth window has the symptom: more than on a real line, so that a few orders suffice to show both verdicts."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The content of the summary and of the JSON file."""

    home: Path
    """Of the buyer."""
    orders: int
    product: Product
    """What was ordered."""
    prices: tuple[int, int]
    """Lowest and highest price of an order, in the unit of the product's currency."""
    routes: Counter[tuple[str, ...]]
    """Number of orders by the names of their operations."""
    planned: Planned
    demand: Demand
    """Forecasts, on a ledger of its own."""
    delivered: int
    records: Counter[str]
    """Number of records by kind, on both contracts."""
    verdicts: Counter[str]
    """Number of certificates by verdict."""
    agreeing: int
    """Number of final verdicts that agree with the window's label."""
    accuracy: float
    """Accuracy of the model over all labelled windows, measured in this run."""
    windows: int
    gas: dict[str, tuple[int, int]]
    """Number of records and total gas, by kind."""
    chain_sequences: dict[str, int]
    index_sequences: dict[str, int]
    digest: bytes
    model: int
    trace: Trace
    """Trace of one delivered part, preferably a reworked one; of the first part if none was delivered."""
    proof: Proof
    """Proof of the same part."""
    code: str
    """The link for the code on that part."""
    events: list[str]
    """What else was recorded, a sentence each."""
    seconds: dict[str, float]
    """Wall time by step."""


def run_in_life(
    folder: Path,
    orders: int,
    data: Path | None,
    say: Callable[[str], None],
    product: Product,
    existing: ExistingChain | None = None,
) -> DemoResult:
    """Runs the demo with a home, a database and a gateway of its own for each company, under `folder`.

    Raises QualityError if the measured data cannot be loaded, InputError for a product that the demo's factories cannot
    make, SettingsError for a folder with other files, and all errors of recording.
    """
    clock = _Clock(say)
    build_factories(product)  # before an earlier demo is deleted
    given = read_given(data, product)
    table = _load(given.windows, clock)
    demand = clock("forecasting demand, on a ledger of its own", lambda: forecast_demand(product))
    with ExitStack() as stack:
        life = clock(
            "deploying the contracts, and having eight companies join",
            lambda: stack.enter_context(found_in_life(folder, say, existing)),
        )
        line, planning = _produce(
            life.consortium, orders, given, table, clock, product, partial(start_node, stack, life)
        )
        _tell_of_node(line)
        delivered = clock("waiting for the last hand-overs", life.await_handovers)
        say(f"  {delivered} hand-overs from gateway to gateway")
        clock("indexing", lambda: follow_to_the_end(life))
        accuracy = clock("measuring the model on every window", lambda: _accuracy(line.plant.inspector, table))
        part, home = _choose(line), life.buyer_home.folder
        code = _code(part, home)
        size = clock(
            "switching off the node and all gateways but the buyer's, and opening the passport there",
            lambda: fetch_passport(life, code),
        )
        say(f"  {size:,} bytes")
        store = life.consortium.buyer.store
        proof = clock("proving one part, and tampering with the proof", lambda: _prove(store, line, part, home))
        keep_chain(life)
        line.events.append(
            f"{delivered} hand-overs: names, salts, documents and evidence, encrypted, from gateway to gateway"
        )
        return _result(store, line, planning, demand, table, accuracy, part, proof, home, clock.seconds)


def run_demo(
    home: Path,
    orders: int,
    data: Path | None,
    say: Callable[[str], None],
    product: Product,
    existing: ExistingChain | None = None,
) -> DemoResult:
    """Runs the demo in this process, with one database for all companies, on a new embedded chain or an `existing` one;
    writes everything that a gateway needs to `home`.

    Raises QualityError if the measured data cannot be loaded, InputError for a product that the demo's factories cannot
    make, and all errors of recording.
    """
    clock = _Clock(say)
    build_factories(product)  # before an earlier demo is deleted
    given = read_given(data, product)
    table = _load(given.windows, clock)
    demand = clock("forecasting demand, on a ledger of its own", lambda: forecast_demand(product))
    clear_home(home)
    with ExitStack() as stack:
        store = stack.enter_context(open_store(database_of(home)))
        transport = None if existing else stack.enter_context(closing(JournaledChain(home / JOURNAL, VALIDATORS)))
        consortium = clock(
            "deploying the contracts and admitting eight companies",
            lambda: found_consortium(store, transport, existing=existing),
        )
        line, planning = _produce(consortium, orders, given, table, clock, product)
        progress = clock("indexing", lambda: Follower(line.consortium.chain, store).follow())
        say(f"  {progress.records} records indexed")
        accuracy = clock("measuring the model on every window", lambda: _accuracy(line.plant.inspector, table))
        write_home(home, line, existing)
        part = _choose(line)
        proof = clock("proving one part, and tampering with the proof", lambda: _prove(store, line, part, home))
        return _result(store, line, planning, demand, table, accuracy, part, proof, home, clock.seconds)


class _Clock:
    """Announces each step and measures its duration."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.seconds: dict[str, float] = {}

    def __call__(self, step: str, work: Callable[[], T]) -> T:
        self._say(f"{step} ...")
        start = time.monotonic()
        result = work()
        self.seconds[step] = time.monotonic() - start
        return result


def _load(data: Path | None, clock: _Clock) -> Table:
    table = clock("reading the measured signals", lambda: load_ford_a().test if data is None else load_table(data))
    _check_table(table)  # before an earlier demo is deleted
    return table


def _check_table(table: Table) -> None:
    """Checks that the model can read the windows and that both labels occur. Raises InputError, QualityError."""
    width = Inspector(_model_bytes()).model.width
    if table.values.shape[1] != width:
        raise InputError(f"each window has {table.values.shape[1]} values", hint=f"give windows of {width} values")
    find_defects(table.labels)


def _model_bytes() -> bytes:
    return (resources.files("quality") / "models" / "forda.bin").read_bytes()


def _produce(
    consortium: Consortium,
    orders: int,
    given: Given,
    table: Table,
    clock: _Clock,
    product: Product,
    start: Callable[[Plant], InspectorNode] | None = None,
) -> tuple[Line, Planning]:
    """`start`: starts the inspector's node; without it this process inspects."""
    now = int(time.time())
    plant = _equip(consortium, clock, product, start)
    orders = len(given.orders) or orders
    line = clock(
        f"placing {orders} personalised orders", lambda: place_orders(consortium, plant, orders, now, given.orders)
    )
    planning = clock("calling for offers, and offering", lambda: call_for_offers(line, given.calendars))
    clock("inspecting the components by a sample", lambda: sample_components(line, now))
    clock("planning on their offers, and agreeing to every operation", lambda: choose_offers(planning))
    drifting = clock("watching a machine", lambda: watch_machine(planning))
    happening: list[Interruption] = [Failure(planning)]
    if drifting is not None:
        happening.append(drifting)
    clock("making in three factories, where a machine fails and another drifts", lambda: make_parts(line, happening))
    windows = to_fixed(table.values, plant.inspector.model.decimals)
    spoiled = None if drifting is None else {job.index for job in drifting.spoiled}
    rows = _pick(table, orders, spoiled)
    by = "" if plant.node is None else ": the inspector's node does both"
    clock(f"inspecting and certifying{by}", lambda: inspect_parts(line, line.jobs, windows[rows].tolist(), now))
    for job, row in zip(line.jobs, rows, strict=True):
        job.window = int(row)
    clock("reworking half of what failed", lambda: _rework(line, table, windows, now))
    if drifting is not None:
        clock("looking at what the verdicts say of the machine", drifting.finish)
    again = _failing(plant.inspector, table, windows)
    look = None if again is None else partial(send_back, line, row=again, window=windows[again].tolist(), now=now)
    close_one = partial(go_on_without_coordinator, line)
    clock("delivering through the orders' gates", lambda: deliver_parts(line, look, close_one))
    consortium.settle()
    return line, planning


def _equip(
    consortium: Consortium, clock: _Clock, product: Product, start: Callable[[Plant], InspectorNode] | None
) -> Plant:
    model = _model_bytes()
    card = (resources.files("quality") / "models" / "forda.json").read_text()
    plant: Plant = clock(
        "registering machines, streams and the quality model", lambda: build_plant(consortium, model, card, product)
    )
    if start is not None:
        plant.node = clock("giving the inspector's node a key, and starting it", partial(start, plant))
    return plant


def _tell_of_node(line: Line) -> None:
    """Adds what the inspector's node recorded and did."""
    if line.plant.node is not None:
        made, told = line.plant.node.sum_up()
        line.consortium.recorded.update(made)
        line.events.append(told)


def _pick(table: Table, count: int, spoiled: Collection[int] | None) -> NDArray[np.intp]:
    """Rows of the windows used for the parts, in the order of the data: with the symptom for what was spoiled, or for
    every sixth."""
    symptom = find_defects(table.labels)
    bad, good = np.flatnonzero(symptom), np.flatnonzero(~symptom)
    index = np.arange(count)
    every = index % SYMPTOM_EVERY == SYMPTOM_EVERY - 1
    with_symptom = every if spoiled is None else np.isin(index, sorted(spoiled))
    number = np.cumsum(with_symptom) - 1
    return np.where(with_symptom, bad[number % len(bad)], good[index % len(good)])


def _rework(line: Line, table: Table, windows: NDArray[np.int64], now: int) -> None:
    """Reworks every second failed part and inspects it again; the others stay in quarantine."""
    failed: list[Job] = [job for job in line.jobs if job.verdict is Verdict.FAIL][::2]
    if not failed:
        return
    rework_parts(line, failed)
    good = np.flatnonzero(~find_defects(table.labels))
    rows = [int(good[-1 - index % len(good)]) for index in range(len(failed))]
    inspect_parts(line, failed, windows[rows].tolist(), now)
    for job, row in zip(failed, rows, strict=True):
        job.window = row


def _failing(inspector: Inspector, table: Table, windows: NDArray[np.int64]) -> int | None:
    """The last row with the symptom, if the model fails it."""
    row = int(np.flatnonzero(find_defects(table.labels))[-1])
    verdict = to_ledger_verdict(inspector.inspect_all(windows[row : row + 1])[0].verdict)
    return row if verdict is Verdict.FAIL else None


def _accuracy(inspector: Inspector, table: Table) -> float:
    """Share of all windows for which the verdict agrees with the label."""
    inferences = inspector.inspect_all(to_fixed(table.values, inspector.model.decimals))
    failed = np.array([to_ledger_verdict(inference.verdict) is Verdict.FAIL for inference in inferences])
    return float((failed == find_defects(table.labels)).mean())


def _choose(line: Line) -> Job:
    """The part to show: preferably one that failed, was reworked, passed and was delivered."""
    return max(line.jobs, key=lambda job: (job.delivered, job.reworked))


def _prove(store: Store, line: Line, part: Job, home: Path) -> Proof:
    names = {company.number: company.name for company in line.consortium.companies}
    return prove_part(store, line.consortium.chain, part.lot, names, home)


def _result(
    store: Store,
    line: Line,
    planning: Planning,
    demand: Demand,
    table: Table,
    accuracy: float,
    part: Job,
    proof: Proof,
    home: Path,
    seconds: dict[str, float],
) -> DemoResult:
    consortium = line.consortium
    symptom = find_defects(table.labels)
    found = trace_lot(store, part.lot)
    certificates = line.certificates
    return DemoResult(
        home=home,
        orders=len(line.jobs),
        product=line.plant.product,
        prices=(min(job.made.price for job in line.jobs), max(job.made.price for job in line.jobs)),
        routes=Counter(tuple(one.name for one in job.made.operations) for job in line.jobs),
        planned=sum_up(planning),
        demand=demand,
        delivered=sum(job.delivered for job in line.jobs),
        records=consortium.recorded,
        verdicts=Counter(verdict.name.lower() for verdict in certificates),
        agreeing=sum((job.verdict is Verdict.FAIL) == bool(symptom[job.window]) for job in line.jobs),
        accuracy=accuracy,
        windows=len(table.labels),
        gas=consortium.gas_by_kind(),
        chain_sequences={contract.value: consortium.chain.sequence(contract) for contract in Contract},
        index_sequences={
            Contract.REGISTRY.value: found.as_of.registry_sequence,
            Contract.LEDGER.value: found.as_of.ledger_sequence,
        },
        digest=found.as_of.digest,
        model=line.plant.model,
        trace=found,
        proof=proof,
        code=_code(part, home),
        events=line.events,
        seconds=seconds,
    )


def _code(part: Job, home: Path) -> str:
    assert part.part is not None  # noqa: S101  # every job was assembled
    return build_part_link(
        parse_digital_link(part.part.identifier), part.part.salt, base_url=read_settings(home).origin
    )
