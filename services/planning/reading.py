"""What this company knows of a call: its offers, which of them count, and its plans."""

from __future__ import annotations

from collections.abc import Iterable

from millmark.ledger.canonical import parse_json, to_hex
from millmark.ledger.errors import NotFoundError
from millmark.ledger.merkle import Tree
from millmark.ledger.plans.call import Call, Objective, parse_objective
from millmark.ledger.plans.check import Counted, count_offers
from millmark.ledger.plans.file import Machine, PlanFile, PlanPart
from millmark.ledger.plans.offer import Anchored, Offer, OpenedOffer, parse_offer, parse_offer_withdrawal
from millmark.ledger.plans.plan import Plan
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.rows import AnchorRow, MachineRow
from millmark.services.planning.books import find_capability, find_claims
from millmark.services.planning.errors import PlanningError
from millmark.services.planning.handing import find_call
from millmark.services.planning.papers import parse_seal, read_part, read_plan
from millmark.services.planning.repository import LeafRow, PlanningRepository, PlanRow, What

_MAX_BYTES = 16 << 20
_DEPTH = 12


def need_call(rows: Rows, digest: bytes) -> Call:
    """Raises NotFoundError."""
    call = find_call(rows, digest)
    if call is None:
        raise NotFoundError(f"no call {to_hex(digest)} is known here", hint="see `millmark plan list`")
    return call


def find_objective(planning: PlanningRepository, call: Call) -> Objective | None:
    """The objective of a call; None where it is not shown."""
    row = planning.call(call.digest)
    if row is None or not row.objective:
        return None
    return parse_objective(parse_json(row.objective.encode(), max_bytes=_MAX_BYTES, max_depth=_DEPTH))


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
        self._trees: dict[tuple[bytes, int], Tree] = {}

    def open(self, row: LeafRow) -> OpenedOffer:
        value = row.value
        entry = parse_offer(value) if row.what == What.OFFER else parse_offer_withdrawal(value)
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
            tree = self._trees[row.stream, size] = Tree(book.leaves(row.stream, size))
        if tree.size < size:
            raise PlanningError("the book lacks entries of a stream", hint="restore the private book from a backup")
        return tuple(tree.inclusion_proof(row.leaf_index))
