"""What planning reads in a company's own database: documents, what is known of a call, its offers and its plans."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from millmark.ledger import canonical, errors, merkle
from millmark.ledger.claims import Claims, Field, parse_claims
from millmark.ledger.plans.call import Call, Capability, Objective, parse_capability
from millmark.ledger.plans.check import Counted, count_offers
from millmark.ledger.plans.file import Machine, PlanFile, PlanPart
from millmark.ledger.plans.offer import Anchored, Offer, OfferWithdrawal, OpenedOffer
from millmark.ledger.plans.plan import Plan
from millmark.ledger.store import Book, Connection, Rows, Store
from millmark.ledger.store.rows import AnchorRow, AssignmentRow, MachineRow, StreamRow
from millmark.services.planning.errors import PlanningError, PlanningGround
from millmark.services.planning.repository import LeafRow, PlanningRepository, PlanRow, What
from millmark.services.planning.stream_entries import OwnStream, Sealed, find_call, parse_seal, read_part, read_plan

_CAPABILITY = "capability"


def find_claims(book: Book, root: bytes) -> Claims | None:
    """The document with a claims root; None if it is not here."""
    stored = book.document(root)
    return None if stored is None else parse_claims(json.loads(stored))


def find_capability(book: Book, root: bytes) -> tuple[Capability, ...]:
    """What a machine declares in its claims; nothing if it declares nothing, or its claims are not here. Raises
    PlanError if it is malformed."""
    claims = find_claims(book, root)
    shown = None if claims is None else assemble(claims, _CAPABILITY)
    return () if shown is None else parse_capability(shown)


def assemble(claims: Claims, member: str) -> canonical.Json:
    """A member of a document; None if the document lacks it. Other members may be erased. Raises PlanError."""
    fields = tuple((path, field) for path, field in claims.fields if path[:1] == (member,))
    if not fields:
        return None
    if any(not isinstance(field, Field) for _, field in fields):
        raise errors.PlanError(f"{member} is erased in a document, or was not handed over")
    whole = cast("Mapping[str, canonical.Json]", Claims(fields).document)  # whose paths all begin with the member
    return whole[member]


_MAX_BYTES = 16 << 20
_DEPTH = 12


def need_call(rows: Rows, digest: bytes) -> Call:
    """Raises NotFoundError."""
    call = find_call(rows, digest)
    if call is None:
        raise errors.NotFoundError(f"no call {canonical.to_hex(digest)} is known here", hint="see `millmark plan list`")
    return call


def find_objective(planning: PlanningRepository, call: Call) -> Objective | None:
    """The objective of a call; None where it is not shown."""
    row = planning.call(call.digest)
    if row is None or not row.objective:
        return None
    return Objective.parse(canonical.parse_json(row.objective.encode(), max_bytes=_MAX_BYTES, max_depth=_DEPTH))


def open_offers(rows: Rows, planning: PlanningRepository, digest: bytes, book: Book | None = None) -> list[OpenedOffer]:
    """All offers and withdrawals for a call that are known here, opened. Without the book, those that were made here
    lack their proofs."""
    listed = [*planning.leaves(digest, What.OFFER), *planning.leaves(digest, What.WITHDRAWAL)]
    opener = _Opener(rows, book)
    return [opener.open(row) for row in listed]


def count_known(rows: Rows, book: Book, planning: PlanningRepository, call: Call) -> Counted:
    """Which of the offers that are known here and anchored count, and why the others do not."""
    opened = [one for one in open_offers(rows, planning, call.digest, book) if one.anchored is not None]
    return count_offers(call, find_machines(rows, book, opened), opened)


def find_machines(rows: Rows, book: Book, opened: Iterable[OpenedOffer]) -> tuple[Machine, ...]:
    """The machines of the offers as the ledger has them, with what their documents declare as far as it is here."""
    numbers = {one.entry.machine for one in opened if isinstance(one.entry, Offer)}
    listed = sorted(rows.among(MachineRow, "number", numbers), key=lambda row: row.number)
    return tuple(Machine(row.number, row.owner, find_capability(book, row.claims_root)) for row in listed)


def find_plan(book: Book, row: PlanRow, leaf: LeafRow) -> Plan | None:
    """The whole plan; None where only a part of it is known."""
    claims = find_claims(book, row.claims_root)
    return None if claims is None else read_plan(claims, parse_seal(leaf.value))


def find_whole(book: Book, planning: PlanningRepository, digest: bytes) -> Plan | None:
    """A plan by its digest; None if it is not known here, or only in part."""
    row = planning.plan(digest)
    leaf = None if row is None else planning.leaf(row.leaf)
    return None if row is None or leaf is None else find_plan(book, row, leaf)


def find_part(book: Book, row: PlanRow, leaf: LeafRow, participant: int) -> PlanPart:
    """What is known of a plan. Raises PlanningError if nothing is."""
    claims = find_claims(book, row.claims_root)
    if claims is None:
        raise PlanningError("the document of the plan is not here", hint="its coordinator's gateway hands it over")
    return read_part(claims, parse_seal(leaf.value), participant)


def plan_file(
    rows: Rows, book: Book, planning: PlanningRepository, call: Call, plan: Plan | None, before: Plan | None = None
) -> PlanFile:
    """What a reader of the offers checks a plan by. Raises PlanningError where the objective is not known."""
    objective = find_objective(planning, call)
    if objective is None:
        raise PlanningError(
            "the call's objective is not shown to this company", hint="its readers check the whole plan"
        )
    opened = [one for one in open_offers(rows, planning, call.digest, book) if one.anchored is not None]
    return PlanFile(call, objective, find_machines(rows, book, opened), tuple(opened), plan, before)


class _Opener:
    """Opens entries. Of a stream, one tree serves all of its entries under the same anchor."""

    def __init__(self, rows: Rows, book: Book | None) -> None:
        self._rows, self._book = rows, book
        self._anchors: dict[bytes, list[AnchorRow]] = {}
        self._trees: dict[tuple[bytes, int], merkle.Tree] = {}

    def open(self, row: LeafRow) -> OpenedOffer:
        value = row.value
        entry = Offer.parse(value) if row.what == What.OFFER else OfferWithdrawal.parse(value)
        return OpenedOffer(entry, row.salt, self._anchored(row))

    def _anchored(self, row: LeafRow) -> Anchored | None:
        """Under the anchor by which it was handed over; one that was made here, under the first that covers it."""
        if row.stream not in self._anchors:
            self._anchors[row.stream] = self._rows.find(AnchorRow, stream=row.stream)
        anchors = self._anchors[row.stream]
        if row.sequence:
            found = next((one for one in anchors if one.sequence == row.sequence), None)
        else:
            found = min((one for one in anchors if one.size > row.leaf_index), key=lambda one: one.size, default=None)
        if found is None:
            return None
        hashes = row.hashes if row.sequence or self._book is None else self._prove(self._book, row, found.size)
        return Anchored(row.stream, row.leaf_index, found.size, found.root, hashes, found.sequence, found.anchored_at)

    def _prove(self, book: Book, row: LeafRow, size: int) -> tuple[bytes, ...]:
        tree = self._trees.get((row.stream, size))
        if tree is None:
            tree = self._trees[row.stream, size] = merkle.Tree(book.leaves(row.stream, size))
        if tree.size < size:
            raise PlanningError("the book lacks entries of a stream", hint="restore the private book from a backup")
        return tuple(tree.inclusion_proof(row.leaf_index))


# All that planning reads and writes within one transaction

_OFFERS = "offers"
"""How the stream of a machine ends whose other entries a node captures."""


@dataclass(frozen=True, slots=True)
class PlanningTables:
    """The database within one transaction."""

    connection: Connection
    rows: Rows
    book: Book
    planning: PlanningRepository

    def latest_row(self, call: bytes) -> PlanRow:
        """The latest plan for a call. Raises NotFoundError."""
        found = self.planning.plans(call)
        if not found:
            raise errors.NotFoundError(PlanningGround.NO_PLAN.write(), hint="its coordinator makes one")
        return found[-1]

    def latest_plan(self, call: bytes) -> Plan:
        """The latest plan for a call, whole. Raises NotFoundError, also where only a part of it is known."""
        plan, _ = self.whole_plan(self.latest_row(call).digest)
        if plan is None:
            raise errors.NotFoundError(PlanningGround.PART_ALONE.write(), hint="its coordinator does this")
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
            raise errors.InputError(what.write(count=str(len(found) or "no"), machine=machine), hint=hint)
        return OwnStream(found[0].subject, owner, found[0].size)

    def stream_of(self, subject: bytes, owner: int) -> OwnStream:
        """An own stream by its subject."""
        row = self.rows.get(StreamRow, subject)
        return OwnStream(subject, owner, 0 if row is None else row.size)

    def stream_of_plans(self, call: bytes, owner: int) -> OwnStream:
        """Where the plans for a call are, in their order. Raises NotFoundError."""
        leaf = self.planning.leaf(self.latest_row(call).leaf)
        if leaf is None:
            raise PlanningError("the home lacks the entry of the plan", hint="restore the database from a backup")
        return self.stream_of(leaf.stream, owner)

    def unanchored(self, stream: OwnStream) -> Sealed | None:
        """Entries of an own stream whose anchor was lost on the way; None if there are none."""
        size = self.book.evidence_size(stream.subject)
        if size <= stream.anchored:
            return None
        leaves = self.book.leaves(stream.subject, size)
        return Sealed(tuple(leaves[stream.anchored :]), stream.anchored, size, merkle.Tree(leaves).root())

    def need_assignment(self, number: int) -> AssignmentRow:
        """Raises InputError."""
        found = self.rows.get(AssignmentRow, number)
        if found is None:
            cause = PlanningGround.NO_ASSIGNMENT.write(assignment=number)
            raise errors.InputError(cause, hint="see `millmark assignments list`")
        return found


def is_for_offers(book: Book, row: StreamRow) -> bool:
    """Whether a stream's name says that it is for offers: then no node captures it."""
    identity = book.identity(row.subject)
    name = "" if identity is None else identity.identifier.rstrip("/").rpartition("/")[2].rpartition(":")[2]
    return name.lower() == _OFFERS or name.lower().endswith(f"-{_OFFERS}")


@contextmanager
def reading(store: Store) -> Iterator[PlanningTables]:
    with store.reading() as connection:
        yield tables_on(connection)


@contextmanager
def writing(store: Store) -> Iterator[PlanningTables]:
    with store.transaction() as connection:
        yield tables_on(connection)


def tables_on(connection: Connection) -> PlanningTables:
    """The database within a transaction that is open already."""
    return PlanningTables(connection, Rows(connection), Book(connection), PlanningRepository(connection))
