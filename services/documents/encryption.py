"""Encryption of documents, wrapping of their keys, and the files of both (formats: DOCUMENTS.md).

Each version has its own data key, which encrypts once, so its nonce cannot repeat. The purpose of every key and
ciphertext is authenticated: nothing that was sealed for one document, version or recipient opens as another's.
"""

from __future__ import annotations

import fcntl
import glob
import hashlib
import os
import secrets
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import AEADEncryptionContext, Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from millmark.ledger.canonical import Json, canonical_json, parse_json
from millmark.ledger.claims import Disclosure, parse_disclosure, verify_disclosure
from millmark.ledger.errors import CanonicalError, InputError, MillmarkError, ProofError, SigningError
from millmark.ledger.files import replace_file, sync_folder
from millmark.ledger.keys import read_private, write_private
from millmark.services.directory.document import RecipientKeyError

# Errors of the documents package, below the root in `millmark.ledger.errors`.
#
# MillmarkError
#   DocumentError              a document cannot be shared, fetched or opened
#     SealBrokenError          a sealed document is damaged, or sealed for another key
#     GatewayAnswerError       a gateway does not respond, or its response is malformed


class DocumentError(MillmarkError):
    """A document cannot be shared, fetched or opened."""

    code = "document-unusable"


class SealBrokenError(DocumentError):
    """A sealed document is damaged, or sealed for another key."""

    code = "seal-broken"


class GatewayAnswerError(DocumentError):
    """A gateway does not respond, or its response is malformed."""

    code = "gateway-unreachable"


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


# Key files of mode 0600: the key ring that wraps a gateway's data keys, and the private key of a recipient.
#
# The key ring is read at every use, so that a running gateway notices a rotation.

_RING, _RECIPIENT = "millmark-document-keys", "millmark-recipient-key"
_MAX_BYTES = 1 << 16
_KEEP_OLD_S = 86_400
_WAIT_S, _PAUSE_S = 600.0, 0.02
"""How long a rotation waits for another one, and between two looks."""


