"""Keys of credentials in files: PKCS #8 in PEM, mode 0600."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ledger.errors import SigningError
from ledger.keys import read_private, write_private
from services.interop.credentials.keys import CredentialKey, Ed25519Key, P256Key

__all__ = ["create_credential_key", "read_credential_key"]


def create_credential_key(path: Path, kind: str = "ed25519") -> CredentialKey:
    """Writes a new key, `ed25519` or `p256`, to a file that is not there yet. Raises SigningError."""
    key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
    key = ec.generate_private_key(ec.SECP256R1()) if kind == "p256" else ed25519.Ed25519PrivateKey.generate()
    write_private(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return _wrap(path, key)


def read_credential_key(path: Path) -> CredentialKey:
    """Raises SigningError for a file that others may read, or that holds no Ed25519 or P-256 key in clear."""
    content = read_private(path)
    try:
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
    return SigningError(f"{path} holds no Ed25519 or P-256 key", hint="make one with `millmark keys credential FILE`")
