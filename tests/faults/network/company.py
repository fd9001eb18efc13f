"""The process of one company: records at a steady rate, submits and indexes. Run as `python -m
tests.faults.network.company PLAN`.

PLAN is a JSON file. The process writes lines to standard output, each ending in the monotonic time, which all processes
of a machine share: `ready`, `ack NUMBER` once the record of that number is durable, `final COUNT` once so many more
records are final, `undone BLOCKS` when the index took blocks back, `trouble ERROR` when a round failed with another
error than the one before, and `drained`. On SIGTERM it takes in no more, and ends once everything is final and indexed.
"""

from __future__ import annotations

import dataclasses
import json
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, distinct, func, select

from millmark.ledger.chain import HttpTransport, find_profile
from millmark.ledger.chain.deploying import read_deployment
from millmark.ledger.errors import MillmarkError
from millmark.ledger.index import Follower
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState, SentTransaction, outbox_attempts, outbox_records
from millmark.ledger.submit import Submitter
from millmark.services.store import open_store
from tests.faults.workload import Event, Site, build_signer

_PAUSE_S = 0.2
_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class CompanyPlan:
    """Configuration of one company's process."""

    number: int
    """Number of the company, from 0; also that of its order."""
    url: str
    engine: str
    deployment: str
    """Path of the deployment file."""
    database: str
    """SQLAlchemy URL."""
    seed: int
    key: str
    """Name from which its key is derived."""
    orders: list[str]
    per_s: float
    """Records a second."""

    def write(self, path: Path) -> Path:
        path.write_text(json.dumps(dataclasses.asdict(self)))
        return path

    def site(self) -> Site:
        profile = find_profile(self.engine)
        orders = tuple(bytes.fromhex(order) for order in self.orders)
        return Site(
            read_deployment(Path(self.deployment)), profile, build_signer(self.seed, self.key), orders, len(orders)
        )


def event_of(company: int, number: int) -> Event:
    """The event of that number, from 0, of a company."""
    return Event(f"company-{company}-{number}", company, number)


@dataclass(slots=True)
class _Company:
    plan: CompanyPlan
    site: Site
    submitter: Submitter
    follower: Follower
    began: float = field(default_factory=time.monotonic)
    taken: int = 0
    stopping: bool = False
    _troubles: dict[str, str] = field(default_factory=dict)

    def run(self) -> None:
        """Takes in, submits and follows until told to stop, and then until nothing is left."""
        while not self._go_round():
            time.sleep(_RETRY_S if self._troubles else _PAUSE_S)

    def _go_round(self) -> bool:
        """One round; a failure of one part stops no other. Returns whether the work is done."""
        self._try("taking in", self._take_in)
        idle = self._try("submitting", self.submitter.step)
        current = self._try("indexing", self._follow)
        return self.stopping and idle is True and current is True

    def _take_in(self) -> bool:
        """Queues what was measured since the last round. What cannot be stored is queued in a later one."""
        if self.stopping:
            return True
        due = int((time.monotonic() - self.began) * self.plan.per_s)
        events = [event_of(self.plan.number, number) for number in range(self.taken, due)]
        if events:
            self.submitter.submit([(event.key, self.site.record(event)) for event in events])
            for event in events:
                _say(f"ack {event.number}")
            self.taken = due
        return True

    def _follow(self) -> bool:
        progress = self.follower.follow()
        if progress.undone:
            _say(f"undone {progress.undone}")
        return progress.block_number >= progress.final_number

    def _try(self, what: str, act: Callable[[], bool]) -> bool | None:
        try:
            done = act()
        except MillmarkError as error:
            said = f"{what}: {error.code}: {' '.join(str(error).split())[:160]}"
            if self._troubles.get(what) != said:
                _say(f"trouble {said}")
            self._troubles[what] = said
            return None
        self._troubles.pop(what, None)
        return done


def main(path: str) -> None:
    plan = CompanyPlan(**json.loads(Path(path).read_text()))
    with open_store(plan.database) as store:
        company = _build(plan, store)
        signal.signal(signal.SIGTERM, lambda *_: setattr(company, "stopping", True))
        _say("ready")
        company.run()
    _say("drained")


def _build(plan: CompanyPlan, store: Store) -> _Company:
    site = plan.site()
    chain = site.connect(HttpTransport(plan.url))
    submitter = Submitter(chain, Outbox(store), site.signer, report=_report)
    return _Company(plan, site, submitter, Follower(chain, store))


def _report(what: str, transaction: SentTransaction, reason: str | None) -> None:
    if what == "final":
        _say(f"final {len(transaction.records)}")
    elif what != "sent" and what != "mined":
        _say(f"{what} {transaction.nonce} {reason or ''}".strip())


def _say(line: str) -> None:
    sys.stdout.write(f"{line} {time.monotonic():.3f}\n")
    sys.stdout.flush()


class OutboxRepository:
    """Reads an outbox in the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def states(self) -> dict[str, tuple[OutboxState, int | None]]:
        """State of each record, and its sequence on the chain once it is mined, by idempotency key."""
        columns = outbox_records.c
        query = select(columns.idempotency_key, columns.state, columns.sequence)
        return {key: (OutboxState(state), sequence) for key, state, sequence in self._connection.execute(query)}

    def count_sent_again(self) -> int:
        """Number of records that were in several transactions, each of which has a nonce of its own."""
        tries = func.count(distinct(outbox_attempts.c.transaction_id))
        query = select(outbox_attempts.c.record_id).group_by(outbox_attempts.c.record_id).having(tries > 1)
        return len(self._connection.execute(query).all())


if __name__ == "__main__":
    main(sys.argv[1])
