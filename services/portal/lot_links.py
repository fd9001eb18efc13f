"""What a lot's page leads to: its passport, proof, label and bundle, a recall of it, and its documents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from millmark.ledger.errors import IdentifierError
from millmark.ledger.ids import parse_digital_link
from millmark.ledger.provenance import open_reader
from millmark.ledger.provenance.answers import Lot
from millmark.ledger.store import Book, Store
from millmark.services.access import EXAMINERS, Principal, Scope
from millmark.services.portal.recall_view import may_recall_lot
from millmark.services.portal.resolver import Code

__all__ = ["LotLink", "find_lot_links"]


@dataclass(frozen=True, slots=True)
class LotLink:
    """A link, and the catalogue key of its text after `lot.link.`."""

    key: str
    path: str
    download: bool = False


def find_lot_links(store: Store, lot: Lot, principal: Principal) -> tuple[LotLink, ...]:
    """The links that the caller may follow."""
    with open_reader(store, principal.viewer) as reader:
        recallable = bool(principal.roles & EXAMINERS) and may_recall_lot(reader, lot.subject)
    return (*_of_code(store, lot, principal), *_of_lot(lot, principal, recallable=recallable))


def _of_code(store: Store, lot: Lot, principal: Principal) -> Iterator[LotLink]:
    """What the code on the lot opens. Its salt is for whoever has the part, and for the company whose book it is in."""
    if principal.viewer not in (None, lot.holder.participant, lot.custodian.participant):
        return
    with store.reading() as connection:
        identity = Book(connection).identity(lot.subject)
    if identity is None:
        return
    try:
        code = Code(parse_digital_link(identity.identifier), identity.salt)
    except IdentifierError:
        return  # other identifiers have no code that a browser opens
    yield LotLink("passport", code.path())
    yield LotLink("proof", f"{code.path()}#proof")
    for what in ("label", "bundle"):
        yield LotLink(what, code.path(what), download=what == "bundle")


def _of_lot(lot: Lot, principal: Principal, *, recallable: bool) -> Iterator[LotLink]:
    name = lot.subject.hex()
    if recallable:
        yield LotLink("recall", f"/portal/recall?lot=0x{name}")
    if Scope.DOCUMENTS in principal.scopes:
        yield LotLink("documents", f"/portal/documents?about={name}")
