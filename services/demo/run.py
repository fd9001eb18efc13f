"""The demo from end to end, and its result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from millmark.ledger.index import Follower
from millmark.ledger.products import Product
from millmark.ledger.records import Verdict
from millmark.ledger.store import Store
from millmark.quality import to_fixed
from millmark.quality.data import Table
from millmark.quality.fitting import find_defects
from millmark.services.demo.consortium import VALIDATORS, Consortium, found_consortium
from millmark.services.demo.delivery import (
    deliver_parts,
    find_failing,
    inspect_parts,
    load_windows,
    measure_accuracy,
    model_bytes,
    pick_windows,
    sample_components,
    send_back,
)
from millmark.services.demo.demand import forecast_demand
from millmark.services.demo.drifting import watch_machine
from millmark.services.demo.given import ExistingChain, Given, build_factories, read_given
from millmark.services.demo.home import (
    FORECASTING,
    FORECASTS,
    JOURNAL,
    Place,
    clear_home,
    database_of,
    write_finished,
    write_home,
)
from millmark.services.demo.life import clear_homes, fetch_passport, found_in_life, leave_homes
from millmark.services.demo.node import start_node
from millmark.services.demo.planning import Failure, Planning, call_for_offers, choose_offers
from millmark.services.demo.plant import InspectorNode, Plant, build_plant
from millmark.services.demo.production import Interruption, Job, Line, make_parts, place_orders, rework_parts
from millmark.services.demo.proof import Proof, prove_part
from millmark.services.demo.report import DemoResult, build_code, build_result, choose_part
from millmark.services.devchain import JournaledChain
from millmark.services.store import open_store

T = TypeVar("T")
_PORT = 8600
"""Port of the buyer's gateway. Next to it is the chain's; another chain may be using 8545."""
_FORECASTING = "forecasting demand, on a ledger of its own"


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
    table = clock("reading the measured signals", lambda: load_windows(given.windows))
    clear_homes(folder)
    demand = clock(_FORECASTING, lambda: forecast_demand(product, folder / FORECASTS))
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
        clock("indexing", lambda: Follower(life.consortium.chain, life.consortium.buyer.store).follow())
        accuracy = clock("measuring the model on every window", lambda: measure_accuracy(line.plant.inspector, table))
        part, home = choose_part(line), life.buyer_home.folder
        code = build_code(part, home)
        size = clock(
            "switching off the node and all gateways but the buyer's, and opening the passport there",
            lambda: fetch_passport(life, code),
        )
        say(f"  {size:,} bytes")
        store = life.consortium.buyer.store
        proof = clock("proving one part, and tampering with the proof", lambda: _prove(store, line, part, home))
        places = leave_homes(life)
        line.events.append(
            f"{delivered} hand-overs: names, salts, documents and evidence, encrypted, from gateway to gateway"
        )
        result = build_result(store, line, planning, demand, table, accuracy, part, proof, home, clock.seconds)
    write_finished(folder, result.code, places)
    return result


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
    table = clock("reading the measured signals", lambda: load_windows(given.windows))
    clear_home(home)
    with ExitStack() as stack:
        # First: by its database a folder is known as a demo's, also if this run is interrupted.
        store = stack.enter_context(open_store(database_of(home)))

        def found() -> Consortium:
            transport = None if existing else stack.enter_context(closing(JournaledChain(home / JOURNAL, VALIDATORS)))
            return found_consortium(store, transport, existing=existing)

        # A network takes its time, most of it between blocks.
        founded = found if existing is None else stack.enter_context(_begun(found))
        demand = clock(_FORECASTING, lambda: forecast_demand(product, home / FORECASTS))
        consortium = clock("deploying the contracts and admitting eight companies", founded)
        line, planning = _produce(consortium, orders, given, table, clock, product)
        progress = clock("indexing", lambda: Follower(line.consortium.chain, store).follow())
        say(f"  {progress.records} records indexed")
        accuracy = clock("measuring the model on every window", lambda: measure_accuracy(line.plant.inspector, table))
        write_home(home, line.consortium, line.consortium.buyer, _PORT, existing)
        part = choose_part(line)
        proof = clock("proving one part, and tampering with the proof", lambda: _prove(store, line, part, home))
        result = build_result(store, line, planning, demand, table, accuracy, part, proof, home, clock.seconds)
    write_finished(home, result.code, (Place(".", line.consortium.buyer.name, "buyer"), FORECASTING))
    return result


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


@contextmanager
def _begun(work: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """Has some work go on beside; yields what awaits its result."""
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(work).result


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
    rows = pick_windows(table, orders, spoiled)
    by = "" if plant.node is None else ": the inspector's node does both"
    clock(f"inspecting and certifying{by}", lambda: inspect_parts(line, line.jobs, windows[rows].tolist(), now))
    for job, row in zip(line.jobs, rows, strict=True):
        job.window = int(row)
    clock("reworking half of what failed", lambda: _rework(line, table, windows, now))
    if drifting is not None:
        clock("looking at what the verdicts say of the machine", drifting.finish)
    again = find_failing(plant.inspector, table, windows)
    look = None if again is None else partial(send_back, line, row=again, window=windows[again].tolist(), now=now)
    clock("delivering through the orders' gates", lambda: deliver_parts(line, look))
    consortium.settle()
    return line, planning


def _equip(
    consortium: Consortium, clock: _Clock, product: Product, start: Callable[[Plant], InspectorNode] | None
) -> Plant:
    model = model_bytes()
    card = (resources.files("millmark.quality") / "models" / "forda.json").read_text()
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


def _prove(store: Store, line: Line, part: Job, home: Path) -> Proof:
    names = {company.number: company.name for company in line.consortium.companies}
    return prove_part(store, line.consortium.chain, part.lot, names, home)
