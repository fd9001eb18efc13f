"""Files for the keys that sign credentials: PKCS #8 in PEM, mode 0600."""

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
