"""What is sealed in a hand-over: names, documents and a bundle (format: HANDOVER.md, "Content")."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from millmark.ledger import canonical
from millmark.ledger.claims import Claims, Path, parse_claims
from millmark.ledger.errors import (
    CanonicalError,
    ClaimsError,
    IdentifierError,
    MillmarkError,
    RecordError,
    Retry,
    SigningError,
)
from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.names import MAX_NAME_KEYS, NAME_PROOF_BYTES, salt_of
from millmark.ledger.records import Contract
from millmark.ledger.signatures import Signature, Signer, recover_address
from millmark.ledger.store import Rows
from millmark.ledger.store.rows import ChainIdentityRow, KeyRow, RecordRow
from millmark.services.directory.document import typed_digest
from millmark.services.planning.errors import PlanningError
from millmark.services.planning.stream_entries import OpenedLeaf, parse_opened_leaf

# Errors of the handover package, below the root in `millmark.ledger.errors`.
#
# MillmarkError
#   HandoverError              a hand-over cannot be made, sent or kept
#     HandoverRefusedError     it is malformed, not for this company, or not what the ledger says
#     HandoverEarlyError       this company's node or index is not that far yet: the same hand-over is taken later


class HandoverError(MillmarkError):
    """A hand-over cannot be made, sent or kept."""

    code = "handover-failed"


class HandoverRefusedError(HandoverError):
    """A hand-over that is malformed, not for this company, or not what the ledger says. Nothing of it was kept."""

    code = "handover-refused"


class HandoverEarlyError(HandoverError):
    """A hand-over about what this company's node or index does not have yet. Nothing of it was kept."""

    code = "handover-early"
    retry = Retry.UNCHANGED


# Erasures: signed statements by which the author of a document asks those who were handed it to erase a field.
#
# An erasure concerns the document behind a claims root, so it travels wherever that document was handed over: each
# gateway that erased a field tells those to whom it had handed the document over itself. Not established: that a copy
# is gone.

_TYPE = canonical.keccak256(b"Erasure(bytes32 root,bytes32 path)")
_MAX_PATH_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, order=True)
class Erasure:
    """That a field, or all fields below a path, of the document with a claims root are to be erased."""

    root: bytes
    path: str
    """Canonical JSON of the path."""
    contract: str
    """millmark.ledger.records.Contract of the record; empty for an erasure of one's own, which is not passed on."""
    record: int
    """The record that commits to the document. Its author is whose statement this is."""
    signature: bytes
    """65 bytes; empty for one's own, until it is handed over."""


def parse_path(text: str) -> Path:
    """Raises HandoverRefusedError unless it is a path in canonical JSON."""
    found = canonical.parse_json(text.encode(), max_bytes=_MAX_PATH_BYTES, max_depth=1)
    if not isinstance(found, list) or canonical.canonical_json(found) != text.encode():
        raise HandoverRefusedError("an erasure in it has a malformed path", hint="ask its sender to send it again")
    return tuple(step if isinstance(step, str) else int(step) for step in found if isinstance(step, str | int))


def sign_erasure(ledger: ChainIdentityRow, erasure: Erasure, signer: Signer) -> Erasure:
    """The erasure with a signature; unchanged if it has one. Raises SigningError."""
    if erasure.signature:
        return erasure
    signature = signer.sign_digest(_digest(ledger, erasure)).to_bytes()
    return Erasure(erasure.root, erasure.path, erasure.contract, erasure.record, signature)


def verify_erasure(rows: Rows, ledger: ChainIdentityRow, erasure: Erasure) -> None:
    """Verifies that the author of the record asks for it. Raises HandoverRefusedError."""
    parse_path(erasure.path)
    found = rows.find(RecordRow, contract=erasure.contract, sequence=erasure.record)
    if not found or erasure.root not in found[0].event().roots():
        raise HandoverRefusedError(f"record {erasure.record} does not commit to a document that is to be erased")
    try:
        signer = recover_address(_digest(ledger, erasure), Signature.from_bytes(erasure.signature))
    except SigningError as error:
        raise HandoverRefusedError(f"the signature of an erasure is invalid: {error.cause}") from None
    key = rows.get(KeyRow, signer)
    # A key that was replaced since still counts, because statements are passed on; a compromised one does not.
    if key is None or key.participant != found[0].participant or key.compromised_since:
        raise HandoverRefusedError("an erasure in it is not signed by the document's author")


