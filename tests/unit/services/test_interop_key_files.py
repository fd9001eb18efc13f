"""Files of the keys that sign credentials."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from millmark.ledger.errors import SigningError
from millmark.services.interop.credentials.keys import create_credential_key, read_credential_key


@pytest.mark.parametrize(("kind", "suite"), [("ed25519", "eddsa-jcs-2022"), ("p256", "ecdsa-jcs-2019")])
def test_a_key_is_read_as_it_was_made_and_by_nobody_else(tmp_path: Path, kind: str, suite: str) -> None:
    made = create_credential_key(tmp_path / "key.pem", kind)
    read = read_credential_key(tmp_path / "key.pem")
    assert (read.public.multikey, read.public.suite) == (made.public.multikey, suite)
    read.public.verify(made.sign(b"said"), b"said")
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    with pytest.raises(SigningError):
        create_credential_key(tmp_path / "key.pem", kind)
    (tmp_path / "key.pem").chmod(0o640)
    with pytest.raises(SigningError, match="open to other users"):
        read_credential_key(tmp_path / "key.pem")


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, secret: bytes | None = None) -> bytes:
    hidden = NoEncryption() if secret is None else BestAvailableEncryption(secret)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no key",
        _pem(rsa.generate_private_key(65537, 2048)),
        _pem(ec.generate_private_key(ec.SECP256K1())),
        _pem(ec.generate_private_key(ec.SECP256R1()), b"secret"),
    ],
)
def test_what_is_no_such_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.pem"
    path.touch(mode=0o600)
    path.write_bytes(content)
    with pytest.raises(SigningError, match="holds no Ed25519 or P-256 key"):
        read_credential_key(path)
