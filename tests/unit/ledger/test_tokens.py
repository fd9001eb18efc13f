"""What is refused before any token is asked, and what the answer of a token becomes."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millmark.ledger.errors import SigningError
from millmark.ledger.keys import LocalSigner, TokenSigner, create_key, open_signer
from millmark.ledger.signatures import ORDER, recover_address

CANARY = "canary-pin-2718281"
pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed; pip install millmark[pkcs11]")


class Answering:
    """A token's private key that gives these bytes, whatever it is asked to sign."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def sign(self, *_: object, **__: object) -> bytes:
        return self.raw


def token_signer(raw: bytes, address: bytes) -> TokenSigner:
    key: Any = Answering(raw)
    return TokenSigner(key, address)


@settings(deadline=None, max_examples=100)
@given(st.integers(1, ORDER - 1), st.binary(min_size=32, max_size=32), st.booleans())
def test_any_signature_of_the_key_gets_its_one_form(number: int, digest: bytes, high: bool) -> None:
    """A token gives a high s as often as a low one, and no recovery bit."""
    signer = LocalSigner.from_bytes(number.to_bytes(32, "big"))
    expected = signer.sign_digest(digest)
    given_s = ORDER - expected.s if high else expected.s
    raw = expected.r.to_bytes(32, "big") + given_s.to_bytes(32, "big")
    found = token_signer(raw, signer.address).sign_digest(digest)
    assert found == expected
    assert recover_address(digest, found) == signer.address


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        bytes(64),
        bytes(63) + b"\1",
        b"\1" + bytes(63),
        b"\1" * 63,
        b"\1" * 65,
        b"\xff" * 64,
        ORDER.to_bytes(32, "big") + b"\1" * 32,
        b"\1" * 32 + ORDER.to_bytes(32, "big"),
        b"\x30\x44" + b"\1" * 68,
    ],
)
def test_answers_that_are_no_signature_are_refused(raw: bytes) -> None:
    with pytest.raises(SigningError, match="did not return an ECDSA signature"):
        token_signer(raw, bytes(20)).sign_digest(bytes(32))


def test_a_signature_of_another_key_is_refused() -> None:
    raw = LocalSigner.generate().sign_digest(bytes(32)).to_bytes()[:64]
    with pytest.raises(SigningError, match="did not sign with the key"):
        token_signer(raw, LocalSigner.generate().address).sign_digest(bytes(32))


@pytest.mark.parametrize("digest", [b"", bytes(31), bytes(33), "0" * 32, None])
def test_digests_are_32_bytes(digest: Any) -> None:
    with pytest.raises(SigningError, match="32 bytes"):
        token_signer(b"\1" * 64, bytes(20)).sign_digest(digest)


def test_a_signer_is_neither_copied_nor_pickled() -> None:
    signer = token_signer(b"", bytes(20))
    assert repr(signer) == "TokenSigner(0x0000000000000000000000000000000000000000)"
    assert not hasattr(signer, "__dict__")
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(SigningError):
            attempt(signer)


@pytest.mark.parametrize(
    "uri",
    [
        "pkcs11:;",
        "pkcs11:token=plant",
        "pkcs11:token=plant;object=",
        "pkcs11:token=plant;id=",
        "pkcs11:object=node",
        "pkcs11:token=;object=node",
        "pkcs11:token=plant;object=node;",
        "pkcs11:token=plant;object=node;type=public",
        "pkcs11:token=plant;object=node;type=",
        "pkcs11:token=plant;token=plant;object=node",
        "pkcs11:token=plant;object=node;object=other",
        "pkcs11:token=plant;object",
        "pkcs11:token=plant;Object=node",
        "pkcs11:token=plant;slot-id=0;object=node",
        "pkcs11:token=plant;object=node;x-key=1",
        "pkcs11:token=plant;object=no de",
        "pkcs11:token=plant;object=node%2",
        "pkcs11:token=plant;object=node%zz",
        "pkcs11:token=plant;object=%ff",
        "pkcs11:token=%ff;object=node",
        "pkcs11:token=plant;object=nöde",
        "pkcs11:token=plant;object=a/b",
        f"pkcs11:token=plant;object=node?pin-value={CANARY}",
        f"pkcs11:token=plant;object=node;pin-value={CANARY}",
        f"pkcs11:token=plant;object=node?pin-source=file:/etc/{CANARY}",
        f"pkcs11:token=plant;object=node?module-path=/tmp/{CANARY}.so",
        f"pkcs11:token=plant;object=node&pin-value={CANARY};pin-value={CANARY}",
    ],
)
def test_uris_out_of_the_subset_are_refused_and_not_repeated(uri: str) -> None:
    asked: list[str] = []
    for attempt in (open_signer, create_key):
        with pytest.raises(SigningError, match="write pkcs11:token=NAME;object=LABEL") as caught:
            attempt(uri, prompt=lambda question: asked.append(question) or CANARY)  # type: ignore[func-returns-value]
        assert CANARY not in str(caught.value)
        assert caught.value.__cause__ is None
    assert asked == []


def test_a_module_is_needed(tmp_path: Path) -> None:
    uri = "pkcs11:token=plant;object=node"
    with pytest.raises(SigningError, match="the PKCS#11 module is not set; set pkcs11_module"):
        open_signer(uri, prompt=lambda _: CANARY)
    with pytest.raises(SigningError, match="does not exist"):
        open_signer(uri, prompt=lambda _: CANARY, pkcs11_module=tmp_path / "absent.so")
    (tmp_path / "text.so").write_text("no library")
    with pytest.raises(SigningError, match="token 'plant' cannot be opened"):
        open_signer(uri, prompt=lambda _: CANARY, pkcs11_module=tmp_path / "text.so")


def test_a_new_key_needs_a_label() -> None:
    with pytest.raises(SigningError, match="has no label"):
        create_key("pkcs11:token=plant;id=%01", prompt=lambda _: CANARY)
