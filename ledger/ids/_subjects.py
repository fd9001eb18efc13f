"""Subjects: the on-chain names that stand for identifiers."""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass, field

import sha3  # type: ignore[import-untyped]  # safe-pysha3 ships no types

from millmark.ledger.errors import RecordError
from millmark.ledger.ids._canonical import canonical_identifier

SALT_BYTES = 32


class SubjectKind(enum.IntEnum):
    """Kinds of subjects. The number is hashed into the subject."""

    ORDER = 1
    LOT = 2
    STREAM = 3
    MACHINE = 4
    MODEL = 5


def identifier_hash(salt: bytes, identifier: str) -> bytes:
    """Return SHA-256(salt || UTF-8 of `identifier` in canonical form).

    Raises RecordError for a salt that does not have 32 bytes, IdentifierError for an identifier without canonical form.
    """
    if not isinstance(salt, bytes) or len(salt) != SALT_BYTES:
        raise RecordError(f"a salt must have {SALT_BYTES} bytes")
    return hashlib.sha256(salt + canonical_identifier(identifier).encode()).digest()


def subject(kind: SubjectKind, creator_participant: int, identifier_hash: bytes) -> bytes:
    """Return keccak256(abi.encode(uint8 kind, uint32 creator participant, bytes32 identifier hash)), 32 bytes.

    Raises RecordError for a value that its ABI type cannot represent.
    """
    if kind not in SubjectKind.__members__.values():
        raise RecordError(f"{kind!r} is not a kind of subject")
    if isinstance(creator_participant, bool) or not isinstance(creator_participant, int):
        raise RecordError("a participant must be an integer")
    if not 0 <= creator_participant < 2**32:
        raise RecordError(f"the participant {creator_participant} is not from 0 to 2^32 - 1")
    if not isinstance(identifier_hash, bytes) or len(identifier_hash) != 32:
        raise RecordError("an identifier hash must have 32 bytes")
    words = int(kind).to_bytes(32, "big") + creator_participant.to_bytes(32, "big") + identifier_hash
    name: bytes = sha3.keccak_256(words).digest()  # directly: identifiers need no canonical JSON
    return name


@dataclass(frozen=True, slots=True)
class Identity:
    """An identifier with everything that determines its subject. Its holders can find the subject on the ledger."""

    kind: SubjectKind
    creator: int
    """Participant that created the subject (`uint32`)."""
    identifier: str
    """In any accepted spelling; stored in canonical form."""
    salt: bytes = field(repr=False)
    """32 bytes. With them, one can test guesses of the identifier, so they are not part of the repr."""
    proofs: tuple[bytes, ...] = field(default=(), repr=False)
    """Why the salt is that of the creator's name key (`millmark.ledger.names`); without them, no bundle can show the
    name."""
    subject: bytes = field(init=False, compare=False)
    """The on-chain name, 32 bytes."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "identifier", canonical_identifier(self.identifier))
        object.__setattr__(
            self, "subject", subject(self.kind, self.creator, identifier_hash(self.salt, self.identifier))
        )
