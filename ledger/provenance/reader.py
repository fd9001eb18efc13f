"""Reads what all answers need: names, identifiers, lots and their holders, certificates and their status."""

from __future__ import annotations

import enum
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import InputError, NotFoundError, StoreDamagedError
from millmark.ledger.ids import Identity, SubjectKind, canonical_name
from millmark.ledger.merkle import Tree
from millmark.ledger.phrases import Phrase
from millmark.ledger.provenance import answers
from millmark.ledger.provenance.answers import answer_of, moment
from millmark.ledger.provenance.permissions import Limits, Lots, Visibility
from millmark.ledger.records import CertificateState, CertificateStatus, Gate, Item, LotState, ModelState, Verdict
from millmark.ledger.store import Book, Lineage, Rows, Store
from millmark.ledger.store import rows as tables

R = TypeVar("R")
Nearest: TypeAlias = "list[tuple[bytes, int]]"
"""Lots and their depth, nearest first."""
Walk: TypeAlias = "Callable[[Collection[bytes], int, int], Nearest]"
"""A walk of Lineage."""
HINT_INDEX = "rebuild the index"


class Direction(enum.Enum):
    """The direction of a trace."""

    UP = "up"
    """To the lots from which a lot was made."""
    DOWN = "down"
    """To the lots that were made from it."""
    BOTH = "both"


