"""Keys that sign credentials: Ed25519 and P-256, written as Multikey (Controlled Identifiers 1.0 section 2.2.2).

These are not the ledger's keys. A ledger key is secp256k1, which no suite of Data Integrity takes; which credential key
speaks for which participant is said by the participant's did:web document.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ledger.errors import InputError
from services.interop.credentials.multibase import decode_multibase, encode_multibase
from services.interop.errors import CredentialError

__all__ = ["CredentialKey", "Ed25519Key", "P256Key", "PublicKey", "parse_multikey"]

_ED25519: Final = b"\xed\x01"
_P256: Final = b"\x80\x24"
_HALF = 32
"""Bytes of each of the two numbers of a P-256 signature."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that can check."""

    suite: str
    """The one cryptosuite that this project uses it with."""
    multikey: str
    """`publicKeyMultibase`."""
    key: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey

    def verify(self, signature: bytes, data: bytes) -> None:
        """Raises CredentialError when the signature is not of `data` by this key."""
        try:
            if isinstance(self.key, ed25519.Ed25519PublicKey):
                self.key.verify(signature, data)
            else:
                if len(signature) != 2 * _HALF:
                    raise InvalidSignature
                numbers = (int.from_bytes(half, "big") for half in (signature[:_HALF], signature[_HALF:]))
                self.key.verify(encode_dss_signature(*numbers), data, ec.ECDSA(SHA256()))
        except InvalidSignature:
            raise CredentialError("the signature is not of this document by this key") from None


class CredentialKey(Protocol):
    """A key that signs. Its secret never leaves it."""

    @property
    def public(self) -> PublicKey: ...

    def sign(self, data: bytes) -> bytes: ...


class Ed25519Key:
    """An Ed25519 key in memory."""

    __slots__ = ("_key", "public")

    def __init__(self, key: ed25519.Ed25519PrivateKey) -> None:
        self._key = key
        self.public = parse_multikey(encode_multibase(_ED25519 + key.public_key().public_bytes_raw()))

    @classmethod
    def generate(cls) -> Ed25519Key:
        return cls(ed25519.Ed25519PrivateKey.generate())

    def sign(self, data: bytes) -> bytes:
        """64 bytes (RFC 8032)."""
        return self._key.sign(data)


class P256Key:
    """A P-256 key in memory."""

    __slots__ = ("_key", "public")

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        if not isinstance(key.curve, ec.SECP256R1):
            raise InputError("not a key of the curve P-256")
        self._key = key
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        self.public = parse_multikey(encode_multibase(_P256 + point))

    @classmethod
    def generate(cls) -> P256Key:
        return cls(ec.generate_private_key(ec.SECP256R1()))

    def sign(self, data: bytes) -> bytes:
        """r and s, 32 bytes each; deterministic (RFC 6979), so that no bad random source can give the key away."""
        signed = self._key.sign(data, ec.ECDSA(SHA256(), deterministic_signing=True))
        return b"".join(number.to_bytes(_HALF, "big") for number in decode_dss_signature(signed))


def parse_multikey(text: str) -> PublicKey:
    """A public key from its Multikey form. Raises InputError, also for kinds of keys that are not used here."""
    data = decode_multibase(text)
    kind, raw = data[:2], data[2:]
    try:
        if kind == _ED25519:
            return PublicKey("eddsa-jcs-2022", text, ed25519.Ed25519PublicKey.from_public_bytes(raw))
        if kind == _P256 and len(raw) == 1 + _HALF:
            point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
            return PublicKey("ecdsa-jcs-2019", text, point)
    except ValueError:
        raise InputError("the key is no point of its curve") from None
    raise InputError("a kind of key that is not used here", hint="give an Ed25519 or a P-256 key as Multikey")
