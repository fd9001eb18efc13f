"""The file that a recipient fetches: a version's ciphertext, its key wrapped for the recipient, and its claims.

millmark-sealed-document 1\\n || length of the header, 4 bytes, big-endian || header, canonical JSON || ciphertext, tag
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from millmark.ledger.canonical import Json, canonical_json, parse_json
from millmark.ledger.claims import Disclosure, parse_disclosure, verify_disclosure
from millmark.ledger.errors import InputError, ProofError
from millmark.services.documents.encryption import (
    NONCE_BYTES,
    TAG_BYTES,
    WRAPPED_BYTES,
    Recipient,
    VersionId,
    open_content,
    open_key,
)
from millmark.services.documents.errors import SealBrokenError

MAX_DOCUMENT_BYTES = 32 << 20
_MAGIC = b"millmark-sealed-document 1\n"
_MAX_HEADER_BYTES = 1 << 16
MAX_FILE_BYTES = len(_MAGIC) + 4 + _MAX_HEADER_BYTES + MAX_DOCUMENT_BYTES + TAG_BYTES
_MEMBERS = frozenset(
    (
        "chain_id",
        "ledger",
        "document",
        "version",
        "participant",
        "recipient_key",
        "root",
        "claims",
        "nonce",
        "wrapped_key",
    )
)
_HINT = "fetch it again"


@dataclass(frozen=True, slots=True)
class SealedHeader:
    """Everything before the ciphertext."""

    version_id: VersionId
    recipient: Recipient
    claims: Disclosure
    """Name, media type, size and SHA-256 of the document, with their salts."""
    nonce: bytes
    wrapped_key: bytes

    def to_bytes(self) -> bytes:
        """The encoded header, including the format line and the length."""
        value: dict[str, Json] = {
            "chain_id": self.recipient.chain_id,
            "ledger": self.recipient.ledger.hex(),
            "document": self.version_id.document,
            "version": self.version_id.version,
            "participant": self.recipient.participant,
            "recipient_key": self.recipient.public_key.hex(),
            "root": self.recipient.root.hex(),
            "claims": self.claims.to_json(),
            "nonce": self.nonce.hex(),
            "wrapped_key": self.wrapped_key.hex(),
        }
        text = canonical_json(value)
        return _MAGIC + len(text).to_bytes(4, "big") + text


@dataclass(frozen=True, slots=True)
class OpenedDocument:
    """A verified document, as it was added."""

    header: SealedHeader
    name: str
    media_type: str
    content: bytes


def parse_sealed(data: bytes) -> tuple[SealedHeader, bytes]:
    """Splits a file into header and ciphertext. Raises InputError. Not established: that any of it is genuine."""
    start = len(_MAGIC) + 4
    if data[: len(_MAGIC)] != _MAGIC or len(data) < start:
        raise InputError("not a sealed document of version 1", hint=_HINT)
    end = start + int.from_bytes(data[len(_MAGIC) : start], "big")
    # The length comes from the file, so it is bounded before anything is parsed.
    if end - start > _MAX_HEADER_BYTES or end + TAG_BYTES > len(data):
        raise InputError("the sealed document is incomplete", hint=_HINT)
    try:
        header = _header(parse_json(data[start:end], max_bytes=_MAX_HEADER_BYTES, max_depth=6))
    except (KeyError, TypeError, ValueError, InputError):
        header = None
    # Encoded again, so that only one spelling of a header is accepted.
    if header is None or header.to_bytes() != data[:end]:
        raise InputError("the sealed document's header is malformed", hint=_HINT)
    return header, data[end:]


def open_sealed(data: bytes, private_key: X25519PrivateKey) -> OpenedDocument:
    """Verifies and decrypts a sealed file.

    1. The wrapped key opens with the private key, for this recipient, version, root and ledger.
    2. The ciphertext opens with that key, for this version.
    3. The claims in the header match the root.
    4. Size and SHA-256 of the content match the claims.

    Raises InputError if the file is malformed, and SealBrokenError if a step fails. Not established: that the root is
    on the ledger, or who wrote the document.
    """
    header, sealed = parse_sealed(data)
    # Only for a clear message: decryption would fail as well, but could not tell why.
    if private_key.public_key().public_bytes_raw() != header.recipient.public_key:
        raise SealBrokenError(
            "the document is sealed for another key", hint="use the key that was published when it was fetched"
        )
    # 1. The key
    data_key = open_key(private_key, header.recipient, header.version_id, header.wrapped_key)
    # 2. The content
    content = open_content(data_key, header.nonce, header.version_id, sealed)
    try:
        # 3. The claims
        verify_disclosure(header.claims, header.recipient.root)
        name, media_type, size, digest = (
            header.claims.value([key]) for key in ("name", "media_type", "size", "sha256")
        )
    except (ProofError, InputError):
        raise SealBrokenError("the document's claims do not match its root", hint=_HINT) from None
    # 4. Size and digest
    if (size, digest) != (len(content), hashlib.sha256(content).hexdigest()):
        raise SealBrokenError(
            "the content does not match the document's claims", hint="report it to the company that shares it"
        )
    return OpenedDocument(header, str(name), str(media_type), content)


def _header(value: Json) -> SealedHeader:
    if not isinstance(value, dict) or value.keys() != _MEMBERS:
        raise ValueError
    recipient = Recipient(
        chain_id=_number(value["chain_id"]),
        ledger=_bytes(value["ledger"], 20),
        participant=_number(value["participant"]),
        public_key=_bytes(value["recipient_key"], 32),
        root=_bytes(value["root"], 32),
    )
    return SealedHeader(
        version_id=VersionId(_bytes(value["document"], 16).hex(), _number(value["version"])),
        recipient=recipient,
        claims=parse_disclosure(value["claims"]),
        nonce=_bytes(value["nonce"], NONCE_BYTES),
        wrapped_key=_bytes(value["wrapped_key"], WRAPPED_BYTES),
    )


def _number(value: Json) -> int:
    # JSON's true would pass as 1: bool is a subclass of int.
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError
    return value


def _bytes(value: Json, size: int) -> bytes:
    if not isinstance(value, str) or len(value) != 2 * size:
        raise ValueError
    return bytes.fromhex(value)