class Reader:
    """Reads one state of the store, and caches what it has read.

    With a visibility, identifiers are only those that are visible to its participant. Callers check the visibility of
    the things that a request names; the answer has the numbers and subjects of the things that these refer to.
    """

    def __init__(self, rows: Rows, book: Book, lineage: Lineage, visibility: Visibility | None = None) -> None:
        self.rows, self.book, self.lineage, self.visibility = rows, book, lineage, visibility
        identity, cursor = rows.get(tables.ChainIdentityRow, 1), rows.get(tables.CursorRow, 1)
        if identity is None or cursor is None:
            raise NotFoundError("nothing is indexed yet", hint="follow the chain first")
        self.identity, self.cursor = identity, cursor
        self._names = book.names()
        self._identifiers: dict[bytes, str] = {}
        self._named: set[bytes] = set()
        """Subjects whose identifiers were looked up, whether or not they have one."""
        self._rows_of_lots = Lots(rows) if visibility is None else visibility.rows_of_lots
        self._lots: dict[bytes, tables.LotRow] = {}
        self._models: dict[int, answers.Model] = {}
        self._machines: dict[int, answers.Machine] = {}
        self._gates: dict[bytes | None, tuple[Gate, ...]] = {}
        """By order."""
        self._trees: dict[bytes, Tree] = {}
        """By stream."""

    def state(self) -> Hashable:
        """A cache key: while it stays the same, so do the answers, which depend only on the index and on names in the
        book."""
        return self.cursor.block_number, self.cursor.block_hash, self.cursor.digest, self.book.revision()

    def visible(self, kind: SubjectKind, subjects: Collection[bytes]) -> set[bytes]:
        """Those of the subjects that exist for the participant; without a visibility, all."""
        return set(subjects) if self.visibility is None else self.visibility.among(kind, subjects)

    def as_of(self) -> answers.AsOf:
        """The last indexed block, which every answer states."""
        identity, time = self.identity, moment(self.cursor.block_time)
        return answer_of(answers.AsOf, self.cursor, chain_id=identity.chain_id, ledger=identity.ledger, time=time)

    def need(self, kind: type[R], *key: int | bytes) -> R:
        """A row to which another row refers. Raises NotFoundError if it is missing, since the index is then damaged."""
        row = self.rows.get(kind, *key)
        if row is None:
            raise NotFoundError(f"the index lacks a {kind.__name__.removesuffix('Row').lower()}", hint=HINT_INDEX)
        return row

    def party(self, participant: int) -> answers.Party:
        """A participant with its name, if the private book has it."""
        return answers.Party(participant, self._names.get(participant))

    def some_party(self, participant: int) -> answers.Party | None:
        """Like `party`; None for 0, which means "none" in the contracts."""
        return self.party(participant) if participant else None

    def tree(self, stream: bytes, size: int) -> Tree:
        """The tree of a stream's first `size` leaves, perhaps of more: each leaf is hashed once. Of fewer, if the book
        does not have them all."""
        tree = self._trees.setdefault(stream, Tree())
        if tree.size < size:
            tree.extend(self.book.leaves(stream, size)[tree.size :])
        return tree

    def name(self, subjects: Iterable[bytes]) -> None:
        """Look up the identifiers of many subjects at once, so that `identifier` can return them afterwards."""
        new = set(subjects) - self._named
        if not new:
            return
        # Both have the method; the visibility's leaves out what its participant must not know.
        names = self.book if self.visibility is None else self.visibility
        self._identifiers.update(names.identifiers(new))
        self._named |= new

    def identifier(self, subject: bytes) -> str | None:
        """The identifier of a subject that was passed to `name` before; None if it is unknown or not visible."""
        return self._identifiers.get(subject)

    def machine(self, number: int) -> answers.Machine:
        if number not in self._machines:
            row = self.need(tables.MachineRow, number)
            self.name([row.subject])
            self._machines[number] = answers.Machine(number, self.identifier(row.subject), self.party(row.owner))
        return self._machines[number]

    def some_machine(self, number: int) -> answers.Machine | None:
        """Like `machine`; None for 0, which means "none" in the contracts."""
        return self.machine(number) if number else None

    def model(self, number: int) -> answers.Model:
        if number not in self._models:
            row = self.need(tables.ModelRow, number)
            inspector, approver = self.party(row.inspector), self.some_party(row.approver)
            self._models[number] = answer_of(answers.Model, row, model=number, inspector=inspector, approver=approver)
        return self._models[number]

    # Lots

    def load(self, subjects: Iterable[bytes]) -> None:
        """Read many lots at once, with their identifiers and the lots in which they are packed."""
        # Ends even if lots are packed in a cycle, since each is read once; `carriers` reports the cycle.
        wanted = {subject for subject in subjects if subject not in self._lots}
        while wanted:
            found = self._rows_of_lots.among(wanted)
            self._lots.update((row.subject, row) for row in found)
            self.name(wanted)
            wanted = {row.parent for row in found if row.parent and row.parent not in self._lots}

    def lot(self, subject: bytes) -> tables.LotRow:
        """The row of a lot. Raises NotFoundError if the index lacks it."""
        if subject not in self._lots:
            self.load([subject])
        if subject not in self._lots:
            raise NotFoundError(f"the index lacks lot {to_hex(subject)}", hint=HINT_INDEX)
        return self._lots[subject]

    def carriers(self, subject: bytes) -> Nearest:
        """The lots in which a lot is packed, innermost first. Raises StoreDamagedError if it is packed in itself."""
        found: dict[bytes, int] = {}
        parent = self.lot(subject).parent
        while parent is not None:
            if parent in found or parent == subject:
                raise StoreDamagedError(f"the index has lot {to_hex(parent)} packed in itself", hint=HINT_INDEX)
            found[parent] = len(found) + 1
            parent = self.lot(parent).parent
        return list(found.items())

    def holder(self, subject: bytes) -> int:
        """The participant who physically has a lot: the custodian of its outermost carrier, or its own."""
        return self.lot(([(subject, 0), *self.carriers(subject)])[-1][0]).custodian

    def around(self, subjects: Iterable[bytes]) -> dict[bytes, list[tables.LotRow]]:
        """For each lot, its row and those of the lots in which it is packed, innermost first. All are read together and
        without identifiers, since of many lots few are shown. Lots that are not in the index are left out. Raises
        StoreDamagedError if a lot is packed in itself, NotFoundError if the index lacks what one is packed in.
        """
        given = set(subjects)
        rows: dict[bytes, tables.LotRow] = {}
        wanted = given
        while wanted:
            found = self._rows_of_lots.among(wanted)
            rows.update((row.subject, row) for row in found)
            wanted = {row.parent for row in found if row.parent is not None} - rows.keys()
        return {subject: _chain(rows, subject) for subject in given & rows.keys()}

    def nearest(
        self, part: str, walk: Walk, start: Collection[bytes], limits: Limits
    ) -> tuple[Nearest, tuple[answers.Cut, ...]]:
        """The lots that a walk finds beyond its start, and a cut if `limits` ended the walk. `part` names the list in
        the answer."""
        start = set(start)
        # Walks one step and one lot further than it returns, to find out whether anything is left out.
        beyond = walk(start, limits.depth + 1, limits.lots + len(start) + 1)[len(start) :]
        found = [(lot, depth) for lot, depth in beyond if depth <= limits.depth]
        if len(found) > limits.lots:
            return found[: limits.lots], (answers.Cut(part, "lots", limits.lots),)
        return found, (answers.Cut(part, "depth", limits.depth),) if len(found) < len(beyond) else ()

    def related(self, lots: Nearest) -> tuple[answers.RelatedLot, ...]:
        """Build the answer's entries for lots, in the given order."""
        self.load(lot for lot, _ in lots)
        rows = [self.lot(lot) for lot, _ in lots]
        latest = {row.sequence: row for row in self.certificate_rows(row.certificate for row in rows)}
        made = {row.assignment for row in rows if row.assignment}
        machines = {row.sequence: row.machine for row in self.rows.among(tables.AssignmentRow, "sequence", made)}
        return tuple(
            self._related(row, depth, latest.get(row.certificate), machines.get(row.assignment, 0))
            for row, (_, depth) in zip(rows, lots, strict=True)
        )

    def _related(
        self, row: tables.LotRow, depth: int, certificate: tables.CertificateRow | None, machine: int
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
            quarantined=any(LotState(one.state).is_quarantined for one in around),
            parent=row.parent,
            order=row.order,
            assignment=row.assignment or None,
            machine=self.some_machine(machine),
            certificate=row.certificate or None,
            verdict=Verdict(certificate.verdict) if certificate else Verdict.NONE,
            status=self.status(certificate, row) if certificate else CertificateStatus.NONE,
        )

    # Certificates

    def certificate_rows(self, sequences: Iterable[int]) -> list[tables.CertificateRow]:
        """The rows of certificates; a sequence of 0, which means "none", is left out."""
        return self.rows.among(tables.CertificateRow, "sequence", (sequence for sequence in sequences if sequence))

    def status(self, row: tables.CertificateRow, lot: tables.LotRow | None = None) -> CertificateStatus:
        """A certificate's status at the last indexed block for `lot`, by default its first, by the rules of
        Verdicts._judge in contracts/src/history."""
        lot = self.lot(row.lot) if lot is None else lot
        # The contract's order of the tests: of several reasons why a certificate does not count, the first is stated.
        if row.state == CertificateState.REVOKED:
            return CertificateStatus.REVOKED
        if row.state == CertificateState.REFUTED:
            return CertificateStatus.REFUTED
        if row.sequence < lot.reworked and row.verdict == Verdict.PASS:
            return CertificateStatus.VOIDED
        if row.model and self._has_fallen(row):
            return CertificateStatus.FALLEN
        if row.state == CertificateState.DEMANDED and row.opening_deadline <= self.cursor.block_time:
            return CertificateStatus.UNOPENED
        return CertificateStatus.EXPIRED if row.expires_at <= self.cursor.block_time else CertificateStatus.VALID

    def _has_fallen(self, row: tables.CertificateRow) -> bool:
        model = self.need(tables.ModelRow, row.model)
        withdrawn = model.state == ModelState.WITHDRAWN
        return withdrawn and row.issued_at >= model.defective_since

    def certificates(self, rows: Collection[tables.CertificateRow]) -> tuple[answers.Certificate, ...]:
        """Build certificates, in the order in which they were issued, each for its first lot."""
        self.load(row.lot for row in rows)
        return tuple(self._certificate(row, row.lot) for row in sorted(rows, key=lambda row: row.sequence))

    def certificates_of(self, lots: Collection[bytes]) -> tuple[answers.Certificate, ...]:
        """Build the certificates that are about these lots, in the order in which they were issued. One about several
        appears once for each."""
        self.load(lots)
        about = self.rows.among(tables.CertifiedLotRow, "lot", lots)
        rows = {row.sequence: row for row in self.certificate_rows({one.certificate for one in about})}
        places = sorted((one.certificate, one.lot) for one in about)
        return tuple(self._certificate(rows[certificate], lot) for certificate, lot in places)

    def deciding(self, lot: tables.LotRow) -> set[int]:
        """The certificates that decide about a lot: the latest of each gate's inspector, without a gate that of any. 0
        stands for none."""
        if lot.order not in self._gates:
            self._gates[lot.order] = () if lot.order is None else tables.gates_of(self.need(tables.OrderRow, lot.order))
        gates = self._gates[lot.order]
        if len(gates) < 2:
            return {lot.certificate}
        found = (self.rows.get(tables.StandingRow, lot.subject, gate.inspector) for gate in gates)
        return {standing.latest for standing in found if standing is not None}

    def _certificate(self, row: tables.CertificateRow, lot: bytes) -> answers.Certificate:
        return answer_of(
            answers.Certificate,
            row,
            certificate=row.sequence,
            lot=lot,
            identifier=self.identifier(lot),
            inspector=self.party(row.issuer),
            model=self.model(row.model) if row.model else None,
            status=self.status(row, self.lot(lot)),
            latest=row.sequence in self.deciding(self.lot(lot)),
        )


