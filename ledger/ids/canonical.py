"""Converts an identifier of any supported scheme to its canonical form.

The forms of did: (W3C DID Core 1.0 section 3.1) and urn: (RFC 8141) are defined here, those of GS1 keys elsewhere.
"""

from __future__ import annotations

import enum
import hashlib
import re
from dataclasses import dataclass, field
from functools import lru_cache

import sha3  # type: ignore[import-untyped]  # safe-pysha3 ships no types

from millmark.ledger.errors import IdentifierError, RecordError
from millmark.ledger.ids._digital_link import parse_digital_link, parse_epc
from millmark.ledger.phrases import Phrase

# Why a text is no identifier at all, whatever its scheme: each ground is declared once.


class IdentifierGround(Phrase):
    """A ground. Its value is the error's cause."""

    NO_IDENTIFIER = "an identifier must be a string that is not empty"
    LONG_IDENTIFIER = "the identifier is longer than {most:d} characters"
    UNPRINTABLE = "an identifier must consist of printable ASCII characters without spaces"
    NO_SCHEME = "{text} is not a GS1 Digital Link, EPC URN, did or urn"


_DID = re.compile(
    r"[Dd][Ii][Dd]:([a-z0-9]+):((?:(?:[A-Za-z0-9.\-_]|%[0-9A-Fa-f]{2})*:)*(?:[A-Za-z0-9.\-_]|%[0-9A-Fa-f]{2})+)"
)
_URN = re.compile(
    r"[Uu][Rr][Nn]:([A-Za-z0-9][A-Za-z0-9\-]{0,30}[A-Za-z0-9]):"
    r"((?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*)"
)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_ESCAPED_PLAIN = re.compile(r"%(?:2[DdEe]|3[0-9]|4[1-9A-Fa-f]|5[0-9AaFf]|6[1-9A-Fa-f]|7[0-9AaEe])")
_SHORT = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=@%]{1,128}")
_SERIAL = re.compile(
    r"(urn:epc:id:sgtin:[0-9]{6,12}\.[0-9]{1,7}\.|https://id\.gs1\.org/01/[0-9]{14}/21/)([0-9A-Za-z_-]{1,20})"
)
"""A serialised GTIN whose serial number is the same in both schemes: nothing in it is escaped."""
_ACCOUNT = re.compile(r"0x[0-9A-Fa-f]{40}(?=$|:)")


def canonical_did(text: str) -> str:
    """Return the DID with its scheme in lower case and its escapes in upper case.

    Elsewhere the case of a DID is significant, unless its method says otherwise: the host of did:web and the accounts
    of did:ethr and did:pkh become lower case. Raises IdentifierError, also for a DID URL (path, query or fragment),
    which identifies part of a document.
    """
    match = _DID.fullmatch(text)
    if match is None:
        raise IdentifierError(
            "not a DID", hint="write did:method:id, with the method in lower case and nothing after it"
        )
    method, name = match.groups()
    if _ESCAPED_PLAIN.search(name):
        raise IdentifierError("the DID escapes a character unnecessarily", hint="write the character itself")
    if method == "web":
        host, colon, path = name.partition(":")  # the path may be case-sensitive on the host
        name = host.lower() + colon + path
    elif method in ("ethr", "pkh"):
        name = _ACCOUNT.sub(lambda account: account[0].lower(), name)  # their case is a checksum only (ERC-55)
    return f"did:{method}:{_upper_escapes(name)}"


def canonical_urn(text: str) -> str:
    """Return the URN with "urn" and the namespace in lower case and escapes in upper case (RFC 8141 section 3.1).

    The rest is unchanged: RFC 8141 does not decode escapes. Only urn:uuid, whose digits are case-insensitive (RFC 9562
    section 4), becomes lower case. Raises IdentifierError, also for r-, q- and f-components, which are not part of the
    name.
    """
    match = _URN.fullmatch(text)
    if match is None:
        raise IdentifierError("not a URN", hint="write urn:namespace:name, without parts that begin with ? or #")
    namespace, name = match[1].lower(), _upper_escapes(match[2])
    if namespace == "uuid":
        name = match[2].lower()
        if not _UUID.fullmatch(name):
            raise IdentifierError("not a UUID", hint="write 32 hexadecimal digits in groups of 8-4-4-4-12")
    return f"urn:{namespace}:{name}"