class KeyRing:
    """The keys in a gateway's key file, by name; the first one is current."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._old = path.name + ".old-"
        """How the names of files with dropped keys begin."""

    @contextmanager
    def rotating(self) -> Iterator[None]:
        """Keeps other rotations of this key file out during the `with` block: of all processes and threads.

        Raises SigningError if one is still under way after ten minutes."""
        # Beside the key file, which is itself replaced meanwhile. The kernel releases the lock with the process.
        lock = self._path.with_name(self._path.name + ".lock")
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SigningError(f"{lock} cannot be opened: {error.strerror}", hint="check its folder") from None
        try:
            _wait_for(descriptor, self._path)
            yield
        finally:
            os.close(descriptor)

    def in_use(self) -> tuple[str, bytes]:
        """Name and value of the current key, which wraps new data keys. Creates the file if it does not exist. Raises
        SigningError."""
        # Two processes may get here at once: `write_private` never replaces a file, so the second raises and loses no
        # key.
        if not self._path.exists():
            write_private(self._path, _ring_text([_new_key()]))
        return next(iter(self.keys().items()))

    def key(self, name: str) -> bytes:
        """The key with this name. Raises SigningError if the file has none."""
        found = self.keys().get(name)
        if found is None:
            raise SigningError(
                f"{self._path} has no key {name}",
                hint=f"restore the key file that belongs to this database; {self._old}* have the keys that were "
                "dropped within the last day",
            )
        return found

    def keys(self) -> dict[str, bytes]:
        """All keys by name, the current one first. Raises SigningError."""
        self._forget_old()
        return _read_ring(self._path)

    def add(self) -> None:
        """Adds a new key and makes it current."""
        # The first key is the current one. The others stay, for the data keys that are still wrapped under them.
        self._replace(self._path, [_new_key(), *self.keys().items()])

    def drop_old(self, named: Collection[str]) -> None:
        """Removes the keys that are neither current nor among `named`, those by which data keys are wrapped.

        For a day they stay in a file beside it, one for each rotation: what a mistake would cost is every document."""
        keys = list(self.keys().items())
        kept = [keys[0], *(key for key in keys[1:] if key[0] in named)]
        dropped = [key for key in keys if key not in kept]
        if dropped:
            self._replace(self._path.with_name(f"{self._old}{time.time_ns()}"), dropped)
            self._replace(self._path, kept)

    def _forget_old(self) -> None:
        for old in self._path.parent.glob(glob.escape(self._old) + "*"):
            with suppress(OSError):  # another process was faster
                if time.time() - old.stat().st_mtime > _KEEP_OLD_S:
                    old.unlink()
                    sync_folder(old.parent)

    def _replace(self, path: Path, keys: list[tuple[str, bytes]]) -> None:
        # Written beside the file and renamed: a crash leaves the old ring or the new one, never a part.
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        write_private(draft, _ring_text(keys))
        replace_file(draft, path)


def create_recipient_key(path: Path) -> bytes:
    """Writes a new X25519 key to a new file, and returns the public key. Raises SigningError, also if the file
    exists."""
    key = X25519PrivateKey.generate()
    content: Json = {"format": _RECIPIENT, "version": 1, "private_key": key.private_bytes_raw().hex()}
    write_private(path, canonical_json(content) + b"\n")
    return key.public_key().public_bytes_raw()


def read_recipient_key(path: Path) -> X25519PrivateKey:
    """Reads a recipient's private key. Raises SigningError for a file that other users can read or that contains no
    such key."""
    value = _parse(path, _RECIPIENT)
    try:
        return X25519PrivateKey.from_private_bytes(bytes.fromhex(str(value["private_key"])))
    except (KeyError, ValueError):
        raise SigningError(
            f"{path} does not contain a recipient's key", hint="create one with `millmark documents keys new`"
        ) from None


def _wait_for(descriptor: int, path: Path) -> None:
    deadline = time.monotonic() + _WAIT_S
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        if time.monotonic() > deadline:
            raise SigningError(f"another rotation of {path} is under way", hint="repeat the command when it has ended")
        time.sleep(_PAUSE_S)


def _read_ring(path: Path) -> dict[str, bytes]:
    listed = _parse(path, _RING).get("keys")
    try:
        keys = dict(map(_parse_key, listed if isinstance(listed, list) else []))
    except ValueError:
        keys = {}
    if not keys:
        raise SigningError(f"{path} is not a valid file of document keys", hint="restore it from a backup")
    return keys


def _parse(path: Path, form: str) -> Mapping[str, Json]:
    try:
        value = parse_json(read_private(path), max_bytes=_MAX_BYTES, max_depth=4)
    except CanonicalError:
        value = None
    if not isinstance(value, dict) or value.get("format") != form or value.get("version") != 1:
        raise SigningError(f"{path} is not a {form} file of version 1")
    return value


def _parse_key(value: Json) -> tuple[str, bytes]:
    if not isinstance(value, dict) or value.keys() != {"id", "key"}:
        raise ValueError
    name, key = str(value["id"]), bytes.fromhex(str(value["key"]))
    if len(key) != KEY_BYTES:
        raise ValueError
    return name, key


def _new_key() -> tuple[str, bytes]:
    return secrets.token_hex(6), secrets.token_bytes(KEY_BYTES)


def _ring_text(keys: list[tuple[str, bytes]]) -> bytes:
    shown: list[Json] = [{"id": name, "key": key.hex()} for name, key in keys]
    return canonical_json({"format": _RING, "version": 1, "keys": shown}) + b"\n"


# The file that a recipient fetches: a version's ciphertext, its key wrapped for the recipient, and its claims.
#
#     millmark-sealed-document 1\n || length of the header, 4 bytes, big-endian || header, canonical JSON || ciphertext,
#     tag

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
    on the ledger, or who wrote the document."""
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
