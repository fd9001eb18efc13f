"""Companies with databases of their own, whose feedback looks at what is recorded: who acts, and what is passed on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from millmark.ledger.plans.plan import Plan
from millmark.ledger.records import AcceptAssignment, Anchor, ProposeAssignment, Record
from millmark.ledger.store import Connection
from millmark.services.demo.consortium import Company
from millmark.services.planning.consent import find_proposals
from millmark.services.planning.feedback.repository import FeedbackRepository, StepRow
from millmark.services.planning.feedback.taking import NoSetpoints, Replacer, SetpointDesk, report_event
from millmark.services.planning.feedback.watching import Watcher
from millmark.services.planning.making_process import Task
from millmark.services.planning.papers import seal_plan
from millmark.services.planning.reading import Shelf, plan_file, reading, writing
from millmark.services.planning.schedule import Made, make_plan
from tests.support.apart import Home
from tests.support.planned import Planned

__all__ = ["Loop", "make_here"]


def make_here(task: Task) -> Made:
    """Without another process."""
    return make_plan(task.file, tie=task.tie, replan=task.replan, cpu_s=task.cpu_s)


@dataclass
class Loop:
    """A coordinator whose plan has milling on the cheap mill, agreed to by its owner."""

    planned: Planned
    queued: list[tuple[str, Record]] = field(default_factory=list)
    desk: SetpointDesk = field(default_factory=NoSetpoints)
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

    def watcher(self, shelf: Shelf, home: Home) -> Watcher:
        given = home.company.number, self.queue, self.desk, self.planned.apart.world.now()
        return Watcher(shelf, *given, drift_notes=True)

    def look(self, home: Home) -> None:
        """As the gateway's thread does."""
        with writing(home.store) as shelf:
            self.watcher(shelf, home).look()
        with reading(home.store) as shelf:
            causes = self.watcher(shelf, home).to_search()
        if causes:
            self.desk.search(causes, self.planned.apart.world.now())
            with writing(home.store) as shelf:
                self.watcher(shelf, home).look()

    def replacer(self, make: Callable[[Task], Made] | None = None) -> Replacer:
        company = self.coordinator.company
        return Replacer(self.coordinator.store, company.number, self.queue, company.signer, 0.2, make or make_here)

    def plan(self) -> Plan:
        with reading(self.coordinator.store) as shelf:
            return shelf.latest_plan(self.planned.call.digest)

    def make_plan(self) -> None:
        with writing(self.coordinator.store) as shelf:
            file = plan_file(shelf.rows, shelf.book, shelf.planning, self.planned.call, None)
            plan = make_plan(file, tie=bytes(32), cpu_s=0.2).check.plan
            own = shelf.stream(self.coordinator.company.number, None)
            sealed = seal_plan(shelf.connection, own, self.planned.call, plan, self.coordinator.company.signer)
            self.queue(shelf.connection, "plan", Anchor(own.subject, sealed.size, sealed.root))
        self.send(self.coordinator.company)

    def agree(self) -> None:
        with reading(self.coordinator.store) as shelf:
            proposals = find_proposals(shelf, self.plan())
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
        with writing(owner.store) as shelf:
            now_s, me = self.planned.apart.world.now(), owner.company.number
            cause = report_event(shelf, me, self.mill, "machine-down", "the spindle broke", now_s, self.queue)
            self.watcher(shelf, owner).report(cause)
        self.send(owner.company)

    def steps(self) -> list[StepRow]:
        with reading(self.coordinator.store) as shelf:
            kept = FeedbackRepository(shelf.connection)
            return [step for row in reversed(kept.causes(9)) for step in kept.steps(row.id)]