def _chain(rows: Mapping[bytes, tables.LotRow], subject: bytes) -> list[tables.LotRow]:
    chain: dict[bytes, tables.LotRow] = {}
    inner: bytes | None = subject
    while inner is not None:
        if inner in chain:
            raise StoreDamagedError(f"the index has lot {to_hex(inner)} packed in itself", hint=HINT_INDEX)
        if inner not in rows:
            raise NotFoundError(f"the index lacks lot {to_hex(inner)}", hint=HINT_INDEX)
        chain[inner] = rows[inner]
        inner = rows[inner].parent
    return list(chain.values())


@contextmanager
def open_reader(store: Store, viewer: int | None = None) -> Iterator[Reader]:
    """A reader of one state of the store. `viewer` is the number of a participant; None, the store's owner, sees all.
    Raises NotFoundError if nothing is indexed yet."""
    with store.reading() as connection:
        yield build_reader(Rows(connection), Book(connection), Lineage(connection), viewer)


def build_reader(rows: Rows, book: Book, lineage: Lineage, viewer: int | None) -> Reader:
    """Like `open_reader`, within the caller's transaction."""
    return Reader(rows, book, lineage, None if viewer is None else Visibility(rows, lineage, viewer))


def unit(code: bytes) -> str:
    """A unit code (UN/ECE Recommendation 20) without its zero padding; bytes that are not ASCII are escaped."""
    return code.rstrip(b"\0").decode("ascii", "backslashreplace")


