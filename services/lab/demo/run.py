"""The demonstration from end to end, and what came of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ledger.errors import InputError
from ledger.ids import parse_digital_link
from ledger.index import Follower
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
from services.lab.demo.consortium import Consortium, found_consortium
from services.lab.demo.delivery import deliver_parts
from services.lab.demo.home import JOURNAL, clear_home, database_of, write_home
from services.lab.demo.inspection import inspect_parts
from services.lab.demo.plant import Plant, build_plant
from services.lab.demo.production import Job, Line, make_parts, place_orders, rework_parts
from services.lab.demo.proof import Proof, prove_part
from services.settings import read_settings
from services.store import open_store

__all__ = ["DemoResult", "run_demo"]

T = TypeVar("T")
SYMPTOM_EVERY = 6
"""Of the measured windows, every sixth is one with the symptom: more than a real line has, so that few orders show
both verdicts."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the summary and the JSON file say."""

    orders: int
    delivered: int
    records: Counter[str]
    """By kind, on both contracts."""
    verdicts: Counter[str]
    """Certificates by verdict."""
    agreeing: int
    """Certificates whose verdict is the label of the window."""
    accuracy: float
    """Of the model over all labelled windows that were given, re-measured now."""
    windows: int
    gas: dict[str, tuple[int, int]]
    """Records and gas by kind."""
    chain_sequences: dict[str, int]
    index_sequences: dict[str, int]
    digest: bytes
    model: int
    trace: Trace
    """Of one delivered part, a reworked one if there is one; of the first part when none was delivered."""
    proof: Proof
    """Of the same part."""
    code: str
    """The link for the code on that part."""
    seconds: dict[str, float]
    """Wall-clock time by step."""


def run_demo(home: Path, orders: int, data: Path | None, say: Callable[[str], None]) -> DemoResult:
    """Runs everything on a fresh embedded chain; leaves in `home` what a gateway needs to go on from there.

    Raises QualityError when the measured data cannot be had, and everything that recording can raise.
    """
    clock = _Clock(say)
    table = clock("reading the measured signals", lambda: load_ford_a().test if data is None else load_table(data))
    _check_table(table)
    clear_home(home)
    with open_store(database_of(home)) as store, closing(JournaledChain(home / JOURNAL)) as transport:
        consortium = clock(
            "deploying the contracts and admitting eight companies", lambda: found_consortium(store, transport)
        )
        line = _produce(consortium, orders, table, clock)
        progress = clock("indexing", lambda: Follower(line.consortium.chain, store).follow())
        say(f"  {progress.records} records indexed")
        accuracy = clock("measuring the model on every window", lambda: _accuracy(line.plant.inspector, table))
        write_home(home, line)
        part = _choose(line)
        proof = clock("proving one part, and tampering with the proof", lambda: _prove(store, line, part, home))
        return _result(store, line, table, accuracy, part, proof, home, clock.seconds)


class _Clock:
    """Says what happens, and keeps how long it took."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.seconds: dict[str, float] = {}

    def __call__(self, step: str, work: Callable[[], T]) -> T:
        self._say(f"{step} ...")
        start = time.monotonic()
        result = work()
        self.seconds[step] = time.monotonic() - start
        return result


def _check_table(table: Table) -> None:
    """Before anything is made: the model must be able to read the windows, and both kinds must be there."""
    width = Inspector(_model_bytes()).model.width
    if table.values.shape[1] != width:
        raise InputError(f"a window has {table.values.shape[1]} values", hint=f"the model reads {width}")
    find_defects(table.labels)


def _model_bytes() -> bytes:
    return (resources.files("quality") / "models" / "forda.bin").read_bytes()


def _produce(consortium: Consortium, orders: int, table: Table, clock: _Clock) -> Line:
    model = _model_bytes()
    card = (resources.files("quality") / "models" / "forda.json").read_text()
    now = int(time.time())
    plant: Plant = clock(
        "registering machines, streams and the quality model", lambda: build_plant(consortium, model, card)
    )
    line = clock(f"placing {orders} personalised orders", lambda: place_orders(consortium, plant, orders, now))
    clock("assigning and making in three factories", lambda: make_parts(line))
    windows = to_fixed(table.values, plant.inspector.model.decimals)
    rows = _pick(table, orders)
    clock("inspecting and certifying", lambda: inspect_parts(line, line.jobs, windows[rows].tolist(), now))
    for job, row in zip(line.jobs, rows, strict=True):
        job.window = int(row)
    clock("reworking half of what failed", lambda: _rework(line, table, windows, now))
    clock("delivering through the orders' gates", lambda: deliver_parts(line))
    return line


def _pick(table: Table, count: int) -> NDArray[np.intp]:
    """Rows of the windows that stand for the parts: in the data's own order, every sixth with the symptom."""
    symptom = find_defects(table.labels)
    bad, good = np.flatnonzero(symptom), np.flatnonzero(~symptom)
    index = np.arange(count)
    with_symptom = index % SYMPTOM_EVERY == SYMPTOM_EVERY - 1
    return np.where(with_symptom, bad[index // SYMPTOM_EVERY % len(bad)], good[index % len(good)])


def _rework(line: Line, table: Table, windows: NDArray[np.int64], now: int) -> None:
    """Every second failed part is made anew and inspected again; the others stay in quarantine."""
    failed: list[Job] = [job for job in line.jobs if job.verdict is Verdict.FAIL][::2]
    if not failed:
        return
    rework_parts(line, failed)
    good = np.flatnonzero(~find_defects(table.labels))
    rows = [int(good[-1 - index % len(good)]) for index in range(len(failed))]
    inspect_parts(line, failed, windows[rows].tolist(), now)
    for job, row in zip(failed, rows, strict=True):
        job.window = row


def _accuracy(inspector: Inspector, table: Table) -> float:
    """Share of all windows whose verdict is their label."""
    inferences = inspector.inspect_all(to_fixed(table.values, inspector.model.decimals))
    failed = np.array([to_ledger_verdict(inference.verdict) is Verdict.FAIL for inference in inferences])
    return float((failed == find_defects(table.labels)).mean())


def _choose(line: Line) -> Job:
    """The part to show: one that failed, was reworked, passed and was delivered has the most to tell."""
    return max(line.jobs, key=lambda job: (job.delivered, job.reworked))


def _prove(store: Store, line: Line, part: Job, home: Path) -> Proof:
    names = {company.number: company.name for company in line.consortium.companies}
    return prove_part(store, line.consortium.chain, part.lot, names, home)


def _result(
    store: Store,
    line: Line,
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
        orders=len(line.jobs),
        delivered=sum(job.delivered for job in line.jobs),
        records=consortium.recorded,
        verdicts=Counter(verdict.name.lower() for verdict in certificates),
        agreeing=sum((job.verdict is Verdict.FAIL) == bool(symptom[job.window]) for job in line.jobs),
        accuracy=accuracy,
        windows=len(table.labels),
        gas=dict(consortium.outbox.gas_by_kind()),
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
        seconds=seconds,
    )


def _code(part: Job, home: Path) -> str:
    assert part.part is not None  # noqa: S101  # every job was assembled
    return build_part_link(
        parse_digital_link(part.part.identifier), part.part.salt, base_url=read_settings(home).origin
    )
