"""The envelope of a hand-over: sealed to its recipient's key, signed by its sender (format: HANDOVER.md).

Whatever changes in an envelope changes what was signed or what was encrypted, so no byte of it can be altered: the head
is canonical JSON, the ciphertext canonical base64url, and the signature has one form.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json, canonical_json, keccak256, parse_json, sha256, to_hex
from millmark.ledger.errors import CanonicalError, SigningError
from millmark.ledger.signatures import Signature, Signer, recover_address
from millmark.services.directory.recipient_keys import typed_digest
from millmark.services.handover.errors import HandoverRefusedError

__all__ = [
    "FORMAT",
    "MAX_CONTENT_BYTES",
    "MAX_HANDOVER_BYTES",
    "MAX_HEAD_BYTES",
    "MEDIA_TYPE",
    "Envelope",
    "Head",
    "Route",
    "encode_envelope",
    "is_handover",
    "open_envelope",
    "parse_envelope",
    "parse_head",
    "seal",
]

FORMAT, VERSION = "millmark.handover", 1
MEDIA_TYPE = "application/vnd.millmark.handover"
MAX_CONTENT_BYTES = 16 << 20
"""Longest content before encryption."""
SEAL_BYTES = 32 + 16
"""What encryption adds: the encapsulated key and the tag."""
MAX_HEAD_BYTES = 1024
MAX_HANDOVER_BYTES = MAX_HEAD_BYTES + (MAX_CONTENT_BYTES + SEAL_BYTES) * 4 // 3 + 8

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_INFO_TAG = b"millmark.handover.v1\0"
_HANDOVER_TYPE = keccak256(
    b"HandOver(uint32 sender,uint32 recipient,bytes32 recipientKey,uint40 sequence,uint32 size,bytes32 ciphertext)"
)
_BASE64 = re.compile(rb"[A-Za-z0-9_-]*")
_PLACES = ("chain_id", "ledger", "sender", "recipient", "recipient_key", "sequence")
_MEMBERS = frozenset((*_PLACES, "ciphertext", "format", "signature", "size", "version"))
_HINT = "ask its sender to send it again"


@dataclass(frozen=True, slots=True)
class Route:
    """Between whom a hand-over travels, and because of which record. The encryption is bound to all of it."""

    chain_id: int
    ledger: bytes
    """Address, 20 bytes."""
    sender: int
    recipient: int
    recipient_key: bytes
    """X25519, 32 bytes."""
    sequence: int
    """The ledger's record that names the recipient."""

    @property
    def info(self) -> bytes:
        """The `info` of HPKE."""
        named: Json = {
            "chain_id": self.chain_id,
            "ledger": to_hex(self.ledger),
            "recipient": self.recipient,
            "recipient_key": to_hex(self.recipient_key),
            "sender": self.sender,
            "sequence": self.sequence,
        }
        return _INFO_TAG + canonical_json(named)


@dataclass(frozen=True, slots=True)
class Head:
    """The first line of a hand-over: all that can be judged before the rest is read."""

    route: Route
    digest: bytes
    """SHA-256 of the ciphertext, 32 bytes."""
    size: int
    """Length of the ciphertext in bytes."""
    signature: bytes
    """65 bytes, by a key of the sender."""

    @property
    def signed_digest(self) -> bytes:
        """The 32 bytes that are signed (EIP-712, in the domain of checkpoints)."""
        route = self.route
        words = _word(route.sender) + _word(route.recipient) + route.recipient_key + _word(route.sequence)
        message = _HANDOVER_TYPE + words + _word(self.size) + self.digest
        return typed_digest(route.chain_id, route.ledger, message)

    def recover_signer(self) -> bytes:
        """The address that signed. Raises HandoverRefusedError. Not established: whose key it is."""
        try:
            return recover_address(self.signed_digest, Signature.from_bytes(self.signature))
        except SigningError as error:
            raise HandoverRefusedError(f"its signature is invalid: {error.cause}", hint=_HINT) from None


@dataclass(frozen=True, slots=True)
class Envelope:
    """A hand-over: its head and its ciphertext. Not established: who made it, and what is in it."""

    head: Head
    ciphertext: bytes


def seal(route: Route, content: bytes, signer: Signer) -> Envelope:
    """Encrypts a content to its recipient (HPKE, RFC 9180, base mode) and signs the envelope. Raises SigningError, and
    HandoverRefusedError for a content that is too long or a recipient's key that cannot be used."""
    if len(content) > MAX_CONTENT_BYTES:
        raise HandoverRefusedError(
            f"its content has {len(content)} bytes, more than {MAX_CONTENT_BYTES}", hint="hand over fewer lots at once"
        )
    try:
        key = X25519PublicKey.from_public_bytes(route.recipient_key)
        ciphertext = _SUITE.encrypt(content, key, route.info)
    except ValueError:
        raise HandoverRefusedError("the recipient's key cannot be used", hint="ask it for another key") from None
    unsigned = Head(route, sha256(ciphertext), len(ciphertext), b"")
    signature = signer.sign_digest(unsigned.signed_digest).to_bytes()
    return Envelope(Head(route, unsigned.digest, unsigned.size, signature), ciphertext)


