"""Encryption and wrapping: against the standard's vector, against another implementation, and against every mix-up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.bindings._rust import openssl
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhpke import AEADId, CipherSuite, KDFId, KEMId

from millmark.services.documents import RecipientKeyError, SealBrokenError
from millmark.services.documents.encryption import (
    KEY_BYTES,
    WRAPPED_BYTES,
    Recipient,
    Sealer,
    VersionId,
    _info,
    open_content,
    open_key,
    unwrap_key,
    verify_public_key,
    wrap_for,
    wrap_key,
)

PEER = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.AES256_GCM)
VERSION_ID = VersionId("ab" * 16, 1)
KEY = X25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
RECIPIENT = Recipient(1337, b"\x22" * 20, 5, KEY.public_key().public_bytes_raw(), b"\x5e" * 32)
DATA_KEY = bytes(range(32))


def test_the_library_is_rfc_9180_appendix_a_1_1() -> None:
    """The KEM and KDF of ours; the RFC prints no vector with AES-256, which another implementation judges below."""
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_128_GCM)
    private = X25519PrivateKey.from_private_bytes(
        bytes.fromhex("4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8")
    )
    enc = bytes.fromhex("37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431")
    sealed = bytes.fromhex("f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a")
    opened = openssl.hpke._decrypt_with_aad(suite, enc + sealed, private, b"Ode on a Grecian Urn", b"Count-0")
    assert opened == b"Beauty is truth, truth beauty"
    with pytest.raises(InvalidTag):
        openssl.hpke._decrypt_with_aad(suite, enc + sealed, private, b"Ode on a Grecian Urn", b"Count-1")


@settings(deadline=None, max_examples=40)
@given(secret=st.binary(min_size=32, max_size=32), data_key=st.binary(min_size=32, max_size=32), at=st.integers(1, 9))
def test_another_implementation_opens_what_we_wrap_and_we_what_it_wraps(
    secret: bytes, data_key: bytes, at: int
) -> None:
    private = X25519PrivateKey.from_private_bytes(secret)
    recipient = replace(RECIPIENT, public_key=private.public_key().public_bytes_raw())
    version_id = VersionId(VERSION_ID.document, at)
    wrapped = wrap_for(recipient, version_id, data_key)
    assert len(wrapped) == WRAPPED_BYTES
    theirs = PEER.create_recipient_context(
        wrapped[:32], PEER.kem.deserialize_private_key(secret), _info(recipient, version_id)
    )
    assert theirs.open(wrapped[32:]) == data_key
    enc, sender = PEER.create_sender_context(
        PEER.kem.deserialize_public_key(recipient.public_key), _info(recipient, version_id)
    )
    assert open_key(private, recipient, version_id, enc + sender.seal(data_key)) == data_key


@pytest.mark.parametrize(
    ("recipient", "version_id"),
    [
        (replace(RECIPIENT, chain_id=1338), VERSION_ID),
        (replace(RECIPIENT, ledger=b"\x23" * 20), VERSION_ID),
        (replace(RECIPIENT, participant=6), VERSION_ID),
        (replace(RECIPIENT, public_key=b"\x09" + bytes(31)), VERSION_ID),
        (replace(RECIPIENT, root=b"\x5f" * 32), VERSION_ID),
        (RECIPIENT, VersionId("ac" * 16, 1)),
        (RECIPIENT, VersionId("ab" * 16, 2)),
    ],
)
def test_a_wrapped_key_opens_for_what_it_was_wrapped_for_alone(recipient: Recipient, version_id: VersionId) -> None:
    wrapped = wrap_for(RECIPIENT, VERSION_ID, DATA_KEY)
    assert open_key(KEY, RECIPIENT, VERSION_ID, wrapped) == DATA_KEY
    with pytest.raises(SealBrokenError):
        open_key(KEY, recipient, version_id, wrapped)


def test_another_key_and_any_changed_bit_open_nothing() -> None:
    wrapped = wrap_for(RECIPIENT, VERSION_ID, DATA_KEY)
    with pytest.raises(SealBrokenError):
        open_key(X25519PrivateKey.generate(), RECIPIENT, VERSION_ID, wrapped)
    for at in range(len(wrapped)):
        with pytest.raises(SealBrokenError):
            open_key(KEY, RECIPIENT, VERSION_ID, wrapped[:at] + bytes([wrapped[at] ^ 1]) + wrapped[at + 1 :])
    for length in (0, 31, 32, 47, WRAPPED_BYTES - 1):
        with pytest.raises(SealBrokenError):
            open_key(KEY, RECIPIENT, VERSION_ID, wrapped[:length])


LOW_ORDER = [
    "00" * 32,
    "01" + "00" * 31,
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
]
"""RFC 7748, section 6.1: with these everybody has the same secret."""


@pytest.mark.parametrize("public_key", [*map(bytes.fromhex, LOW_ORDER), b"", bytes(31), bytes(33)])
def test_keys_that_everybody_could_open_are_refused(public_key: bytes) -> None:
    with pytest.raises(RecipientKeyError):
        verify_public_key(public_key)


def seal(version_id: VersionId, content: bytes) -> tuple[Sealer, bytes]:
    sealer = Sealer(version_id)
    return sealer, sealer.update(content[:3]) + sealer.update(content[3:]) + sealer.finish()


@given(content=st.binary(max_size=300))
def test_content_comes_back(content: bytes) -> None:
    sealer, sealed = seal(VERSION_ID, content)
    assert open_content(sealer.data_key, sealer.nonce, VERSION_ID, sealed) == content
    assert len(sealed) == len(content) + 16


def test_content_opens_at_its_place_alone() -> None:
    sealer, sealed = seal(VERSION_ID, b"secret")
    other, other_sealed = seal(VERSION_ID, b"secret")
    assert (other.data_key, other.nonce, other_sealed) != (sealer.data_key, sealer.nonce, sealed)
    for key, nonce, version_id, content in (
        (other.data_key, sealer.nonce, VERSION_ID, sealed),
        (sealer.data_key, other.nonce, VERSION_ID, sealed),
        (sealer.data_key, sealer.nonce, VersionId(VERSION_ID.document, 2), sealed),
        (sealer.data_key, sealer.nonce, VersionId("ac" * 16, 1), sealed),
        (sealer.data_key, sealer.nonce, VERSION_ID, other_sealed),
        (sealer.data_key, sealer.nonce, VERSION_ID, sealed[:-1]),
        (sealer.data_key, sealer.nonce, VERSION_ID, b""),
    ):
        with pytest.raises(SealBrokenError):
            open_content(key, nonce, version_id, content)


def test_a_local_key_opens_its_own_place_and_name_alone() -> None:
    key, other = bytes(32), b"\x01" * 32
    wrapped = wrap_key("first", key, VERSION_ID, DATA_KEY)
    assert unwrap_key("first", key, VERSION_ID, wrapped) == DATA_KEY
    assert wrap_key("first", key, VERSION_ID, DATA_KEY) != wrapped
    for name, used, version_id, given_ in (
        ("first", other, VERSION_ID, wrapped),
        ("second", key, VERSION_ID, wrapped),
        ("first", key, VersionId(VERSION_ID.document, 2), wrapped),
        ("first", key, VersionId("ac" * 16, 1), wrapped),
        ("first", key, VERSION_ID, wrapped[:KEY_BYTES]),
        ("first", key, VERSION_ID, b""),
    ):
        with pytest.raises(SealBrokenError):
            unwrap_key(name, used, version_id, given_)


def test_errors_repeat_no_key() -> None:
    with pytest.raises(SealBrokenError) as caught:
        unwrap_key("first", DATA_KEY, VERSION_ID, bytes(60))
    assert DATA_KEY.hex() not in str(caught.value)
    assert caught.value.__suppress_context__
