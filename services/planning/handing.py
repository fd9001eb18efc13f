"""What is handed over because of an anchor: which entries of the company's streams it covers, and to whom each goes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from millmark.ledger.canonical import Json
from millmark.ledger.claims import Claims, parse_claims
from millmark.ledger.errors import PlanError
from millmark.ledger.evidence import LeafKind
from millmark.ledger.merkle import Tree
from millmark.ledger.plans.call import Call, parse_call
from millmark.ledger.plans.offer import parse_offer
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.rows import DocumentRow, MachineRow
from millmark.services.planning.errors import PlanningError
from millmark.services.planning.leaves import OpenedLeaf
from millmark.services.planning.papers import list_shown, parse_seal, read_plan
from millmark.services.planning.repository import CallRow, LeafRow, What, own_leaves

KIND_OF = {
    What.CALL: LeafKind.PLAN,
    What.OFFER: LeafKind.OFFER,
    What.WITHDRAWAL: LeafKind.OFFER,
    What.PLAN: LeafKind.PLAN,
    What.SIGNAL: LeafKind.PLAN,
}
Paths = tuple[tuple[str, ...], ...]


def covered(rows: Rows, stream: bytes, sequence: int, size: int) -> Sequence[LeafRow]:
    """The company's entries that an anchor is the first to cover."""
    return own_leaves(rows, stream, sequence, size)


def find_call(rows: Rows, digest: bytes) -> Call | None:
    """A call that is known here."""
    row = rows.get(CallRow, digest)
    leaf = None if row is None else rows.get(LeafRow, row.leaf)
    return None if leaf is None else parse_call(leaf.value)


def called(rows: Rows, leaf: LeafRow) -> set[int]:
    """To whom a call goes."""
    row = rows.get(CallRow, leaf.call)
    return set() if row is None else set(row.called)


def readers(rows: Rows, leaf: LeafRow) -> set[int]:
    """Whom the call names as readers of its offers."""
    call = find_call(rows, leaf.call)
    return set() if call is None else set(call.readers)


def coordinator_and_readers(rows: Rows, leaf: LeafRow) -> set[int]:
    call = find_call(rows, leaf.call)
    return set() if call is None else {call.coordinator, *call.readers}


def owners_and_carriers(rows: Rows, leaf: LeafRow) -> set[int]:
    """Who made offers for the call of a plan, and who carries something by it; readers get it whole."""
    offers = rows.find(LeafRow, call=leaf.call, what=What.OFFER)
    return ({row.owner for row in offers} | _carriers(rows, leaf)) - readers(rows, leaf)


def signalled(_rows: Rows, leaf: LeafRow) -> set[int]:
    """Whom a capacity signal tells what is expected of its machines."""
    return {_to(leaf.value)}


def _to(value: Json) -> int:
    to = value.get("to") if isinstance(value, dict) else None
    return to if isinstance(to, int) else 0


def objective_of(rows: Rows, leaf: LeafRow) -> str:
    """The objective of a call, in canonical JSON; empty if it is not known."""
    row = rows.get(CallRow, leaf.call)
    return "" if row is None else row.objective


def machines_of(rows: Rows, leaf: LeafRow) -> list[MachineRow]:
    """The machine that an offer is of."""
    try:
        found = rows.get(MachineRow, parse_offer(leaf.value).machine)
    except PlanError:
        found = None
    return [] if found is None else [found]


def plan_paths(rows: Rows, leaf: LeafRow, participant: int) -> tuple[bytes, Paths]:
    """The claims root of a plan's document, and the paths that a participant may read who reads no offers."""
    seal = parse_seal(leaf.value)
    claims = _claims(rows, seal.claims)
    paths = () if claims is None else list_shown(claims, participant)
    return seal.claims, tuple(tuple(map(str, path)) for path in paths)


def open_leaves(rows: Rows, book: Book, stream: bytes, size: int, wanted: Iterable[bytes]) -> list[OpenedLeaf]:
    """Opens own entries, with proofs in the tree of this size. Raises PlanningError if the book lacks the stream."""
    listed = [row for row in rows.among(LeafRow, "leaf", wanted) if row.stream == stream]
    if not listed:
        return []
    leaves = book.leaves(stream, size)
    if len(leaves) < size:
        raise PlanningError("the book lacks entries of the stream", hint="restore the private book from a backup")
    tree = Tree(leaves)
    opened = (
        OpenedLeaf(KIND_OF[row.what], row.leaf_index, row.salt, row.value, tuple(tree.inclusion_proof(row.leaf_index)))
        for row in listed
    )
    return sorted(opened, key=lambda one: one.index)


def _carriers(rows: Rows, leaf: LeafRow) -> set[int]:
    seal = parse_seal(leaf.value)
    claims = _claims(rows, seal.claims)
    plan = None if claims is None else read_plan(claims, seal)
    return set() if plan is None else {leg.carrier for leg in plan.legs} - {0}


def _claims(rows: Rows, root: bytes) -> Claims | None:
    row = rows.get(DocumentRow, root)
    return None if row is None else parse_claims(json.loads(row.document))
