"""From what a user types to a subject."""

from __future__ import annotations

import re

from ledger.errors import InputError, NotFoundError
from ledger.ids import Identity, SubjectKind, canonical_identifier
from ledger.provenance.reader import Reader
from ledger.store.rows import LotRow, OrderRow

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
        if reader.rows.get(_ROWS[kind], subject) is not None:
            return kind, subject
    raise NotFoundError(
        f"nothing is recorded of 0x{subject.hex()} up to block {reader.cursor.block_number}",
        mend="check the subject, or wait until its record is final",
    )


def _find_identifier(reader: Reader, name: str, kinds: tuple[SubjectKind, ...]) -> tuple[SubjectKind, bytes]:
    known = [identity for identity in reader.book.identities(name) if identity.kind in kinds]
    if not known:
        raise NotFoundError(
            f"{name} is not known here", mend="check its spelling, or import its bundle: the chain keeps no identifiers"
        )
    recorded = [one for one in known if reader.rows.get(_ROWS[one.kind], one.subject) is not None]
    if not recorded:
        raise NotFoundError(
            f"{name} is known here, and nothing is recorded of it up to block {reader.cursor.block_number}",
            mend="wait until its record is final",
        )
    if len(recorded) > 1:
        shown = ", ".join(_shown(one) for one in recorded)
        raise InputError(f"{name} is the name of {len(recorded)} things: {shown}", mend="give a subject instead")
    return recorded[0].kind, recorded[0].subject


def _shown(identity: Identity) -> str:
    return f"{identity.kind.name.lower()} 0x{identity.subject.hex()} of participant {identity.creator}"
