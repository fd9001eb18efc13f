"""Encryption of documents and wrapping of their keys (formats: DOCUMENTS.md).

Each version has its own data key, which encrypts once, so its nonce cannot repeat. The purpose of every key and
ciphertext is authenticated: nothing that was sealed for one document, version or recipient opens as another's.
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

from millmark.ledger.canonical import Json, canonical_json
from millmark.services.directory.errors import RecipientKeyError
from millmark.services.documents.errors import SealBrokenError

KEY_BYTES, NONCE_BYTES, TAG_BYTES = 32, 12, 16
WRAPPED_BYTES = 32 + KEY_BYTES + TAG_BYTES
"""Size of a wrapped key: the encapsulated key, then the encrypted data key and its tag."""

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_CONTENT_TAG = b"millmark.document-content.v1\0"
_LOCAL_TAG = b"millmark.document-local-key.v1\0"
_RECIPIENT_TAG = b"millmark.document-recipient-key.v1\0"


@dataclass(frozen=True, slots=True)
class VersionId:
    """A version of a document."""

    document: str
    version: int


@dataclass(frozen=True, slots=True)
class Recipient:
    """The recipient of a data key, with everything that the wrapped key is bound to."""

    chain_id: int
    ledger: bytes
    participant: int
    public_key: bytes
    """X25519, 32 bytes."""
    root: bytes
    """Claims root of the version."""


class Sealer:
    """Encrypts one version, piece by piece, under a new data key."""

    def __init__(self, version_id: VersionId) -> None:
        self.data_key, self.nonce = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(NONCE_BYTES)
        # Not AESGCM, which needs the whole document in memory.
        encryptor: AEADEncryptionContext = Cipher(AES(self.data_key), GCM(self.nonce)).encryptor()
        encryptor.authenticate_additional_data(_bound(_CONTENT_TAG, version_id, {}))
        self._encryptor = encryptor

    def update(self, piece: bytes) -> bytes:
        """Encrypts a piece. Returns as many bytes as were given."""
        return self._encryptor.update(piece)

    def finish(self) -> bytes:
        """Ends the encryption. Returns the authentication tag, which follows the ciphertext."""
        self._encryptor.finalize()
        return self._encryptor.tag


def open_content(data_key: bytes, nonce: bytes, version_id: VersionId, sealed: bytes) -> bytes:
    """Decrypts a version. Raises SealBrokenError unless key, nonce, version and ciphertext belong together."""
    try:
        # In one call, so that no plaintext is returned before the tag at the end has been verified.
        return AESGCM(data_key).decrypt(nonce, sealed, _bound(_CONTENT_TAG, version_id, {}))
    except (InvalidTag, ValueError):
        raise SealBrokenError("the document is damaged, or not the one requested", hint="fetch it again") from None


def wrap_key(wrapping: str, key: bytes, version_id: VersionId, data_key: bytes) -> bytes:
    """Wraps a data key under a key of the gateway's key file. Returns nonce, ciphertext and tag."""
    # Random nonces are safe here: a wrapping key encrypts far fewer than 2^32 data keys (NIST SP 800-38D, section 8.3).
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, data_key, _bound(_LOCAL_TAG, version_id, {"wrapping": wrapping}))


def unwrap_key(wrapping: str, key: bytes, version_id: VersionId, wrapped: bytes) -> bytes:
    """Unwraps a data key. Raises SealBrokenError if it was wrapped under another key or for another version."""
    nonce, sealed = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
    try:
        return AESGCM(key).decrypt(nonce, sealed, _bound(_LOCAL_TAG, version_id, {"wrapping": wrapping}))
    except (InvalidTag, ValueError):
        raise SealBrokenError(
            f"the data key of document {version_id.document} cannot be unwrapped with key {wrapping}",
            hint="restore the key file that belongs to this database",
        ) from None


def wrap_for(recipient: Recipient, version_id: VersionId, data_key: bytes) -> bytes:
    """Wraps a data key for a recipient (HPKE, RFC 9180, base mode, single-shot). Raises RecipientKeyError as
    `verify_public_key` does."""
    try:
        public_key = X25519PublicKey.from_public_bytes(recipient.public_key)
        return _SUITE.encrypt(data_key, public_key, _info(recipient, version_id))
    except ValueError:
        raise RecipientKeyError(
            "the recipient's key is not a valid X25519 key", hint="the recipient has to publish a new one"
        ) from None


def verify_public_key(public_key: bytes) -> None:
    """Verifies that a key is a valid X25519 key. Raises RecipientKeyError, also for a key of low order, for which
    everybody could decrypt."""
    # A trial encryption: with a point of low order, the key agreement fails.
    probe = Recipient(0, bytes(20), 0, public_key, bytes(32))
    wrap_for(probe, VersionId("", 0), bytes(KEY_BYTES))


def open_key(private_key: X25519PrivateKey, recipient: Recipient, version_id: VersionId, wrapped: bytes) -> bytes:
    """Unwraps a data key. Raises SealBrokenError if it was wrapped for another key, recipient, document, version, root
    or ledger."""
    try:
        return _SUITE.decrypt(wrapped, private_key, _info(recipient, version_id))
    except (InvalidTag, ValueError):
        raise SealBrokenError(
            "this key does not open the document", hint="use the key that was published when the document was fetched"
        ) from None


def _info(recipient: Recipient, version_id: VersionId) -> bytes:
    return _bound(
        _RECIPIENT_TAG,
        version_id,
        {
            "chain_id": recipient.chain_id,
            "ledger": recipient.ledger.hex(),
            "recipient": recipient.participant,
            "recipient_key": recipient.public_key.hex(),
            "root": recipient.root.hex(),
        },
    )


def _bound(tag: bytes, version_id: VersionId, more: dict[str, Json]) -> bytes:
    # Canonical JSON, so that two different purposes never have the same bytes.
    return tag + canonical_json({"document": version_id.document, "version": version_id.version, **more})
