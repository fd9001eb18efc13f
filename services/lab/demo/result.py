"""What a run of the demo comes to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from millmark.ledger.ids import parse_digital_link
from millmark.ledger.products import Product
from millmark.ledger.provenance import Trace, trace_lot
from millmark.ledger.records import Contract, Verdict
from millmark.ledger.store import Store
from millmark.quality.data import Table
from millmark.quality.labels import find_defects
from millmark.services.interop.digital_link import build_part_link
from millmark.services.lab.demo.demand import Demand
from millmark.services.lab.demo.figures import Planned, sum_up
from millmark.services.lab.demo.planning import Planning
from millmark.services.lab.demo.production import Job, Line
from millmark.services.lab.demo.proof import Proof
from millmark.services.settings import read_settings

__all__ = ["DemoResult", "build_code", "build_result", "choose_part"]


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The content of the summary and of the JSON file."""

    home: Path
    """The buyer's home."""
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


def choose_part(line: Line) -> Job:
    """The part to show: preferably one that failed, was reworked, passed and was delivered."""
    return max(line.jobs, key=lambda job: (job.delivered, job.reworked))


def build_result(
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
    """`seconds`: wall time by step."""
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
        code=build_code(part, home),
        events=line.events,
        seconds=seconds,
    )


def build_code(part: Job, home: Path) -> str:
    """The link for the code on a part, to the gateway of a home."""
    assert part.part is not None  # noqa: S101  # every job was assembled
    return build_part_link(
        parse_digital_link(part.part.identifier), part.part.salt, base_url=read_settings(home).origin
    )
