"""What the pages of planning work with: the company's database, home and key, and the records that they ask for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.ids import SubjectKind
from millmark.ledger.provenance.reader import Reader as NameReader
from millmark.ledger.provenance.reader import build_reader, find_machine, find_subject
from millmark.ledger.records import Anchor, Record, Role
from millmark.ledger.signatures import Signer
from millmark.ledger.store import Connection, Lineage, Store
from millmark.ledger.store.rows import ParticipantRow
from millmark.services.access import Principal
from millmark.services.planning.attempts import PlanMaker
from millmark.services.planning.sealing import OwnStream, Sealed
from millmark.services.planning.shelf import Shelf, shelf_on
from millmark.services.planning.showing import Reader
from millmark.services.planning.tying import Ties
from millmark.services.portal.acting.desk import Asked, Desk, Wish

__all__ = [
    "Workshop",
    "find_company",
    "find_number",
    "find_order",
    "key_of",
    "list_companies",
    "name_reader",
    "plan_reader",
]


@dataclass(frozen=True, slots=True)
class Workshop:
    """`home`: the folder with the calendar and the objective; `signer`: the key that signs plans. Pages that need one
    that is not there say so."""

    store: Store
    desk: Desk
    home: Path | None
    signer: Signer | None
    ties: Ties
    clock: Callable[[], int]
    maker: PlanMaker
    lock: Lock = field(default_factory=Lock)

    def company(self, principal: Principal) -> int:
        """The company that the gateway records for. Raises NotFoundError if it records for none."""
        found = self.desk.company(principal)
        if not found:
            raise NotFoundError("this gateway records for no company")
        return found

    def need_home(self) -> Path:
        """Raises InputError."""
        if self.home is None:
            raise InputError("this gateway has no home folder", hint="start it with `millmark gateway`")
        return self.home

    def record(self, principal: Principal, operation: str, key: str, asked: Asked, body: Mapping[str, Any]) -> int:
        """Queues a record and returns its number; under the same key, the same one."""
        made = self.desk.body(operation).model_validate(dict(body))
        return self.desk.record(Wish(operation, key, asked, made), principal)

    def seal(self, principal: Principal, key: str, write: Callable[[Shelf], tuple[OwnStream, Sealed]]) -> int:
        """Writes entries of the company's own stream and has them anchored, in one transaction: what is written without
        its anchor would be written again when the form is sent again. Returns the number of the record. Nothing is
        written for a form that was sent before: its key finds its record."""

        def work(connection: Connection) -> Record:
            stream, sealed = write(shelf_on(connection))
            return Anchor(stream.subject, sealed.size, sealed.root)

        with self.lock:
            return self.desk.seal(key, principal, work)


def name_reader(shelf: Shelf, principal: Principal) -> NameReader:
    return build_reader(shelf.rows, shelf.book, Lineage(shelf.connection), principal.viewer)


def plan_reader(shelf: Shelf, me: int) -> Reader:
    return Reader(shelf.rows, shelf.book, shelf.planning, me)


def find_company(shelf: Shelf, name: str) -> int:
    """A company by its number or its name. Raises NotFoundError."""
    if name.isdecimal() and len(name) < 10:
        return int(name)
    found = [number for number, its in shelf.book.names().items() if its.casefold() == name.casefold()]
    if len(found) != 1:
        raise NotFoundError(f"{len(found) or 'no'} companies are called {name[:80]!a} here", hint="give its number")
    return found[0]


def find_order(names: NameReader, name: str) -> bytes:
    """An order by its identifier, the last part of it, or its subject. Raises NotFoundError, InputError."""
    return find_subject(names, name, SubjectKind.ORDER)[1]


def find_number(names: NameReader, name: str) -> int:
    """The number of a machine, by that, its identifier or the last part of it. Raises NotFoundError, InputError."""
    return find_machine(names, int(name) if name.isdecimal() and len(name) < 13 else name).number


def list_companies(shelf: Shelf, role: Role) -> list[tuple[int, str | None]]:
    """Numbers, ascending, and names of the companies that have this role and are not suspended."""
    names = shelf.book.names()
    rows = shelf.rows.find(ParticipantRow, suspended=False)
    return [(row.number, names.get(row.number)) for row in sorted(rows, key=_number) if Role(row.roles) & role]


def key_of(key: str, *parts: object) -> str:
    """The key of one of several records that a form leads to: always the same one."""
    text = "\n".join(map(str, (key, *parts)))
    return hashlib.sha256(text.encode()).hexdigest()


def _number(row: ParticipantRow) -> int:
    return row.number
