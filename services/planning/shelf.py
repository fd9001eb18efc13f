"""What planning reads and writes in a company's own database, within one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.merkle import Tree
from millmark.ledger.plans.plan import Plan
from millmark.ledger.store import Book, Connection, Rows, Store
from millmark.ledger.store.rows import AssignmentRow, StreamRow
from millmark.services.planning.errors import PlanningError
from millmark.services.planning.grounds import PlanningGround
from millmark.services.planning.reading import find_whole
from millmark.services.planning.repository import PlanningRepository, PlanRow
from millmark.services.planning.sealing import OwnStream, Sealed

_OFFERS = "offers"
"""How the stream of a machine ends whose other entries a node captures."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """The database within one transaction."""

    connection: Connection
    rows: Rows
    book: Book
    planning: PlanningRepository

    def latest_row(self, call: bytes) -> PlanRow:
        """The latest plan for a call. Raises NotFoundError."""
        found = self.planning.plans(call)
        if not found:
            raise NotFoundError(PlanningGround.NO_PLAN.write(), hint="its coordinator makes one")
        return found[-1]

    def latest_plan(self, call: bytes) -> Plan:
        """The latest plan for a call, whole. Raises NotFoundError, also where only a part of it is known."""
        plan, _ = self.whole_plan(self.latest_row(call).digest)
        if plan is None:
            raise NotFoundError(PlanningGround.PART_ALONE.write(), hint="its coordinator does this")
        return plan

    def whole_plan(self, digest: bytes) -> tuple[Plan | None, Plan | None]:
        """A plan and the one that it replaces; None where it is not known, or only in part."""
        plan = find_whole(self.book, self.planning, digest)
        before = None if plan is None or plan.before is None else find_whole(self.book, self.planning, plan.before)
        return plan, before

    def stream(self, owner: int, machine: int | None, subject: bytes | None = None) -> OwnStream:
        """A company's stream of a machine, or its stream for plans, or of these the one with a subject. Raises
        InputError unless there is exactly one, or one whose name says that it is for offers."""
        found = self.rows.find(StreamRow, owner=owner, machine=machine or 0)
        if subject is not None:
            found = [row for row in found if row.subject == subject]
        if len(found) > 1:
            found = [row for row in found if is_for_offers(self.book, row)] or found
        if len(found) != 1:
            hint = "name one with --stream" if found else "open one: `millmark streams open`"
            what = PlanningGround.STREAMS_FOR_PLANS if machine is None else PlanningGround.STREAMS_OF_MACHINE
            raise InputError(what.write(count=str(len(found) or "no"), machine=machine), hint=hint)
        return OwnStream(found[0].subject, owner, found[0].size)

    def stream_of(self, subject: bytes, owner: int) -> OwnStream:
        """An own stream by its subject."""
        row = self.rows.get(StreamRow, subject)
        return OwnStream(subject, owner, 0 if row is None else row.size)

    def stream_of_plans(self, call: bytes, owner: int) -> OwnStream:
        """Where the plans for a call are, in their order. Raises NotFoundError."""
        leaf = self.planning.leaf(self.latest_row(call).leaf)
        if leaf is None:
            raise PlanningError("the entry of the plan is not here", hint="restore the database from a backup")
        return self.stream_of(leaf.stream, owner)

    def unanchored(self, stream: OwnStream) -> Sealed | None:
        """Entries of an own stream whose anchor was lost on the way; None if there are none."""
        size = self.book.evidence_size(stream.subject)
        if size <= stream.anchored:
            return None
        leaves = self.book.leaves(stream.subject, size)
        return Sealed(tuple(leaves[stream.anchored :]), stream.anchored, size, Tree(leaves).root())

    def need_assignment(self, number: int) -> AssignmentRow:
        """Raises InputError."""
        found = self.rows.get(AssignmentRow, number)
        if found is None:
            cause = PlanningGround.NO_ASSIGNMENT.write(assignment=number)
            raise InputError(cause, hint="see `millmark assignments list`")
        return found


def is_for_offers(book: Book, row: StreamRow) -> bool:
    """Whether a stream's name says that it is for offers: then no node captures it."""
    identity = book.identity(row.subject)
    name = "" if identity is None else identity.identifier.rstrip("/").rpartition("/")[2].rpartition(":")[2]
    return name.lower() == _OFFERS or name.lower().endswith(f"-{_OFFERS}")


@contextmanager
def reading(store: Store) -> Iterator[Shelf]:
    with store.reading() as connection:
        yield shelf_on(connection)


@contextmanager
def writing(store: Store) -> Iterator[Shelf]:
    with store.transaction() as connection:
        yield shelf_on(connection)


def shelf_on(connection: Connection) -> Shelf:
    """The database within a transaction that is open already."""
    return Shelf(connection, Rows(connection), Book(connection), PlanningRepository(connection))