def open_envelope(envelope: Envelope, key: X25519PrivateKey) -> bytes:
    """Decrypts. Raises HandoverRefusedError unless it was sealed to this key, for exactly this route."""
    try:
        return _SUITE.decrypt(envelope.ciphertext, key, envelope.head.route.info)
    except (InvalidTag, ValueError):
        raise HandoverRefusedError(
            "this company's recipient key does not open it", hint="ask its sender to send it again, to the present key"
        ) from None


def encode_envelope(envelope: Envelope) -> bytes:
    """The text of a hand-over, the same for file and wire."""
    head, route = envelope.head, envelope.head.route
    shown: Json = {
        "chain_id": route.chain_id,
        "ciphertext": to_hex(head.digest),
        "format": FORMAT,
        "ledger": to_hex(route.ledger),
        "recipient": route.recipient,
        "recipient_key": to_hex(route.recipient_key),
        "sender": route.sender,
        "sequence": route.sequence,
        "signature": to_hex(head.signature),
        "size": head.size,
        "version": VERSION,
    }
    return canonical_json(shown) + b"\n" + base64.urlsafe_b64encode(envelope.ciphertext).rstrip(b"=") + b"\n"


def is_handover(data: bytes) -> bool:
    """Whether a file begins as a hand-over does. Not established: that it is one."""
    return b'"format":"' + FORMAT.encode() + b'"' in data[:MAX_HEAD_BYTES].partition(b"\n")[0]


def parse_head(line: bytes) -> Head:
    """Parses the first line, without its end. Raises HandoverRefusedError."""
    try:
        value = parse_json(line, max_bytes=MAX_HEAD_BYTES, max_depth=1)
        if not isinstance(value, dict) or value.keys() != _MEMBERS or canonical_json(value) != line:
            raise HandoverRefusedError("its first line is not the head of a hand-over", hint=_HINT)
    except CanonicalError:
        raise HandoverRefusedError("its first line is not the head of a hand-over", hint=_HINT) from None
    if value["format"] != FORMAT or value["version"] is True or value["version"] != VERSION:
        raise HandoverRefusedError(f"it is not a {FORMAT} of version {VERSION}", hint="update this program")
    route = Route(
        _number(value["chain_id"], MAX_SAFE_INTEGER),
        _bytes(value["ledger"], 20),
        _number(value["sender"], 2**32 - 1),
        _number(value["recipient"], 2**32 - 1),
        _bytes(value["recipient_key"], 32),
        _number(value["sequence"], 2**40 - 1),
    )
    size = _number(value["size"], MAX_CONTENT_BYTES + SEAL_BYTES)
    return Head(route, _bytes(value["ciphertext"], 32), size, _bytes(value["signature"], 65))


def parse_envelope(data: bytes) -> Envelope:
    """Parses a hand-over. Raises HandoverRefusedError unless it is complete and in canonical form."""
    if len(data) > MAX_HANDOVER_BYTES:
        raise HandoverRefusedError(f"it has more than {MAX_HANDOVER_BYTES} bytes", hint=_HINT)
    line, _, rest = data.partition(b"\n")
    head = parse_head(line)
    text = rest.removesuffix(b"\n")
    whole = rest.endswith(b"\n") and _BASE64.fullmatch(text) and len(text) == -(-head.size * 4 // 3)
    if not whole:
        raise HandoverRefusedError("it is truncated, or something follows its end", hint=_HINT)
    ciphertext = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    # Unused bits of the last digit could be set: the text would be another, and the ciphertext the same.
    if base64.urlsafe_b64encode(ciphertext).rstrip(b"=") != text or sha256(ciphertext) != head.digest:
        raise HandoverRefusedError("its ciphertext is not the one that its sender signed", hint=_HINT)
    return Envelope(head, ciphertext)


def _number(value: Json, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise HandoverRefusedError(f"its head has {str(value)[:20]!a} for a number from 1 to {most}", hint=_HINT)
    return value


def _bytes(value: Json, length: int) -> bytes:
    if not isinstance(value, str) or not re.fullmatch(f"0x[0-9a-f]{{{2 * length}}}", value):
        raise HandoverRefusedError(f"its head has no 0x and {2 * length} lower-case digits in a place", hint=_HINT)
    return bytes.fromhex(value[2:])


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")