# Looks up many identifiers at once, in both directions, as far as they are visible to a participant.

_NO_ORDER = bytes(32)


class Named:
    """Looks up lots by canonical identifier, in one state of the store, for one viewer; None sees everything."""

    def __init__(self, rows: Rows, lineage: Lineage, viewer: int | None) -> None:
        self._rows = rows
        self._visibility = None if viewer is None else Visibility(rows, lineage, viewer)

    def lots(self, identifiers: Collection[str]) -> dict[str, list[bytes]]:
        """The subjects of lots with these identifiers, by identifier, whether or not they are visible to the viewer."""
        found: dict[str, list[bytes]] = defaultdict(list)
        for row in self._rows.among(tables.IdentityRow, "identifier", identifiers):
            if row.kind == SubjectKind.LOT:
                found[row.identifier].append(row.subject)
        return dict(found)

    def visible(self, identifiers: Collection[str]) -> set[str]:
        """The identifiers whose lots are all visible to the viewer, and that have at least one.

        It is not enough that one lot is visible: a participant could give its own lot somebody else's identifier to
        see data about the other's.
        """
        named = self.lots(identifiers)
        if self._visibility is None:
            return set(named)
        seen = self._visibility.lots({lot for lots in named.values() for lot in lots})
        return {name for name, lots in named.items() if seen.issuperset(lots)}


def find_names(store: Store, subjects: Collection[bytes], viewer: int | None) -> dict[bytes, str]:
    """The identifiers that are known and visible to the viewer, by subject."""
    with open_reader(store, viewer) as reader:
        reader.name(subjects)
        return {one: name for one in subjects if (name := reader.identifier(one)) is not None}


def find_items(store: Store, identifiers: Collection[str], viewer: int | None) -> dict[str, Item]:
    """The lots on the ledger, with their orders, by identifier. Identifiers that several lots have are left out."""
    if not identifiers:
        return {}
    with store.reading() as connection:
        rows = Rows(connection)
        named = Named(rows, Lineage(connection), viewer)
        single = {name: lots[0] for name, lots in named.lots(named.visible(identifiers)).items() if len(lots) == 1}
        orders = {row.subject: row.order for row in rows.among(tables.LotRow, "subject", single.values())}
    return {name: Item(lot, orders[lot] or _NO_ORDER) for name, lot in single.items() if lot in orders}


