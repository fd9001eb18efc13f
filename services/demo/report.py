"""The result of a run of the demo, and its summary as text and as JSON."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from millmark.ledger.canonical import Json
from millmark.ledger.ids import parse_digital_link
from millmark.ledger.plans.call import Call
from millmark.ledger.plans.check import per_cent
from millmark.ledger.plans.plan import Plan
from millmark.ledger.plans.problem import Problem, build_problem
from millmark.ledger.products import Product, money, name_in
from millmark.ledger.provenance import Trace, trace_lot
from millmark.ledger.records import Contract, Verdict
from millmark.ledger.store import Store
from millmark.ledger.verify import describe
from millmark.quality.data import Table
from millmark.quality.fitting import find_defects
from millmark.services.demo.demand import Demand
from millmark.services.demo.home import Finished, make_link
from millmark.services.demo.planning import Planning, read_file
from millmark.services.demo.production import Job, Line
from millmark.services.demo.proof import BUNDLE, TRUST, Proof
from millmark.services.interop.digital_link import build_part_link, build_qr_text
from millmark.services.output import json_format, print_lines, print_table
from millmark.services.planning.schedule.search import Paths, cost_of, list_schedule
from millmark.services.settings import read_settings
from millmark.services.text.trace import describe_trace


def print_summary(result: DemoResult, finished: Finished, program: str) -> None:
    """Prints what was recorded and its gas, one part's trace and proof, and the next steps, which end with a link for
    each role. Raises StoreError, SettingsError."""
    rows = [[kind, count, *_gas(result, kind)] for kind, count in sorted(result.records.items())]
    print_table("records", ["kind", "count", "gas each"], rows)
    joining = sum(result.chain_sequences.values()) - sum(result.records.values())
    if joining:
        print_lines(f"and {joining} by which the companies joined")
    print_lines("", *_facts(result), "")
    print_lines("also recorded:", *(f"  {event}" for event in result.events), "")
    print_lines("one part, traced:", *(f"  {line}" for line in describe_trace(result.trace)), "")
    print_lines(
        f"its proof, {BUNDLE}, {result.proof.size:,} bytes, verified with {TRUST} and nothing else:",
        *_believed(result.proof.validators),
        *(f"  {line}" for line in describe(result.proof.report)),
        "",
        "the same proof tampered with, each refused:",
        *(f"  {refusal.tampering}\n    {refusal.reason}" for refusal in result.proof.refusals),
        "",
    )
    print_lines(*_onward(result, finished, program))


def build_json(result: DemoResult) -> dict[str, object]:
    """The same result as JSON."""
    return {
        "format": json_format(["demo"]),
        "orders": result.orders,
        "product": {
            "name": result.product.product,
            "digest": "0x" + result.product.digest.hex(),
            "currency": result.product.currency,
            "prices": list(result.prices),
            "routes": [{"operations": list(route), "orders": count} for route, count in result.routes.most_common()],
        },
        "plan": result.planned.to_json(),
        "demand": result.demand.to_json(),
        "delivered": result.delivered,
        "records": dict(sorted(result.records.items())),
        "certificates": dict(result.verdicts),
        "certificates_agreeing_with_label": result.agreeing,
        "model_accuracy": {"value": round(result.accuracy, 6), "windows": result.windows},
        "gas_per_record": {kind: gas // count for kind, (count, gas) in sorted(result.gas.items())},
        "chain_sequence": result.chain_sequences,
        "index_sequence": result.index_sequences,
        "sequences_equal": result.chain_sequences == result.index_sequences,
        "index_digest": "0x" + result.digest.hex(),
        "seconds": {step: round(seconds, 3) for step, seconds in result.seconds.items()},
        "events": result.events,
        "trace": result.trace.to_json(),
        "code": result.code,
        "bundle": {
            "file": BUNDLE,
            "trust_file": TRUST,
            "bytes": result.proof.size,
            "validators": result.proof.validators,
            "report": result.proof.report.to_json(),
            "refused": [asdict(refusal) for refusal in result.proof.refusals],
        },
    }


def _believed(validators: int) -> list[str]:
    """What the trust file believes, and what this shows only in part."""
    if not validators:
        return []
    return [
        f"  {TRUST} lists {validators} validators, whose seals make a block believable; it names no block and no "
        "co-signer",
        f"  (on a network, each company's validator has a key of its own; here one process holds all {validators})",
        "",
    ]


def _gas(result: DemoResult, kind: str) -> tuple[int | str]:
    count, gas = result.gas.get(kind, (0, 0))
    return (gas // count if count else "-",)


def _facts(result: DemoResult) -> list[str]:
    equal = "equal" if result.chain_sequences == result.index_sequences else "NOT EQUAL"
    sequences = ", ".join(f"{name} {number}" for name, number in result.chain_sequences.items())
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(result.verdicts.items()))
    low, high = (money(price, result.product.currency) for price in result.prices)
    return [
        f"{result.delivered} of {result.orders} orders delivered; the others are quarantined",
        f"product: {name_in(result.product.names, 'en')}, configured {result.orders} times, {low} to {high} a piece",
        *(f"  {count} by {', '.join(route)}" for route, count in result.routes.most_common()),
        *describe_plan(result.planned),
        *result.demand.describe(),
        f"certificates: {verdicts}; {result.agreeing} of {result.orders} final verdicts are the window's own label",
        f"model: accuracy {result.accuracy:.4f}, measured now over all {result.windows} labelled windows",
        f"sequences on chain: {sequences}; in the index: {equal}",
        f"{sum(result.chain_sequences.values())} records in {sum(result.seconds.values()):.1f} s, everything included",
    ]


def describe_links(finished: Finished) -> list[str]:
    """A link for each role, and what else there is to open. Makes the invitations among them. Raises StoreError,
    SettingsError."""
    shown = [(one, make_link(finished, one)) for one in finished.places if one.role]
    return [
        "a link for each role; an invitation makes a passkey in your browser, and works once:",
        *(f"  {place.role:18}{place.company:22}{link}" for place, link in shown),
        f"  {'anybody':18}{'with the part':22}{finished.code}",
    ]


def _onward(result: DemoResult, finished: Finished, program: str) -> list[str]:
    """The next steps, with commands in full so that each can be copied from the terminal."""
    part, home = result.trace.lot, result.home
    name, where = part.identifier or "0x" + part.subject.hex(), shlex.quote(str(finished.folder))
    return [
        "from the command line, as a company:",
        f"  {program} --home {home} trace {name}",
        f"  {program} --home {home} recall --model {result.model}",
        "",
        "next, in a browser:",
        "  1. start the chain and all gateways, and leave them running; Ctrl-C stops them",
        f"     {program} demo open --out {where}",
        "  2. as anyone who scans the code on the part, open its passport, and check its proof there",
        f"     {result.code}",
        "",
        *build_qr_text(result.code).splitlines(),
        "",
        "  3. download proof and trust file there, or with",
        f"     curl -sLo part.bundle '{result.code}&linkType=gs1:traceability'",
        f"     curl -so trust.json '{result.code.replace('/01/', '/passport/trust/01/', 1)}'",
        "  4. check them offline, without any server",
        f"     {program} verify part.bundle --trust trust.json",
        "  5. sign in, as one of these or, in one browser, as all of them",
        *describe_links(finished),
    ]


_HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Schedule:
    """Figures of one way to make all orders."""

    cost: int
    wh: int
    late_slots: int
    """Slots by which all orders together are late."""

    def to_json(self) -> dict[str, Json]:
        return {"cost": self.cost, "wh": self.wh, "late_slots": self.late_slots}


@dataclass(frozen=True, slots=True)
class Planned:
    """The figures of the plan."""

    unit: str
    slot_s: int
    offers: int
    operations: int
    machines: int
    owners: int
    first: Schedule
    first_gap_per_mille: int
    last: Schedule
    """The plan in force in the end."""
    last_gap_per_mille: int
    moved: int
    """Rows that moved from the first to the last."""
    dispatched: Schedule | None
    """By naive dispatch on the same offers; None if that fits no order somewhere."""
    parts: int
    metered_wh: int
    """Energy of all parts, by the meters, without idle time."""
    location_mg: int
    market_mg: int
    """CO2e of the same energy."""

    def to_json(self) -> dict[str, Json]:
        return {
            "unit": self.unit,
            "offers": self.offers,
            "operations": self.operations,
            "machines": self.machines,
            "first": self.first.to_json() | {"gap_per_mille": self.first_gap_per_mille},
            "last": self.last.to_json() | {"gap_per_mille": self.last_gap_per_mille, "moved": self.moved},
            "dispatched": None if self.dispatched is None else self.dispatched.to_json(),
            "metered_wh": self.metered_wh,
            "co2e_mg": {"location": self.location_mg, "market": self.market_mg},
        }


def sum_up(planning: Planning) -> Planned:
    """The figures of what was planned and metered."""
    call, first, last = planning.call, planning.plans[0], planning.plan
    line = planning.line
    before = {row.key: row for row in first.rows}
    own = line.footprints.own
    return Planned(
        unit=call.unit,
        slot_s=call.slot,
        offers=len(first.offers),
        operations=len(first.rows),
        machines=len({row.machine for row in first.rows}),
        owners=len({row.owner for row in first.rows}),
        first=_figures(call, first),
        first_gap_per_mille=planning.checks[0].gap_per_mille,
        last=_figures(call, last),
        last_gap_per_mille=planning.checks[-1].gap_per_mille,
        moved=sum(before[row.key] != row for row in last.rows),
        dispatched=_dispatch(planning),
        parts=len(line.jobs),
        metered_wh=own.wh,
        location_mg=own.location_mg,
        market_mg=own.market_mg,
    )


def _figures(call: Call, plan: Plan) -> Schedule:
    due, ends = {job.order: job.due for job in call.jobs}, {row.order: row.end for row in plan.rows}
    late = sum(max(end - due[order], 0) for order, end in ends.items())
    return Schedule(plan.cost.total, sum(row.wh for row in plan.rows), late)


def _dispatch(planning: Planning) -> Schedule | None:
    """The same orders on the same offers, one after the other as they were placed, each as cheaply as it then can."""
    file = read_file(planning, None)
    problem = build_problem(file.call, file.objective, planning.checks[0].counted.offers.items())
    placed = {job.order.subject: job.index for job in planning.line.jobs}
    numbers = sorted(range(len(problem.routes)), key=lambda number: placed[problem.routes[number].order])
    paths = list_schedule(problem, numbers)
    return None if paths is None else _figures_of(problem, paths)


def _figures_of(problem: Problem, paths: Paths) -> Schedule:
    late = 0
    for route, path in zip(problem.routes, paths, strict=True):
        choice, start = path[-1]
        late += max(start + choice.duration - route.due, 0)
    return Schedule(cost_of(problem, paths), sum(choice.wh for path in paths for choice, _ in path), late)


def describe_plan(found: Planned) -> list[str]:
    """Lines for people."""
    lines = [
        f"plan of {found.operations} operations over {found.machines} machines of {found.owners} companies, from "
        f"{found.offers} offers: {money(found.first.cost, found.unit)}; no plan on them is more than "
        f"{per_cent(found.first_gap_per_mille)} cheaper, checked",
    ]
    if found.moved:
        lines.append(
            f"after a machine failed: {found.moved} of {found.operations} operations moved, "
            f"{money(found.last.cost, found.unit)}; no plan for what was open is more than "
            f"{per_cent(found.last_gap_per_mille)} cheaper"
        )
    if found.dispatched is not None:
        lines.append(
            f"dispatched one after the other without a plan, the same orders on the same offers: "
            f"{_beside(found.dispatched, found.first, found)}"
        )
    lines.append(
        f"energy by the meters: {found.metered_wh / 1000:.1f} kWh, {found.metered_wh / found.parts / 1000:.2f} a part; "
        f"CO2e of it {found.location_mg / 1e6:.2f} kg by the grid, {found.market_mg / 1e6:.2f} kg by contract"
    )
    return lines


def _beside(other: Schedule, plan: Schedule, found: Planned) -> str:
    """A schedule beside the plan's."""
    dearer = (other.cost - plan.cost) * 1000 // max(plan.cost, 1)
    hours = [one.late_slots * found.slot_s / _HOUR_S for one in (other, plan)]
    return (
        f"{money(other.cost, found.unit)} ({dearer / 10:+.1f} %), {other.wh / 1000:.1f} kWh planned where the plan has "
        f"{plan.wh / 1000:.1f}, {hours[0]:.1f} h late where the plan is {hours[1]:.1f}"
    )


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
