"""Resolves names as users write them (identifiers, subjects, numbers) to subjects and rows."""

from __future__ import annotations

import re

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.ids import Identity, SubjectKind, canonical_name
from millmark.ledger.provenance.grounds import LookupGround
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.store.rows import LotRow, MachineRow, OrderRow

_NUMBER = re.compile(r"-?[0-9]{1,20}")
_SUBJECT = re.compile(r"0x[0-9a-fA-F]{64}")
_ROWS: dict[SubjectKind, type[LotRow] | type[OrderRow]] = {SubjectKind.LOT: LotRow, SubjectKind.ORDER: OrderRow}


def verify_name(name: str | bytes) -> None:
    """Verify that text is an identifier, the last part of one, or a subject. Raises IdentifierError.

    Call it before the store is opened, so that a malformed name is reported even if nothing is indexed yet.
    """
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
        if reader.rows.get(_ROWS[kind], subject) is not None and _exists(reader, kind, subject):
            return kind, subject
    raise build_unknown(reader, name)


def build_unknown(reader: Reader, name: str | bytes) -> NotFoundError:
    """The error for an unknown name, the same for a thing that does not exist and for one that the viewer must not
    see.
    """
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


def _exists(reader: Reader, kind: SubjectKind, subject: bytes) -> bool:
    return reader.visibility is None or reader.visibility.has(kind, subject)


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


def find_machine(reader: Reader, name: int | str | bytes) -> MachineRow:
    """Find a machine by the result of `parse_machine`; a viewer finds only machines that it owns.

    Raises NotFoundError if there is none, InputError if several have the identifier.
    """
    if isinstance(name, int):
        found = reader.rows.find(MachineRow, number=name)
    else:
        found = reader.rows.among(MachineRow, "subject", _machine_subjects(reader, name))
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
