"""An order that is called for, offered on and planned by companies with databases of their own, whose feedback looks at
what is recorded: who acts, and what is passed on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from millmark.ledger.canonical import Json
from millmark.ledger.ids import SubjectKind
from millmark.ledger.plans.call import Call
from millmark.ledger.plans.offer import Offer, OfferWithdrawal
from millmark.ledger.plans.plan import Bound, Cost, Leg, Plan, Row
from millmark.ledger.plans.problem import build_problem, build_slot_prices, derive_bound
from millmark.ledger.records import (
    AcceptAssignment,
    AcceptOrder,
    Anchor,
    Gate,
    OpenStream,
    OrderTerms,
    PlaceOrder,
    ProposeAssignment,
    Record,
    RegisterMachine,
)
from millmark.ledger.store import Book, Connection, Rows
from millmark.ledger.store.rows import StreamRow
from millmark.services.demo.consortium import Company, hash_of
from millmark.services.planning.calendar import Grid, ObjectiveFile, build_objective, parse_calendar
from millmark.services.planning.calls import build_job
from millmark.services.planning.consent import find_proposals
from millmark.services.planning.feedback.repository import FeedbackRepository, StepRow
from millmark.services.planning.feedback.taking import NoSetpoints, Replacer, SetpointProposer, report_event
from millmark.services.planning.feedback.watching import Watcher
from millmark.services.planning.making_process import Task
from millmark.services.planning.offers import Made, OwnMachine, build_offers
from millmark.services.planning.reading import (
    PlanningTables,
    count_known,
    find_capability,
    find_objective,
    plan_file,
    reading,
    writing,
)
from millmark.services.planning.repository import PlanningRepository
from millmark.services.planning.schedule import Made as MadePlan
from millmark.services.planning.schedule import make_plan
from millmark.services.planning.stream_entries import OwnStream, Sealed, seal_call, seal_offers, seal_plan
from tests.support.apart import Apart, Home
from tests.support.bundle_world import NOTHING, PIECE, YEAR_S
from tests.support.planning_samples import show_calendar

__all__ = ["Loop", "Planned", "make_here"]

HOUR_S = 3600
OPERATIONS: Json = {
    "0": {"name": "turn", "need": {"kind": "turning", "values": {"diameter_mm": 80, "material": "steel"}}},
    "1": {"name": "mill", "need": {"kind": "milling", "values": {}}},
}
CAPABILITY: dict[str, Json] = {
    "mill": [{"kind": "milling", "limits": {}}],
    "lathe": [
        {"kind": "milling", "limits": {}},
        {"kind": "turning", "limits": {"diameter_mm": [10, 400], "material": ["brass", "steel"]}},
    ],
}


@dataclass
class Planned:
    """What happens, act by act. Nothing is handed over in between."""

    apart: Apart
    call: Call = field(init=False)
    plan: Plan = field(init=False)
    sealed: dict[str, Sealed] = field(default_factory=dict)

    def equip(self) -> None:
        alder, birch = self.apart.consortium.makers[:2]
        for name, owner in (("mill", alder), ("lathe", birch)):
            machine = self.apart.named(SubjectKind.MACHINE, owner, name)
            root = self.apart.document(owner, name, {"capability": CAPABILITY[name], "bought": "used"})
            number = self.apart.act(owner, name, RegisterMachine(hash_of(machine), root))
            self.apart.world.machines[name] = number
            self._open(owner, f"{name}-offers", number)
        self._open(self.apart.consortium.coordinator, "plans", 0)

    def _open(self, owner: Company, name: str, machine: int) -> None:
        stream = self.apart.named(SubjectKind.STREAM, owner, name)
        self.apart.act(owner, name, OpenStream(hash_of(stream), machine, NOTHING))
        self.apart.world.streams[name] = stream.subject

    def place(self, name: str = "shaft", gates: tuple[Gate, ...] = ()) -> None:
        buyer, coordinator = self.apart.consortium.buyer, self.apart.consortium.coordinator
        order = self.apart.named(SubjectKind.ORDER, buyer, name)
        document: Json = {"specification": {"diameter": 80}, "operations": OPERATIONS}
        root = self.apart.document(buyer, name, document)
        terms = OrderTerms(2, coordinator.number, gates, self.apart.world.now() + YEAR_S, 1, PIECE, root)
        self.apart.act(buyer, f"place {name}", PlaceOrder(hash_of(order), terms))
        self.apart.act(coordinator, f"accept {name}", AcceptOrder(order.subject, NOTHING))
        self.apart.world.orders[name] = order.subject

    def make_call(self, orders: tuple[str, ...] = ("shaft",)) -> None:
        """By the coordinator, to alder and birch; the auditor may read the offers."""
        parties, now = self.apart.consortium, self.apart.world.now()
        home, closes = self.home(parties.coordinator), now + HOUR_S
        grid = Grid(-(-closes // HOUR_S) * HOUR_S, HOUR_S, 14 * 24)
        asked = [company.number for company in parties.makers[:2]]
        with home.store.transaction() as connection:
            rows, book = Rows(connection), Book(connection)
            subjects = [self.apart.world.orders[name] for name in orders]
            wanted = [build_job(rows, book, one, parties.coordinator.number, grid) for one in subjects]
            jobs = tuple(sorted((one.job for one in wanted), key=lambda job: job.order))
            file = ObjectiveFile.model_validate(
                {"unit": "EUR/100", "tardiness_per_day": 2400, "transport_otherwise": {"minutes": 120, "cost": 500}}
            )
            objective = build_objective(file, jobs, asked, HOUR_S, int, bytes.fromhex, {})
            chain = parties.chain
            place = chain.chain_id, chain.ledger, parties.coordinator.number, b"\7" * 32
            when = grid.origin, grid.slot, grid.slots, closes
            readers = (parties.auditor.number,)
            self.call = Call(*place, *when, "EUR/100", readers, objective.commitment, jobs)
            self.sealed["call"] = seal_call(connection, self.own("plans"), self.call, objective, asked)
        self.anchor(parties.coordinator, "plans", "call")

    def offer(self, machine: str, rate: int, until_s: int = 30 * 86_400) -> Made:
        """By the machine's owner, from its calendar."""
        made = self.build_offers(machine, rate, until_s)
        self.seal_offers(machine, made.offers, f"offers {machine}")
        return made

    def build_offers(self, machine: str, rate: int, until_s: int = 30 * 86_400) -> Made:
        owner, number = self.owner(machine), self.apart.world.machines[machine]
        calendar = parse_calendar(show_calendar(machine, rate, "UTC", "06:00", "22:00").encode())
        with self.home(owner).store.reading() as connection:
            capability = find_capability(Book(connection), self.apart.roots[machine])
        own = OwnMachine(number, calendar.machines[0], capability)
        return build_offers(self.call, calendar, [own], owner.number, self.call.closes + until_s)

    def seal_offers(self, machine: str, entries: list[Offer] | list[OfferWithdrawal], word: str) -> None:
        owner = self.owner(machine)
        with self.home(owner).store.transaction() as connection:
            self.sealed[word] = seal_offers(connection, self.own(f"{machine}-offers"), entries)
        self.anchor(owner, f"{machine}-offers", word)

    def withdraw(self, machine: str, offer: bytes, word: str) -> None:
        self.seal_offers(machine, [OfferWithdrawal(self.call.digest, offer)], word)

    def make_plan(self) -> None:
        """The first window of the first offer of each operation: feasible, and far from cheap."""
        coordinator = self.apart.consortium.coordinator
        self.plan = self.first_plan()
        with self.home(coordinator).store.transaction() as connection:
            self.sealed["plan"] = seal_plan(connection, self.own("plans"), self.call, self.plan, coordinator.signer)
            [row] = PlanningRepository(connection).plans(self.call.digest)
            self.apart.roots["plan"] = row.claims_root
        self.anchor(coordinator, "plans", "plan")

    def first_plan(self) -> Plan:
        with self.home(self.apart.consortium.coordinator).store.reading() as connection:
            planning = PlanningRepository(connection)
            counted = count_known(Rows(connection), Book(connection), planning, self.call)
            objective = find_objective(planning, self.call)
        assert objective is not None
        rows, legs, tardy = self._first_rows(dict(counted.offers))
        problem = build_problem(self.call, objective, counted.offers.items())
        bound = Bound(0, ())
        value = derive_bound(problem, build_slot_prices(problem, bound))
        assert value is not None
        carbon = sum(row.co2e_mg * objective.carbon_price // 1_000_000 for row in rows)
        cost = Cost(sum(row.price for row in rows), sum(leg.cost for leg in legs), tardy, carbon)
        tie = b"\1" * 32
        return Plan(self.call.digest, tuple(counted.offers), tie, tuple(rows), tuple(legs), cost, Bound(value, ()))

    def _first_rows(self, offers: dict[bytes, Offer]) -> tuple[list[Row], list[Leg], int]:
        rows: list[Row] = []
        legs: list[Leg] = []
        for job in self.call.jobs:
            at, owner = job.release, 0
            for number in [one.operation for one in job.operations]:
                found = [(one, key) for key, one in offers.items() if (one.order, one.operation) == (job.order, number)]
                offer, key = min(found, key=lambda pair: (pair[0].windows, pair[1]))
                if owner not in (0, offer.owner):
                    legs.append(Leg(job.order, number - 1, owner, offer.owner, 0, at, at + 2, 500))
                    at += 2
                start = next(max(at, first) for first, last, _ in offer.windows if last >= at)
                price = cast("int", offer.price_at(start))
                own = job.order, number, key, offer.machine, offer.owner
                rows.append(Row(*own, start, start + offer.duration, price, offer.wh, offer.co2e_mg))
                at, owner = start + offer.duration, offer.owner
        return rows, legs, 0

    # Helpers

    def home(self, company: Company) -> Home:
        return self.apart.home(company)

    def owner(self, machine: str) -> Company:
        alder, birch = self.apart.consortium.makers[:2]
        return {"mill": alder, "lathe": birch}[machine]

    def own(self, stream: str) -> OwnStream:
        subject, owner = self.apart.world.streams[stream], self._owner_of(stream)
        with self.home(owner).store.reading() as connection:
            row = Rows(connection).get(StreamRow, subject)
        return OwnStream(subject, owner.number, 0 if row is None else row.size)

    def _owner_of(self, stream: str) -> Company:
        machine = stream.partition("-")[0]
        return self.apart.consortium.coordinator if machine == "plans" else self.owner(machine)

    def anchor(self, company: Company, stream: str, word: str) -> None:
        sealed = self.sealed[word]
        for place, leaf in enumerate(sealed.leaves):
            self.apart.leaves[leaf] = f"{word} {place + 1}"
        self.apart.act(company, word, Anchor(self.apart.world.streams[stream], sealed.size, sealed.root))

    def pass_closing(self) -> None:
        self.apart.consortium.chain.node.wait(self.call.closes - self.apart.world.now() + 1)


def make_here(task: Task) -> MadePlan:
    """Without another process."""
    return make_plan(task.file, tie=task.tie, replan=task.replan, cpu_s=task.cpu_s)


@dataclass
class Loop:
    """A coordinator whose plan has milling on the cheap mill, agreed to by its owner."""

    planned: Planned
    queued: list[tuple[str, Record]] = field(default_factory=list)
    commands: SetpointProposer = field(default_factory=NoSetpoints)
    """Where settings are proposed."""

    @property
    def coordinator(self) -> Home:
        return self.planned.home(self.planned.apart.consortium.coordinator)

    @property
    def mill(self) -> int:
        return self.planned.apart.world.machines["mill"]

    def pass_on(self) -> None:
        """Everybody's index and hand-overs."""
        self.planned.apart.follow()
        self.planned.apart.hand_over_all()
        self.planned.apart.follow()

    def queue(self, _connection: Connection, key: str, record: Record) -> None:
        self.queued.append((key, record))

    def send(self, company: Company) -> list[Record]:
        """Records what was queued. Returns it."""
        records, self.queued = [record for _, record in self.queued], []
        for record in records:
            self.planned.apart.act(company, f"feedback {len(self.planned.apart.records)}", record)
        self.pass_on()
        return records

    def watcher(self, tables: PlanningTables, home: Home) -> Watcher:
        given = home.company.number, self.queue, self.commands, self.planned.apart.world.now()
        return Watcher(tables, *given, drift_notes=True)

    def look(self, home: Home) -> None:
        """As the gateway's thread does."""
        with writing(home.store) as tables:
            self.watcher(tables, home).look()
        with reading(home.store) as tables:
            causes = self.watcher(tables, home).to_search()
        if causes:
            self.commands.search(causes, self.planned.apart.world.now())
            with writing(home.store) as tables:
                self.watcher(tables, home).look()

    def replacer(self, make: Callable[[Task], MadePlan] | None = None) -> Replacer:
        company = self.coordinator.company
        return Replacer(self.coordinator.store, company.number, self.queue, company.signer, 0.2, make or make_here)

    def plan(self) -> Plan:
        with reading(self.coordinator.store) as tables:
            return tables.latest_plan(self.planned.call.digest)

    def make_plan(self) -> None:
        with writing(self.coordinator.store) as tables:
            file = plan_file(tables.rows, tables.book, tables.planning, self.planned.call, None)
            plan = make_plan(file, tie=bytes(32), cpu_s=0.2).check.plan
            own = tables.stream(self.coordinator.company.number, None)
            sealed = seal_plan(tables.connection, own, self.planned.call, plan, self.coordinator.company.signer)
            self.queue(tables.connection, "plan", Anchor(own.subject, sealed.size, sealed.root))
        self.send(self.coordinator.company)

    def agree(self) -> None:
        with reading(self.coordinator.store) as tables:
            proposals = find_proposals(tables, self.plan())
        apart = self.planned.apart
        for row in proposals.rows:
            name = f"row {row.operation}"
            root = apart.document(self.coordinator.company, name, dict(proposals.plan.row_document(row.key)))
            number = apart.act(self.coordinator.company, name, ProposeAssignment(*row.key, row.machine, root))
            owner = next(home.company for home in apart.homes.values() if home.company.number == row.owner)
            apart.act(owner, f"accepted {row.operation}", AcceptAssignment(*row.key, number, root))
        self.pass_on()

    def fail_mill(self) -> None:
        owner = self.planned.home(self.planned.owner("mill"))
        with writing(owner.store) as tables:
            now_s, me = self.planned.apart.world.now(), owner.company.number
            cause = report_event(tables, me, self.mill, "machine-down", "the spindle broke", now_s, self.queue)
            self.watcher(tables, owner).report(cause)
        self.send(owner.company)

    def steps(self) -> list[StepRow]:
        with reading(self.coordinator.store) as tables:
            kept = FeedbackRepository(tables.connection)
            return [step for row in reversed(kept.causes(9)) for step in kept.steps(row.id)]
