"""How documents are encrypted, and their keys wrapped. See DOCUMENTS.md.

Each version has a data key of its own, so the nonce of its one encryption cannot repeat. What a key or a ciphertext is
for is bound into it: nothing sealed for one document, version or recipient opens as another's.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import AEADEncryptionContext, Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from ledger.canonical import Json, canonical_json
from services.documents.errors import RecipientKeyError, SealBrokenError

__all__ = [
    "KEY_BYTES",
    "NONCE_BYTES",
    "TAG_BYTES",
    "WRAPPED_BYTES",
    "Place",
    "Recipient",
    "Sealer",
    "open_content",
    "open_key",
    "unwrap_key",
    "verify_public_key",
    "wrap_for",
    "wrap_key",
]

KEY_BYTES, NONCE_BYTES, TAG_BYTES = 32, 12, 16
WRAPPED_BYTES = 32 + KEY_BYTES + TAG_BYTES
"""Encapsulated key, then the encrypted data key."""

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_CONTENT_TAG = b"millmark.document-content.v1\0"
_LOCAL_TAG = b"millmark.document-local-key.v1\0"
_RECIPIENT_TAG = b"millmark.document-recipient-key.v1\0"


@dataclass(frozen=True, slots=True)
class Place:
    """Which version of which document."""

    document: str
    version: int


@dataclass(frozen=True, slots=True)
class Recipient:
    """For whom a data key is wrapped, and what with it opens."""

    chain_id: int
    ledger: bytes
    participant: int
    public_key: bytes
    """X25519, 32 bytes."""
    root: bytes
    """Claims root of the version."""


class Sealer:
    """Encrypts one version, stretch by stretch, under a data key that nothing else has."""

    def __init__(self, place: Place) -> None:
        self.data_key, self.nonce = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(NONCE_BYTES)
        encryptor: AEADEncryptionContext = Cipher(AES(self.data_key), GCM(self.nonce)).encryptor()
        encryptor.authenticate_additional_data(_bound(_CONTENT_TAG, place, {}))
        self._encryptor = encryptor

    def update(self, stretch: bytes) -> bytes:
        """As many bytes as were given."""
        return self._encryptor.update(stretch)

    def finish(self) -> bytes:
        """The tag, which comes last."""
        self._encryptor.finalize()
        return self._encryptor.tag


def open_content(data_key: bytes, nonce: bytes, place: Place, sealed: bytes) -> bytes:
    """Raises SealBrokenError when key, nonce, place and ciphertext do not belong together."""
    try:
        return AESGCM(data_key).decrypt(nonce, sealed, _bound(_CONTENT_TAG, place, {}))
    except (InvalidTag, ValueError):
        raise SealBrokenError("the document is damaged, or another one", hint="get it again") from None


def wrap_key(wrapping: str, key: bytes, place: Place, data_key: bytes) -> bytes:
    """Nonce, ciphertext and tag of a data key under the gateway's own key of that name."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, data_key, _bound(_LOCAL_TAG, place, {"wrapping": wrapping}))


def unwrap_key(wrapping: str, key: bytes, place: Place, wrapped: bytes) -> bytes:
    """Raises SealBrokenError when it was wrapped under another key or for another place."""
    nonce, sealed = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
    try:
        return AESGCM(key).decrypt(nonce, sealed, _bound(_LOCAL_TAG, place, {"wrapping": wrapping}))
    except (InvalidTag, ValueError):
        raise SealBrokenError(
            f"the key of document {place.document} does not open with key {wrapping}",
            hint="restore the key file that belongs to this database",
        ) from None


def wrap_for(recipient: Recipient, place: Place, data_key: bytes) -> bytes:
    """The data key for one recipient (RFC 9180, base mode, one message). Raises RecipientKeyError as
    `verify_public_key`."""
    try:
        public_key = X25519PublicKey.from_public_bytes(recipient.public_key)
        return _SUITE.encrypt(data_key, public_key, _info(recipient, place))
    except ValueError:
        raise RecipientKeyError("the recipient's key is no X25519 key", hint="publish another one") from None


def verify_public_key(public_key: bytes) -> None:
    """Raises RecipientKeyError for what is no X25519 key, or one of low order, with which everybody could open."""
    probe = Recipient(0, bytes(20), 0, public_key, bytes(32))
    wrap_for(probe, Place("", 0), bytes(KEY_BYTES))


def open_key(private_key: X25519PrivateKey, recipient: Recipient, place: Place, wrapped: bytes) -> bytes:
    """The data key. Raises SealBrokenError when it was wrapped for another key, recipient, document, version or root,
    or for another ledger."""
    try:
        return _SUITE.decrypt(wrapped, private_key, _info(recipient, place))
    except (InvalidTag, ValueError):
        raise SealBrokenError(
            "this key does not open the document", hint="use the key that was published when it was fetched"
        ) from None


def _info(recipient: Recipient, place: Place) -> bytes:
    return _bound(
        _RECIPIENT_TAG,
        place,
        {
            "chain_id": recipient.chain_id,
            "ledger": recipient.ledger.hex(),
            "recipient": recipient.participant,
            "recipient_key": recipient.public_key.hex(),
            "root": recipient.root.hex(),
        },
    )


def _bound(tag: bytes, place: Place, more: dict[str, Json]) -> bytes:
    return tag + canonical_json({"document": place.document, "version": place.version, **more})