def _upper_escapes(text: str) -> str:
    return _ESCAPE.sub(lambda match: match[0].upper(), text)


MAX_IDENTIFIER_LENGTH = 2048
"""Maximum number of characters, before and after conversion: more than web servers and code readers handle."""


def canonical_identifier(text: str) -> str:
    """Return the canonical form of an identifier: a GS1 Digital Link, EPC URN, did or urn.

    An EPC URN becomes the Digital Link of its key. The function is idempotent. Raises IdentifierError for everything
    that has no canonical form. Not established: that the thing exists, or whose it is.
    """
    if not isinstance(text, str) or not text:
        raise IdentifierError(IdentifierGround.NO_IDENTIFIER.write())
    # Things of one kind are many, and each is named a few times: what comes before their serial numbers is kept.
    if (serial := _SERIAL.fullmatch(text)) is not None:
        return _stem(serial[1]) + serial[2]
    return _canonical(text)


@lru_cache(maxsize=4096)
def _stem(head: str) -> str:
    """What precedes the serial number in the canonical form of an identifier of which `head` precedes it. Raises
    IdentifierError."""
    return _canonical(f"{head}0").removesuffix("0")


def _canonical(text: str) -> str:
    if len(text) > MAX_IDENTIFIER_LENGTH:
        raise IdentifierError(IdentifierGround.LONG_IDENTIFIER.write(most=MAX_IDENTIFIER_LENGTH))
    if not text.isascii() or not text.isprintable() or " " in text:
        raise IdentifierError(IdentifierGround.UNPRINTABLE.write(), hint="percent-encode the others")
    scheme = text.partition(":")[0].lower()
    if scheme in ("http", "https"):
        return parse_digital_link(text).uri
    if scheme == "did":
        return canonical_did(text)
    if scheme == "urn":
        return parse_epc(text).uri if text.lower().startswith("urn:epc:") else canonical_urn(text)
    raise IdentifierError(
        IdentifierGround.NO_SCHEME.write(text=f"{text[:40]!a}"), hint="use one of these, with its scheme"
    )


def is_identifier(text: str) -> bool:
    """Whether `canonical_identifier` accepts `text`."""
    try:
        canonical_identifier(text)
    except IdentifierError:
        return False
    return True


def is_short_name(text: str) -> bool:
    """Whether text can be the last part of an identifier: what follows its last slash or colon."""
    return _SHORT.fullmatch(text) is not None


def canonical_name(text: str) -> str:
    """Return a short name as it is, and anything else as `canonical_identifier` does. Raises IdentifierError."""
    return text if is_short_name(text) else canonical_identifier(text)


# Subjects: the on-chain names that stand for identifiers.

SALT_BYTES = 32


class SubjectKind(enum.IntEnum):
    """Kinds of subjects. The number is hashed into the subject."""

    ORDER = 1
    LOT = 2
    STREAM = 3
    MACHINE = 4
    MODEL = 5


def identifier_hash(salt: bytes, identifier: str) -> bytes:
    """Return SHA-256(salt || UTF-8 of `identifier` in canonical form). Raises RecordError for a salt that does not have
    32 bytes, IdentifierError for an identifier without canonical form."""
    if not isinstance(salt, bytes) or len(salt) != SALT_BYTES:
        raise RecordError(f"a salt must have {SALT_BYTES} bytes")
    return hashlib.sha256(salt + canonical_identifier(identifier).encode()).digest()


def subject(kind: SubjectKind, creator_participant: int, identifier_hash: bytes) -> bytes:
    """Return keccak256(abi.encode(uint8 kind, uint32 creator participant, bytes32 identifier hash)), 32 bytes. Raises
    RecordError for a value that its ABI type cannot represent."""
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
