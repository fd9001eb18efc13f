"""Writes calls, offers, withdrawals and plans as entries of the company's own stream, within the caller's transaction.

The book has the entry before the anchor is sent; the anchor covers whatever was written, so the next one makes up for
one that was lost.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from millmark.ledger.canonical import Json, canonical_json
from millmark.ledger.errors import InputError
from millmark.ledger.evidence import SALT_BYTES, EvidenceEntry, LeafKind, build_leaf_data
from millmark.ledger.merkle import Tree, leaf_hash
from millmark.ledger.plans.call import Call, Objective
from millmark.ledger.plans.offer import Offer, OfferWithdrawal
from millmark.ledger.plans.plan import Plan
from millmark.ledger.signatures import Signer
from millmark.ledger.store import Book, Connection
from millmark.services.planning.grounds import PlanningGround
from millmark.services.planning.handing import KIND_OF
from millmark.services.planning.papers import build_seal
from millmark.services.planning.repository import CallRow, LeafRow, PlanningRepository, PlanRow, What


@dataclass(frozen=True, slots=True)
class OwnStream:
    """A stream of this company whose evidence its book keeps."""

    subject: bytes
    owner: int
    anchored: int
    """How many entries are anchored."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """What was written, and what is to be anchored now."""

    leaves: tuple[bytes, ...]
    """Leaf hashes of the new entries."""
    first: int
    """Index of the first of them."""
    size: int
    root: bytes


def seal_call(
    connection: Connection, stream: OwnStream, call: Call, objective: Objective, asked: Sequence[int]
) -> Sealed:
    """Writes a call. `asked`: the companies to whom it goes."""
    sealed = _append(connection, stream, [(What.CALL, call.digest, call.to_json())])
    text = canonical_json(objective.to_json()).decode()
    row = CallRow(call.digest, sealed.leaves[0], call.coordinator, call.closes, text, " ".join(map(str, sorted(asked))))
    PlanningRepository(connection).put_call(row)
    return sealed


def seal_offers(connection: Connection, stream: OwnStream, entries: Sequence[Offer | OfferWithdrawal]) -> Sealed:
    """Writes offers and withdrawals of one machine."""
    kinds = [What.OFFER if isinstance(one, Offer) else What.WITHDRAWAL for one in entries]
    listed = [(what, one.call, one.to_json()) for what, one in zip(kinds, entries, strict=True)]
    return _append(connection, stream, listed)


def seal_plan(connection: Connection, stream: OwnStream, call: Call, plan: Plan, signer: Signer) -> Sealed:
    """Writes a plan for a call, signed by its coordinator, and keeps its document in the book. Raises PlanningError if
    it is too large, SigningError."""
    seal, claims = build_seal(plan, call.chain_id, call.ledger, signer)
    Book(connection).put_document(claims.root, json.dumps(claims.to_json()))
    sealed = _append(connection, stream, [(What.PLAN, plan.call, seal.to_json())])
    PlanningRepository(connection).put_plan(
        PlanRow(plan.digest, plan.call, sealed.leaves[0], claims.root, sealed.first)
    )
    return sealed


def seal_signals(connection: Connection, stream: OwnStream, forecast: bytes, signals: Sequence[Json]) -> Sealed:
    """Writes what owners of machines are told of a forecast, by its digest: at least one entry."""
    return _append(connection, stream, [(What.SIGNAL, forecast, one) for one in signals])


def seal_event(connection: Connection, stream: OwnStream, entry: Mapping[str, Json]) -> Sealed:
    """Writes what no record and no entry of another stream says: what happened, or that a forecast was made."""
    book = Book(connection)
    size = verify_kept(book, stream)
    made = _entry(LeafKind.EVENT, size, entry)
    book.add_evidence(stream.subject, [made])
    return _sealed(book, stream, [made])


def _append(connection: Connection, stream: OwnStream, entries: Sequence[tuple[str, bytes, Json]]) -> Sealed:
    book, planning = Book(connection), PlanningRepository(connection)
    size = verify_kept(book, stream)
    made = [_entry(KIND_OF[what], size + place, value) for place, (what, _, value) in enumerate(entries)]
    book.add_evidence(stream.subject, made)
    for entry, (what, call, value) in zip(made, entries, strict=True):
        text = canonical_json(value).decode()
        place = stream.owner, stream.subject, entry.index, entry.salt, text, 0, b"", 0
        planning.add_leaf(LeafRow(entry.leaf_hash, call, what, *place))
    return _sealed(book, stream, made)


def verify_kept(book: Book, stream: OwnStream) -> int:
    """How many entries the book has. Raises InputError if the stream is captured elsewhere."""
    size = book.evidence_size(stream.subject)
    if size < stream.anchored:
        raise InputError(
            PlanningGround.KEPT_ELSEWHERE.write(),
            hint="open a stream of its own for offers or plans",
        )
    return size


def _entry(kind: LeafKind, index: int, value: Json) -> EvidenceEntry:
    salt = secrets.token_bytes(SALT_BYTES)
    return EvidenceEntry(index, salt, value, leaf_hash(build_leaf_data(kind, salt, value)), kind)


def _sealed(book: Book, stream: OwnStream, made: Sequence[EvidenceEntry]) -> Sealed:
    size = made[-1].index + 1
    root = Tree(book.leaves(stream.subject, size)).root()
    return Sealed(tuple(one.leaf_hash for one in made), made[0].index, size, root)