# The times at which a machine was working, from its latest assignments.

MAX_WORK = 1_000
"""Maximum number of assignments that are read."""


@dataclass(frozen=True, slots=True)
class Workload:
    """The spans of time in which a machine worked on assignments, the latest first."""

    spans: tuple[tuple[int, int | None], ...]
    """Start and end of each assignment, in seconds since 1970; the end is None while it is under way."""
    cut: bool
    """Whether earlier assignments exist, which were not read."""


def workload(store: Store, machine: int, viewer: int | None) -> Workload:
    """The workload of a machine, from the started assignments whose orders exist for the viewer."""
    with open_reader(store, viewer) as reader:
        rows = reader.rows.latest(tables.AssignmentRow, "sequence", MAX_WORK + 1, machine=machine)
        latest, seen = rows[:MAX_WORK], reader.visible(SubjectKind.ORDER, {row.order for row in rows})
    spans = [(row.started_at, row.ended_at or None) for row in latest if row.order in seen and row.started_at]
    return Workload(tuple(spans), cut=len(rows) > MAX_WORK)


# Why a question about what the ledger has is not answered: each ground is declared once.


class LookupGround(Phrase):
    """A ground. Its value is the error's cause; `words` are English, of whatever was met."""

    NOT_ONE_CAUSE = "a recall needs exactly one of model, lot and machine"
    PERIOD_MISSING = "a recall of a machine needs the period in which it was bad"
    PERIOD_UNUSED = "only a recall of a machine has a period"
    PERIOD_BACKWARDS = "the period's first moment {since} is after its last, {until}"
    MOMENT_ZONELESS = "the moment {moment} has no time zone"
    MOMENT_BEYOND = "the moment {moment} is outside the years 1 to 9999 in UTC"
    NO_MOMENT = "the text {text} is not a time"
    NO_MODEL_NUMBER = "{text} is not the number of a model"
    NUMBER_IMPOSSIBLE = "{number} cannot be the number of a {field:s}"
    MACHINES_NAMED_SO = "{name} is the identifier of machines {numbers}"
    SEVERAL_NAMED_SO = "{name} is the name of {count:d} things: {words}"
    INDEX_DAMAGED = "the index is damaged: {words}"
    TOO_MANY_RECORDS = "more than {most:d} records are about it and what it came from"


# Resolves names as users write them (identifiers, subjects, numbers) to subjects and rows.

_NUMBER = re.compile(r"-?[0-9]{1,20}")
_SUBJECT = re.compile(r"0x[0-9a-fA-F]{64}")
_ROWS: dict[SubjectKind, type[tables.LotRow] | type[tables.OrderRow]] = {
    SubjectKind.LOT: tables.LotRow,
    SubjectKind.ORDER: tables.OrderRow,
}


def verify_name(name: str | bytes) -> None:
    """Verify that text is an identifier, the last part of one, or a subject. Raises IdentifierError. Call it before the
    store is opened, so that a malformed name is reported even if nothing is indexed yet."""
    if isinstance(name, str) and not _SUBJECT.fullmatch(name):
        canonical_name(name)


def find_subject(reader: Reader, name: str | bytes, *kinds: SubjectKind) -> tuple[SubjectKind, bytes]:
    """Find the order or lot, and its kind, by identifier (in any spelling, or its last part) or subject (32 bytes, or
    0x-hex).

    Raises NotFoundError if the index has none of these kinds that exists for the viewer, InputError if several have the
    identifier.
    """
    if isinstance(name, str) and not _SUBJECT.fullmatch(name):
        return _find_identifier(reader, name, kinds)
    subject = bytes.fromhex(name[2:]) if isinstance(name, str) else name
    for kind in kinds:
        if reader.rows.get(_ROWS[kind], subject) is not None and reader.visible(kind, [subject]):
            return kind, subject
    raise build_unknown(reader, name)


def build_unknown(reader: Reader, name: str | bytes) -> NotFoundError:
    """The error for an unknown name, the same for a thing that does not exist and for one that the viewer must not
    see."""
    if isinstance(name, str) and not _SUBJECT.fullmatch(name):
        return NotFoundError(
            f"{name} is not known here",
            hint="check its spelling, or use its subject: identifiers are not on the chain",
        )
    shown = name.lower() if isinstance(name, str) else to_hex(name)
    return NotFoundError(
        f"no record about {shown} exists up to block {reader.cursor.block_number}",
        hint="check the subject, or wait until its record is final",
    )


