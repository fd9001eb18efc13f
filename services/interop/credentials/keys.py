"""Keys that sign credentials: Ed25519 and P-256, written as Multikey (Controlled Identifiers 1.0 section 2.2.2).

These are not ledger keys, which are secp256k1 and not supported by any Data Integrity suite. A participant's did:web
document states which credential keys belong to it. Public keys, and the proofs made with them, are written in the
base58btc form of multibase (draft-multiformats-multibase); private keys are kept in files of PKCS #8 in PEM, mode 0600.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from millmark.ledger.errors import InputError, SigningError
from millmark.ledger.keys import read_private, write_private
from millmark.services.interop.errors import CredentialError

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_MAX_CHARACTERS = 200
"""Decoding takes quadratic time; keys and signatures have fewer than 100 characters."""


def encode_multibase(data: bytes) -> str:
    """Encodes `data` as multibase: `z` and its base58btc form."""
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    # Leading zero bytes do not show in the number; base58 writes each of them as its first digit.
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "z" + _ALPHABET[0] * zeros + text


def decode_multibase(text: str) -> bytes:
    """Decodes multibase text in base58btc. Raises InputError."""
    if not isinstance(text, str) or not text.startswith("z") or not 1 < len(text) <= _MAX_CHARACTERS:
        raise InputError("not multibase text in base58btc", hint="it must begin with z")
    digits = text[1:]
    number = 0
    for character in digits:
        digit = _ALPHABET.find(character)
        if digit < 0:
            raise InputError(f"{character!a} is not a base58 character")
        number = number * 58 + digit
    zeros = len(digits) - len(digits.lstrip(_ALPHABET[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


_ED25519: Final = b"\xed\x01"
_P256: Final = b"\x80\x24"
_HALF = 32
"""Length in bytes of each of the two numbers of a P-256 signature, and of a point's coordinate."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key, with the cryptosuite it is used with."""

    suite: str
    """The only cryptosuite that is accepted for this kind of key."""
    multikey: str
    """Value of `publicKeyMultibase`."""
    key: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey

    def verify(self, signature: bytes, data: bytes) -> None:
        """Verifies that the signature over `data` was made with this key. Raises CredentialError."""
        try:
            if isinstance(self.key, ed25519.Ed25519PublicKey):
                self.key.verify(signature, data)
            else:
                # The cryptosuite has r and s side by side; the library wants them as DER.
                if len(signature) != 2 * _HALF:
                    raise InvalidSignature
                numbers = (int.from_bytes(half, "big") for half in (signature[:_HALF], signature[_HALF:]))
                self.key.verify(encode_dss_signature(*numbers), data, ec.ECDSA(SHA256()))
        except InvalidSignature:
            raise CredentialError("the signature does not match the document and the key") from None


class CredentialKey(Protocol):
    """A private key; the secret cannot be read through this interface."""

    @property
    def public(self) -> PublicKey: ...

    def sign(self, data: bytes) -> bytes: ...


class Ed25519Key:
    """An Ed25519 private key in memory."""

    __slots__ = ("_key", "public")

    def __init__(self, key: ed25519.Ed25519PrivateKey) -> None:
        self._key = key
        self.public = parse_multikey(encode_multibase(_ED25519 + key.public_key().public_bytes_raw()))

    @classmethod
    def generate(cls) -> Ed25519Key:
        return cls(ed25519.Ed25519PrivateKey.generate())

    def sign(self, data: bytes) -> bytes:
        """Signs `data`; 64 bytes (RFC 8032)."""
        return self._key.sign(data)


class P256Key:
    """A P-256 private key in memory."""

    __slots__ = ("_key", "public")

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        if not isinstance(key.curve, ec.SECP256R1):
            raise InputError("the key is not on the curve P-256")
        self._key = key
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        self.public = parse_multikey(encode_multibase(_P256 + point))

    @classmethod
    def generate(cls) -> P256Key:
        return cls(ec.generate_private_key(ec.SECP256R1()))

    def sign(self, data: bytes) -> bytes:
        """Signs `data`; r and s, 32 bytes each. Deterministic (RFC 6979): a weak random source cannot leak the key."""
        signed = self._key.sign(data, ec.ECDSA(SHA256(), deterministic_signing=True))
        return b"".join(number.to_bytes(_HALF, "big") for number in decode_dss_signature(signed))


def parse_multikey(text: str) -> PublicKey:
    """Parses a Multikey. Raises InputError, also for unsupported kinds of keys."""
    data = decode_multibase(text)
    kind, raw = data[:2], data[2:]
    try:
        if kind == _ED25519:
            return PublicKey("eddsa-jcs-2022", text, ed25519.Ed25519PublicKey.from_public_bytes(raw))
        if kind == _P256 and len(raw) == 1 + _HALF:
            point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
            return PublicKey("ecdsa-jcs-2019", text, point)
    except ValueError:
        raise InputError("the key is not a point on its curve") from None
    raise InputError("unsupported kind of key", hint="give an Ed25519 or P-256 key as Multikey")


def create_credential_key(path: Path, kind: str = "ed25519") -> CredentialKey:
    """Generates a key, `ed25519` or `p256`, in a new file. Raises SigningError, also if the file exists."""
    key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
    key = ec.generate_private_key(ec.SECP256R1()) if kind == "p256" else ed25519.Ed25519PrivateKey.generate()
    write_private(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return _wrap(path, key)


def read_credential_key(path: Path) -> CredentialKey:
    """Reads a key file. Raises SigningError if other users may read it, or if it holds no unencrypted Ed25519 or P-256
    key."""
    content = read_private(path)
    try:
        # Encrypted keys are refused: a gateway that restarts by itself has nobody to ask for a passphrase.
        return _wrap(path, load_pem_private_key(content, password=None))
    except (ValueError, TypeError):
        raise _refusal(path) from None


def _wrap(path: Path, key: object) -> CredentialKey:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return Ed25519Key(key)
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return P256Key(key)
    raise _refusal(path)


def _refusal(path: Path) -> SigningError:
    return SigningError(f"{path} holds no Ed25519 or P-256 key", hint="create one with `millmark keys credential FILE`")
