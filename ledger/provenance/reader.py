"""Looks up what every answer needs: names, identifiers, lots and who has them, certificates and whether they count."""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeAlias, TypeVar

from ledger.errors import NotFoundError, StoreDamagedError
from ledger.provenance import answers
from ledger.provenance.jsonform import moment
from ledger.provenance.limits import Limits
from ledger.provenance.lots import Lots
from ledger.provenance.permissions import View
from ledger.records import CertificateState, CertificateStatus, LotState, ModelState, Verdict
from ledger.store import Book, Lineage, Rows, Store
from ledger.store.rows import (
    AssignmentRow,
    CertificateRow,
    ChainIdentityRow,
    CursorRow,
    LotRow,
    MachineRow,
    ModelRow,
)

R = TypeVar("R")
Nearest: TypeAlias = "list[tuple[bytes, int]]"
"""Lots and their distance."""
Walk: TypeAlias = "Callable[[Collection[bytes], int, int], Nearest]"
"""A method of Lineage."""
MEND_INDEX = "rebuild the index"


class Direction(enum.Enum):
    """Which way a trace looks."""

    UP = "up"
    """To what a lot was made from."""
    DOWN = "down"
    """To what was made of it."""
    BOTH = "both"


class Reader:
    """One state of the store, and what was read of it so far. With a view, only what there is for its participant is
    found and called by name."""

    def __init__(self, rows: Rows, book: Book, lineage: Lineage, view: View | None = None) -> None:
        self.rows, self.book, self.lineage, self.view = rows, book, lineage, view
        identity, cursor = rows.get(ChainIdentityRow, 1), rows.get(CursorRow, 1)
        if identity is None or cursor is None:
            raise NotFoundError("nothing is indexed yet", hint="follow the chain first")
        self.identity, self.cursor = identity, cursor
        self._names = book.names()
        self._identifiers: dict[bytes, str] = {}
        self._named: set[bytes] = set()
        """Whose identifiers were looked up."""
        self._rows_of_lots = Lots(rows) if view is None else view.rows_of_lots
        self._lots: dict[bytes, LotRow] = {}
        self._models: dict[int, answers.Model] = {}
        self._machines: dict[int, answers.Machine] = {}

    def state(self) -> Hashable:
        """The same as long as answers are: what an answer depends on is the index's block and the names in the book."""
        return self.cursor.block_number, self.cursor.block_hash, self.cursor.digest, self.book.revision()

    def as_of(self) -> answers.AsOf:
        return answers.AsOf(
            chain_id=self.identity.chain_id,
            ledger=self.identity.ledger,
            block_number=self.cursor.block_number,
            block_hash=self.cursor.block_hash,
            time=moment(self.cursor.block_time),
            registry_sequence=self.cursor.registry_sequence,
            ledger_sequence=self.cursor.ledger_sequence,
            digest=self.cursor.digest,
        )

    def need(self, kind: type[R], *key: int | bytes) -> R:
        """A row that another row names. Its absence would be a fault of the index."""
        row = self.rows.get(kind, *key)
        if row is None:
            raise NotFoundError(f"the index lacks a {kind.__name__.removesuffix('Row').lower()}", hint=MEND_INDEX)
        return row

    def party(self, participant: int) -> answers.Party:
        return answers.Party(participant, self._names.get(participant))

    def some_party(self, participant: int) -> answers.Party | None:
        return self.party(participant) if participant else None

    def name(self, subjects: Iterable[bytes]) -> None:
        """Looks up many identifiers at once; `identifier` has them afterwards."""
        new = set(subjects) - self._named
        if not new:
            return
        names = self.book if self.view is None else self.view
        self._identifiers.update(names.identifiers(new))
        self._named |= new

    def identifier(self, subject: bytes) -> str | None:
        return self._identifiers.get(subject)

    def machine(self, number: int) -> answers.Machine:
        if number not in self._machines:
            row = self.need(MachineRow, number)
            self.name([row.subject])
            self._machines[number] = answers.Machine(number, self.identifier(row.subject), self.party(row.owner))
        return self._machines[number]

    def model(self, number: int) -> answers.Model:
        if number not in self._models:
            row = self.need(ModelRow, number)
            self._models[number] = answers.Model(
                model=number,
                digest=row.digest,
                code=row.code,
                state=ModelState(row.state),
                inspector=self.party(row.inspector),
                approver=self.some_party(row.approver),
                withdrawn_at=moment(row.withdrawn_at),
                defective_since=moment(row.defective_since),
            )
        return self._models[number]

    # Lots

    def load(self, subjects: Iterable[bytes]) -> None:
        """Reads many lots at once, what they are packed in, and what they are called."""
        wanted = {subject for subject in subjects if subject not in self._lots}
        while wanted:
            found = self._rows_of_lots.among(wanted)
            self._lots.update((row.subject, row) for row in found)
            self.name(wanted)
            wanted = {row.parent for row in found if row.parent and row.parent not in self._lots}

    def lot(self, subject: bytes) -> LotRow:
        if subject not in self._lots:
            self.load([subject])
        if subject not in self._lots:
            raise NotFoundError(f"the index lacks lot 0x{subject.hex()}", hint=MEND_INDEX)
        return self._lots[subject]

    def carriers(self, subject: bytes) -> Nearest:
        """What a lot is packed in, innermost first."""
        found: dict[bytes, int] = {}
        parent = self.lot(subject).parent
        while parent is not None:
            if parent in found or parent == subject:
                raise StoreDamagedError(f"the index has lot 0x{parent.hex()} packed in itself", hint=MEND_INDEX)
            found[parent] = len(found) + 1
            parent = self.lot(parent).parent
        return list(found.items())

    def holder(self, subject: bytes) -> int:
        """Who has a lot in fact: while it is packed its own custodian says nothing."""
        return self.lot(([(subject, 0), *self.carriers(subject)])[-1][0]).custodian

    def nearest(
        self, part: str, walk: Walk, start: Collection[bytes], limits: Limits
    ) -> tuple[Nearest, tuple[answers.Cut, ...]]:
        """Whatever a walk of Lineage finds beyond its start, and whether `limits` cut it off: it looks one step and one
        lot further than it answers. `part` is the answer's name."""
        start = set(start)
        beyond = walk(start, limits.depth + 1, limits.lots + len(start) + 1)[len(start) :]
        found = [(lot, depth) for lot, depth in beyond if depth <= limits.depth]
        if len(found) > limits.lots:
            return found[: limits.lots], (answers.Cut(part, "lots", limits.lots),)
        return found, (answers.Cut(part, "depth", limits.depth),) if len(found) < len(beyond) else ()

    def related(self, lots: Nearest) -> tuple[answers.RelatedLot, ...]:
        self.load(lot for lot, _ in lots)
        rows = [self.lot(lot) for lot, _ in lots]
        latest = {row.sequence: row for row in self.certificate_rows(row.certificate for row in rows)}
        made = {row.assignment for row in rows if row.assignment}
        machines = {row.sequence: row.machine for row in self.rows.among(AssignmentRow, "sequence", made)}
        return tuple(
            self._related(row, depth, latest.get(row.certificate), machines.get(row.assignment))
            for row, (_, depth) in zip(rows, lots, strict=True)
        )

    def _related(
        self, row: LotRow, depth: int, certificate: CertificateRow | None, machine: int | None
    ) -> answers.RelatedLot:
        around = [row, *(self.lot(carrier) for carrier, _ in self.carriers(row.subject))]
        return answers.RelatedLot(
            subject=row.subject,
            identifier=self.identifier(row.subject),
            depth=depth,
            unit=unit(row.unit),
            quantity=row.quantity,
            state=LotState(row.state),
            holder=self.party(around[-1].custodian),
            quarantined=any(one.state == LotState.QUARANTINED for one in around),
            parent=row.parent,
            order=row.order,
            assignment=row.assignment or None,
            machine=None if machine is None else self.machine(machine),
            certificate=row.certificate or None,
            verdict=Verdict(certificate.verdict) if certificate else Verdict.NONE,
            status=self.status(certificate) if certificate else CertificateStatus.NONE,
        )

    # Certificates

    def certificate_rows(self, sequences: Iterable[int]) -> list[CertificateRow]:
        return self.rows.among(CertificateRow, "sequence", (sequence for sequence in sequences if sequence))

    def status(self, row: CertificateRow) -> CertificateStatus:
        """Whether a certificate counts at the index's block: Certificates._statusOf in contracts/src/history."""
        if row.state == CertificateState.REVOKED:
            return CertificateStatus.REVOKED
        if row.state == CertificateState.REFUTED:
            return CertificateStatus.REFUTED
        if self.model(row.model).state is not ModelState.APPROVED:
            return CertificateStatus.FALLEN
        if row.state == CertificateState.DEMANDED and row.opening_deadline <= self.cursor.block_time:
            return CertificateStatus.UNOPENED
        return CertificateStatus.EXPIRED if row.expires_at <= self.cursor.block_time else CertificateStatus.VALID

    def certificates(self, rows: Collection[CertificateRow]) -> tuple[answers.Certificate, ...]:
        """In the order in which they were issued."""
        self.load(row.lot for row in rows)
        return tuple(self._certificate(row) for row in sorted(rows, key=lambda row: row.sequence))

    def _certificate(self, row: CertificateRow) -> answers.Certificate:
        return answers.Certificate(
            certificate=row.sequence,
            lot=row.lot,
            identifier=self.identifier(row.lot),
            inspector=self.party(row.issuer),
            model=self.model(row.model),
            verdict=Verdict(row.verdict),
            status=self.status(row),
            latest=self.lot(row.lot).certificate == row.sequence,
            issued_at=moment(row.issued_at),
            expires_at=moment(row.expires_at),
            opening_deadline=moment(row.opening_deadline),
            opened_at=moment(row.opened_at),
            executed=Verdict(row.executed),
            revoked_at=moment(row.revoked_at),
            inference_digest=row.inference_digest,
            stream=row.stream,
            leaf_index=row.leaf_index,
            leaf_hash=row.leaf_hash,
            anchor_size=row.anchor_size,
            anchor_root=row.anchor_root,
            claims_root=row.claims_root,
        )


@contextmanager
def open_reader(store: Store, viewer: int | None = None) -> Iterator[Reader]:
    """A reader of one state of the store; for a participant other than the store's owner, its number. Raises
    NotFoundError when nothing is indexed yet."""
    with store.reading() as connection:
        yield build_reader(Rows(connection), Book(connection), Lineage(connection), viewer)


def build_reader(rows: Rows, book: Book, lineage: Lineage, viewer: int | None) -> Reader:
    """As `open_reader`, within a transaction that is under way."""
    return Reader(rows, book, lineage, None if viewer is None else View(rows, lineage, viewer))


def unit(code: bytes) -> str:
    """A UN/ECE Recommendation 20 code without its padding; what is not ASCII is escaped."""
    return code.rstrip(b"\0").decode("ascii", "backslashreplace")