def parse_machine(name: int | str | bytes) -> int | str | bytes:
    """Parse a machine's name: digits become its number, anything else is checked and returned as it is.

    Raises InputError for a number that a record cannot have, IdentifierError for text that is neither a number, an
    identifier nor a subject.
    """
    if isinstance(name, str) and _NUMBER.fullmatch(name):
        name = int(name)
    if isinstance(name, int):
        verify_number("machine", name)
    else:
        verify_name(name)
    return name


def verify_number(kind: str, number: int) -> None:
    """Verify that a number can be a record's sequence, a positive `uint40` in the contracts. Raises InputError."""
    if not 1 <= number < 2**40:
        raise InputError(
            LookupGround.NUMBER_IMPOSSIBLE.write(number=number, field=kind),
            hint="use the sequence of the record that registered it",
        )


def find_machine(reader: Reader, name: int | str | bytes) -> tables.MachineRow:
    """Find a machine by the result of `parse_machine`; a viewer finds only machines that it owns. Raises NotFoundError
    if there is none, InputError if several have the identifier."""
    if isinstance(name, int):
        found = reader.rows.find(tables.MachineRow, number=name)
    else:
        found = reader.rows.among(tables.MachineRow, "subject", _machine_subjects(reader, name))
    if reader.visibility is not None:
        found = [row for row in found if row.owner == reader.visibility.participant]
    if not found:
        shown = to_hex(name) if isinstance(name, bytes) else name
        raise NotFoundError(
            f"no machine {shown} is registered up to block {reader.cursor.block_number}",
            hint="use its number, or an identifier that is in the private book",
        )
    if len(found) > 1:
        shown = ", ".join(str(row.number) for row in found)
        cause = LookupGround.MACHINES_NAMED_SO.write(name=f"{name!r}", numbers=shown)
        raise InputError(cause, hint="use a number instead")
    return found[0]


def _machine_subjects(reader: Reader, name: str | bytes) -> list[bytes]:
    if isinstance(name, bytes):
        return [name]
    if _SUBJECT.fullmatch(name):
        return [bytes.fromhex(name[2:])]
    return [one.subject for one in reader.book.identities(name) if one.kind is SubjectKind.MACHINE]


def _find_identifier(reader: Reader, name: str, kinds: tuple[SubjectKind, ...]) -> tuple[SubjectKind, bytes]:
    known = [identity for identity in reader.book.identities(name) if identity.kind in kinds]
    # Before anything else, so that invisible things cause the same error as unknown ones.
    known = _visible(reader, name, known, kinds)
    if not known:
        raise build_unknown(reader, name)
    recorded = [one for one in known if reader.rows.get(_ROWS[one.kind], one.subject) is not None]
    if not recorded:
        raise NotFoundError(
            f"{name} is known here, but no record about it exists up to block {reader.cursor.block_number}",
            hint="wait until its record is final",
        )
    if len(recorded) > 1:
        raise InputError(
            LookupGround.SEVERAL_NAMED_SO.write(name=name, count=len(recorded), words=_shown(recorded)),
            hint="give more of it, or a subject instead",
        )
    return recorded[0].kind, recorded[0].subject


def _visible(reader: Reader, name: str, known: list[Identity], kinds: tuple[SubjectKind, ...]) -> list[Identity]:
    """Those that exist for the viewer. Takes about as long if there is none to judge."""
    if reader.visibility is None:
        return known
    judged = known or reader.book.stand_ins(canonical_name(name), kinds[0])
    seen = [one for one in judged if reader.visibility.has(one.kind, one.subject)]
    return seen if known else []


_MAX_SHOWN = 5


def _shown(found: list[Identity]) -> str:
    """The candidates, each by what tells it from the others."""
    named = [one.identifier for one in found]
    shown = [
        f"{one.kind.name.lower()} {one.identifier if named.count(one.identifier) == 1 else to_hex(one.subject)} "
        f"of participant {one.creator}"
        for one in found[:_MAX_SHOWN]
    ]
    return ", ".join([*shown, *(["..."] if len(found) > _MAX_SHOWN else [])])
