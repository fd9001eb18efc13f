"""The inbox of proposed setpoints at the gateway of the machine's owner: durable, and answered through the evidence."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.store import Book, Rows, Store
from millmark.ledger.store.rows import MachineRow, StreamRow
from millmark.services.setpoints.document import SetpointDocument
from millmark.services.setpoints.repository import SetpointRepository, SetpointRow
from millmark.services.setpoints.views import SetpointShown, SetpointState, show_setpoint, state_of

MOST_OPEN_S = 7 * 86_400
"""Longest time for which a proposal may stay open."""


def _now() -> int:
    return int(time.time())


@dataclass(frozen=True, slots=True)
class Inbox:
    """Proposals for the machines of one company."""

    store: Store
    clock: Callable[[], int] = field(default=_now)
    """Unix seconds."""

    def propose(
        self, company: int | None, document: SetpointDocument, open_s: int, stream: bytes | None = None
    ) -> SetpointShown:
        """Put a proposal into the inbox for `open_s` seconds. A document that is open already is not put in twice.

        `company`: whose machine it must be; None where the gateway does not say whose it is: then whoever answers
        must own it. `stream`: where the answer is to be recorded; by default the machine's only stream. Raises
        NotFoundError for a machine that is not known, InputError for one of another company or without such a stream.
        """
        with self.store.transaction() as connection:
            rows, book = Rows(connection), Book(connection)
            return put_proposal(rows, book, company, document, open_s, stream, self.clock())

    def get(self, number: int) -> SetpointShown:
        """Raises NotFoundError."""
        with self.store.reading() as connection:
            repository = SetpointRepository(Rows(connection))
            row = repository.get(number)
            if row is None:
                raise NotFoundError(f"there is no proposal {number}", hint="millmark setpoints list")
            return show_setpoint(Book(connection), repository, row, self.clock())

    def page(self, before: int | None, most: int) -> list[SetpointShown]:
        """Those with a smaller number than `before`, the latest first."""
        now = self.clock()
        with self.store.reading() as connection:
            repository, book = SetpointRepository(Rows(connection)), Book(connection)
            return [show_setpoint(book, repository, row, now) for row in repository.before(before, most)]

    def of_machine(self, machine: int, most: int = 20) -> list[SetpointShown]:
        """Proposals for a machine, the latest first."""
        now = self.clock()
        with self.store.reading() as connection:
            repository, book = SetpointRepository(Rows(connection)), Book(connection)
            return [show_setpoint(book, repository, row, now) for row in repository.latest(most, machine)]


def put_proposal(
    rows: Rows,
    book: Book,
    company: int | None,
    document: SetpointDocument,
    open_s: int,
    stream: bytes | None,
    now: int,
) -> SetpointShown:
    """As `Inbox.propose`, within the caller's transaction."""
    if not 1 <= open_s <= MOST_OPEN_S:
        raise InputError(f"a proposal cannot be open for {open_s} s", hint=f"1 to {MOST_OPEN_S} seconds")
    repository = SetpointRepository(rows)
    found = _find_stream(rows, company, document.machine, stream)
    for known in repository.with_digest(document.digest):
        if state_of(book, repository, known, now) is SetpointState.OPEN:
            return show_setpoint(book, repository, known, now)
    number, content = repository.next_number(), document.build().decode()
    row = SetpointRow(number, document.machine, found, document.digest, content, now, now + open_s)
    repository.add(row)
    return show_setpoint(book, repository, row, now)


def _find_stream(rows: Rows, company: int | None, machine: int, stream: bytes | None) -> bytes:
    row = rows.get(MachineRow, machine)
    if row is None:
        raise NotFoundError(f"there is no machine {machine}", hint="millmark machines list")
    if company is not None and row.owner != company:
        raise InputError(f"machine {machine} is of another company", hint="its owner's gateway takes proposals for it")
    found = [one.subject for one in rows.find(StreamRow, machine=machine) if stream in (None, one.subject)]
    if len(found) != 1:
        raise InputError(
            f"{len(found)} streams of machine {machine} are meant", hint="name one in which answers are recorded"
        )
    return found[0]
