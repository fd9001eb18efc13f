"""From what a user types to a subject."""

from __future__ import annotations

import re

from ledger.errors import InputError, NotFoundError
from ledger.ids import Identity, SubjectKind, canonical_identifier
from ledger.provenance.reader import Reader
from ledger.store.rows import LotRow, MachineRow, OrderRow

_NUMBER = re.compile(r"-?[0-9]{1,20}")
_SUBJECT = re.compile(r"0x[0-9a-fA-F]{64}")
_ROWS: dict[SubjectKind, type[LotRow] | type[OrderRow]] = {SubjectKind.LOT: LotRow, SubjectKind.ORDER: OrderRow}


def verify_name(name: str | bytes) -> None:
    """Raises IdentifierError for text that is neither identifier nor subject, so that a typing error is called one even
    where nothing is indexed yet."""
    if isinstance(name, str) and not _SUBJECT.fullmatch(name):
        canonical_identifier(name)


def find_subject(reader: Reader, name: str | bytes, *kinds: SubjectKind) -> tuple[SubjectKind, bytes]:
    """The order or lot of that identifier (in any spelling) or subject (32 bytes, or 0x-hex), and which of `kinds` it
    is. Raises NotFoundError when there is none in the index, InputError when an identifier says too little."""
    if isinstance(name, str) and not _SUBJECT.fullmatch(name):
        return _find_identifier(reader, name, kinds)
    subject = bytes.fromhex(name[2:]) if isinstance(name, str) else name
    for kind in kinds:
        if reader.rows.get(_ROWS[kind], subject) is not None and _is_there(reader, kind, subject):
            return kind, subject
    raise build_unknown(reader, name)


def build_unknown(reader: Reader, name: str | bytes) -> NotFoundError:
    """The error for a name of nothing: for what there is none of, and for what is not there for whoever asks."""
    if isinstance(name, str) and not _SUBJECT.fullmatch(name):
        return NotFoundError(
            f"{name} is not known here", hint="check its spelling, or give its subject: the chain keeps no identifiers"
        )
    shown = name.lower() if isinstance(name, str) else "0x" + name.hex()
    return NotFoundError(
        f"nothing is recorded of {shown} up to block {reader.cursor.block_number}",
        hint="check the subject, or wait until its record is final",
    )


def _is_there(reader: Reader, kind: SubjectKind, subject: bytes) -> bool:
    return reader.view is None or reader.view.has(kind, subject)


def parse_machine(name: int | str | bytes) -> int | str | bytes:
    """A number where digits stand. Raises InputError for a number that no record has, IdentifierError for text that is
    neither number nor identifier nor subject."""
    if isinstance(name, str) and _NUMBER.fullmatch(name):
        name = int(name)
    if isinstance(name, int):
        verify_number("machine", name)
    else:
        verify_name(name)
    return name


def verify_number(kind: str, number: int) -> None:
    """Raises InputError for what is no sequence of a record: `uint40` in the contracts."""
    if not 1 <= number < 2**40:
        raise InputError(
            f"{number} is no number of a {kind}", hint="give the sequence of the record that registered it"
        )


def find_machine(reader: Reader, name: int | str | bytes) -> MachineRow:
    """The machine of that number (as on chain), identifier or subject, out of `parse_machine`; in a view, of its
    participant's own. Raises as `find_subject`."""
    if isinstance(name, int):
        found = reader.rows.find(MachineRow, number=name)
    else:
        found = reader.rows.among(MachineRow, "subject", _machine_subjects(reader, name))
    if reader.view is not None:
        found = [row for row in found if row.owner == reader.view.participant]
    if not found:
        shown = "0x" + name.hex() if isinstance(name, bytes) else name
        raise NotFoundError(
            f"no machine {shown} is registered up to block {reader.cursor.block_number}",
            hint="give its number, or an identifier that is in the private book",
        )
    if len(found) > 1:
        shown = ", ".join(str(row.number) for row in found)
        raise InputError(f"{name!r} is the name of machines {shown}", hint="give a number instead")
    return found[0]


def _machine_subjects(reader: Reader, name: str | bytes) -> list[bytes]:
    if isinstance(name, bytes):
        return [name]
    if _SUBJECT.fullmatch(name):
        return [bytes.fromhex(name[2:])]
    return [one.subject for one in reader.book.identities(name) if one.kind is SubjectKind.MACHINE]


def _find_identifier(reader: Reader, name: str, kinds: tuple[SubjectKind, ...]) -> tuple[SubjectKind, bytes]:
    known = [identity for identity in reader.book.identities(name) if identity.kind in kinds]
    if reader.view is not None:
        known = [one for one in known if reader.view.has(one.kind, one.subject)]
    if not known:
        raise build_unknown(reader, name)
    recorded = [one for one in known if reader.rows.get(_ROWS[one.kind], one.subject) is not None]
    if not recorded:
        raise NotFoundError(
            f"{name} is known here, and nothing is recorded of it up to block {reader.cursor.block_number}",
            hint="wait until its record is final",
        )
    if len(recorded) > 1:
        shown = ", ".join(_shown(one) for one in recorded)
        raise InputError(f"{name} is the name of {len(recorded)} things: {shown}", hint="give a subject instead")
    return recorded[0].kind, recorded[0].subject


def _shown(identity: Identity) -> str:
    return f"{identity.kind.name.lower()} 0x{identity.subject.hex()} of participant {identity.creator}"