def find_commitment(rows: Rows, root: bytes, author: int) -> tuple[str, int]:
    """Contract and sequence of a company's record that commits to a document; ("", 0) if it made none.

    Reads all of its records: documents are not indexed by root, and erasures are rare.
    """
    for contract in Contract:
        for row in rows.find(RecordRow, contract=contract.value, participant=author):
            if root in row.event().roots():
                return contract.value, row.sequence
    return "", 0


def apply_erasures(claims: Claims, erasures: Iterable[Erasure]) -> Claims:
    """The claims without the fields that are to be erased. Paths that select none are passed over."""
    for erasure in erasures:
        try:
            claims = claims.erase([parse_path(erasure.path)])
        except ClaimsError:
            continue
    return claims


def write_path(path: Sequence[str | int]) -> str:
    """The canonical JSON of a path."""
    return canonical.canonical_json(list(path)).decode()


def _digest(ledger: ChainIdentityRow, erasure: Erasure) -> bytes:
    return typed_digest(ledger.chain_id, ledger.ledger, _TYPE + erasure.root + canonical.sha256(erasure.path.encode()))


# The envelope of a hand-over: sealed to its recipient's key, signed by its sender (format: HANDOVER.md).
#
# Whatever changes in an envelope changes what was signed or what was encrypted, so no byte of it can be altered: the
# head is canonical JSON, the ciphertext canonical base64url, and the signature has one form.

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
_HANDOVER_TYPE = canonical.keccak256(
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
        named: canonical.Json = {
            "chain_id": self.chain_id,
            "ledger": canonical.to_hex(self.ledger),
            "recipient": self.recipient,
            "recipient_key": canonical.to_hex(self.recipient_key),
            "sender": self.sender,
            "sequence": self.sequence,
        }
        return _INFO_TAG + canonical.canonical_json(named)


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
    unsigned = Head(route, canonical.sha256(ciphertext), len(ciphertext), b"")
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
    shown: canonical.Json = {
        "chain_id": route.chain_id,
        "ciphertext": canonical.to_hex(head.digest),
        "format": FORMAT,
        "ledger": canonical.to_hex(route.ledger),
        "recipient": route.recipient,
        "recipient_key": canonical.to_hex(route.recipient_key),
        "sender": route.sender,
        "sequence": route.sequence,
        "signature": canonical.to_hex(head.signature),
        "size": head.size,
        "version": VERSION,
    }
    return canonical.canonical_json(shown) + b"\n" + base64.urlsafe_b64encode(envelope.ciphertext).rstrip(b"=") + b"\n"


def is_handover(data: bytes) -> bool:
    """Whether a file begins as a hand-over does. Not established: that it is one."""
    return b'"format":"' + FORMAT.encode() + b'"' in data[:MAX_HEAD_BYTES].partition(b"\n")[0]


def parse_head(line: bytes) -> Head:
    """Parses the first line, without its end. Raises HandoverRefusedError."""
    try:
        value = canonical.parse_json(line, max_bytes=MAX_HEAD_BYTES, max_depth=1)
        if not isinstance(value, dict) or value.keys() != _MEMBERS or canonical.canonical_json(value) != line:
            raise HandoverRefusedError("its first line is not the head of a hand-over", hint=_HINT)
    except CanonicalError:
        raise HandoverRefusedError("its first line is not the head of a hand-over", hint=_HINT) from None
    if value["format"] != FORMAT or value["version"] is True or value["version"] != VERSION:
        raise HandoverRefusedError(f"it is not a {FORMAT} of version {VERSION}", hint="update this program")
    route = Route(
        _number(value["chain_id"], canonical.MAX_SAFE_INTEGER),
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
    if base64.urlsafe_b64encode(ciphertext).rstrip(b"=") != text or canonical.sha256(ciphertext) != head.digest:
        raise HandoverRefusedError("its ciphertext is not the one that its sender signed", hint=_HINT)
    return Envelope(head, ciphertext)


def _number(value: canonical.Json, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise HandoverRefusedError(f"its head has {str(value)[:20]!a} for a number from 1 to {most}", hint=_HINT)
    return value


def _bytes(value: canonical.Json, length: int) -> bytes:
    if not isinstance(value, str) or not re.fullmatch(f"0x[0-9a-f]{{{2 * length}}}", value):
        raise HandoverRefusedError(f"its head has no 0x and {2 * length} lower-case digits in a place", hint=_HINT)
    return bytes.fromhex(value[2:])


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")


_CONTENT_MEMBERS = frozenset(("bundle", "documents", "entries", "erasures", "format", "names", "objectives", "version"))
_FORM, _VERSION = "millmark.handover-content", 1
MAX_LISTED = 4096
"""Most names, and most documents."""
_MAX_DEPTH = 40
_SEND_AND_UPDATE = "ask its sender to send it again, and to update its program"


@dataclass(frozen=True, slots=True)
class Content:
    """What one company hands over to another. Not established: that any of it is true."""

    names: tuple[Identity, ...] = ()
    """Names of things beside those that the bundle names, ascending by subject."""
    documents: tuple[Claims, ...] = ()
    """Ascending by claims root. Of a field that the recipient does not get, only the leaf hash is in it."""
    erasures: tuple[Erasure, ...] = ()
    """Ascending. Fields of documents that were handed over before, and are to be erased."""
    entries: tuple[OpenedLeaf, ...] = ()
    """Entries of the stream that the record anchored, ascending by index."""
    objectives: tuple[canonical.Json, ...] = ()
    """The objectives of the calls among `entries`, ascending by their canonical JSON."""
    bundle: bytes = b""
    """A bundle; empty if there is no lot to prove anything about."""


def encode_content(content: Content) -> bytes:
    """The content as bytes, which are then encrypted."""
    shown: canonical.Json = {
        "bundle": len(content.bundle),
        "documents": [claims.to_json() for claims in sorted(content.documents, key=lambda one: one.root)],
        "entries": [one.to_json() for one in sorted(content.entries, key=lambda one: one.index)],
        "erasures": [_erasure(one) for one in sorted(content.erasures)],
        "format": _FORM,
        "names": [_name(one) for one in sorted(content.names, key=lambda one: one.subject)],
        "objectives": sorted(content.objectives, key=canonical.canonical_json),
        "version": _VERSION,
    }
    return canonical.canonical_json(shown) + b"\n" + content.bundle


def parse_content(data: bytes) -> Content:
    """Parses a content. Raises HandoverRefusedError unless it is complete and in canonical form."""
    line, _, bundle = data.partition(b"\n")
    try:
        value = canonical.parse_json(line, max_bytes=MAX_CONTENT_BYTES, max_depth=_MAX_DEPTH)
        if not isinstance(value, dict) or value.keys() != _CONTENT_MEMBERS:
            raise HandoverRefusedError("its content is malformed", hint=_SEND_AND_UPDATE)
        if value["format"] != _FORM or value["version"] is True or value["version"] != _VERSION:
            raise HandoverRefusedError(f"its content is not {_FORM} of version {_VERSION}", hint="update this program")
        content = Content(
            tuple(map(_parse_name, _listed(value["names"]))),
            tuple(map(parse_claims, _listed(value["documents"]))),
            tuple(map(_parse_erasure, _listed(value["erasures"]))),
            tuple(map(parse_opened_leaf, _listed(value["entries"]))),
            tuple(_listed(value["objectives"])),
            bundle,
        )
    except (CanonicalError, ClaimsError, IdentifierError, PlanningError, RecordError) as error:
        raise HandoverRefusedError(f"its content is malformed: {error.cause}", hint=_SEND_AND_UPDATE) from None
    # Encoded again, so that one content has one text: also its length, and the order of names and documents.
    if encode_content(content) != data or value["bundle"] != len(bundle):
        raise HandoverRefusedError("its content is not in canonical form, or truncated", hint=_SEND_AND_UPDATE)
    _verify_once([one.subject for one in content.names])
    _verify_once([one.root for one in content.documents])
    _verify_once([one.root + one.path.encode() for one in content.erasures])
    _verify_once([one.index.to_bytes(8, "big") for one in content.entries])
    _verify_once(map(canonical.canonical_json, content.objectives))
    return content


def _verify_once(found: Iterable[bytes]) -> None:
    listed = list(found)
    if len(set(listed)) != len(listed):
        raise HandoverRefusedError("its content has a name, document, entry or erasure twice", hint=_SEND_AND_UPDATE)


def _name(identity: Identity) -> canonical.Json:
    return {
        "creator": identity.creator,
        "identifier": identity.identifier,
        "kind": identity.kind.name.lower(),
        "proofs": [base64.urlsafe_b64encode(proof).rstrip(b"=").decode() for proof in identity.proofs],
    }


def _parse_name(value: canonical.Json) -> Identity:
    if not isinstance(value, dict) or value.keys() != {"creator", "identifier", "kind", "proofs"}:
        raise HandoverRefusedError("its content has a malformed name", hint=_SEND_AND_UPDATE)
    creator, identifier, kind = value["creator"], value["identifier"], value["kind"]
    kinds = {one.name.lower(): one for one in SubjectKind}
    proofs = tuple(_proof(one) for one in _listed(value["proofs"]))
    if (
        isinstance(creator, bool)
        or not isinstance(creator, int)
        or not 0 < creator <= canonical.MAX_SAFE_INTEGER
        or not isinstance(identifier, str)
        or not isinstance(kind, str)
        or kind not in kinds
        or not 0 < len(proofs) <= MAX_NAME_KEYS
    ):
        raise HandoverRefusedError("its content has a malformed name", hint=_SEND_AND_UPDATE)
    try:
        return Identity(kinds[kind], creator, identifier, salt_of(proofs), proofs)
    except ValueError:
        raise HandoverRefusedError("its content has a malformed name", hint=_SEND_AND_UPDATE) from None


def _erasure(erasure: Erasure) -> canonical.Json:
    return {
        "contract": erasure.contract,
        "path": erasure.path,
        "record": erasure.record,
        "root": canonical.to_hex(erasure.root),
        "signature": canonical.to_hex(erasure.signature),
    }


def _parse_erasure(value: canonical.Json) -> Erasure:
    if not isinstance(value, dict) or value.keys() != {"contract", "path", "record", "root", "signature"}:
        raise HandoverRefusedError("its content has a malformed erasure", hint=_SEND_AND_UPDATE)
    contract, path, record, root, signature = (
        value[one] for one in ("contract", "path", "record", "root", "signature")
    )
    if (
        not isinstance(contract, str)
        or not isinstance(path, str)
        or isinstance(record, bool)
        or not isinstance(record, int)
        or not 0 < record <= canonical.MAX_SAFE_INTEGER
        or not isinstance(root, str)
        or not isinstance(signature, str)
        or not re.fullmatch("0x[0-9a-f]{130}", signature)
    ):
        raise HandoverRefusedError("its content has a malformed erasure", hint=_SEND_AND_UPDATE)
    return Erasure(canonical.parse_hex32(root), path, contract, record, bytes.fromhex(signature[2:]))


def _proof(value: canonical.Json) -> bytes:
    try:
        proof = base64.urlsafe_b64decode(f"{value}===") if isinstance(value, str) else b""
    except (binascii.Error, ValueError):
        proof = b""
    if len(proof) != NAME_PROOF_BYTES:
        raise HandoverRefusedError("its content has a malformed proof of a name", hint=_SEND_AND_UPDATE)
    return proof


def _listed(value: canonical.Json) -> list[canonical.Json]:
    if not isinstance(value, list) or len(value) > MAX_LISTED:
        raise HandoverRefusedError(
            f"its content has no list of at most {MAX_LISTED} entries in a place", hint=_SEND_AND_UPDATE
        )
    return value
