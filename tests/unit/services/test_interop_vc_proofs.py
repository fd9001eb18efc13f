"""Keys, DIDs and Data Integrity proofs."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings
from hypothesis import strategies as st

from millmark.ledger.canonical import parse_json
from millmark.ledger.errors import InputError, MillmarkError, NotFoundError
from millmark.services.interop.credentials.certificate import verify_credential
from millmark.services.interop.credentials.keys import (
    CredentialKey,
    Ed25519Key,
    P256Key,
    Resolver,
    add_proof,
    build_did_document,
    decode_multibase,
    did_key,
    encode_multibase,
    parse_multikey,
)
from millmark.services.interop.credentials.model import BASE_CONTEXT
from millmark.services.interop.errors import CredentialError
from tests.support.interop import CORPUS, DID, ED25519, KEYS, MINIMAL, NOW, P256, SECRET, self_issued

# Keys and DIDs.


@given(st.binary(max_size=60))
def test_base58_goes_both_ways(data: bytes) -> None:
    if data:
        assert decode_multibase(encode_multibase(data)) == data


@pytest.mark.parametrize(
    ("data", "text"),
    [(b"Hello World!", "z2NEpo7TZRRrLZSi2U"), (b"\0\0\x28\x7f\xb4\xcd", "z11233QC4")],
)
def test_base58_of_the_draft(data: bytes, text: str) -> None:
    """Examples of draft-msporny-base58, section 5."""
    assert encode_multibase(data) == text
    assert decode_multibase(text) == data


@pytest.mark.parametrize("text", ["", "z", "m1", "z0", "zI", "z1 ", "z" + "2" * 201])
def test_what_is_no_base58_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        decode_multibase(text)


def _published_keys() -> Iterator[tuple[str, dict[str, Any]]]:
    for name in ("ed25519-x25519", "nist-curves", "secp256k1"):
        path = CORPUS / "vc" / "did-key" / "test-vectors" / f"{name}.json"
        if path.exists():
            yield from json.loads(path.read_text(encoding="utf-8")).items()


@pytest.mark.parametrize(
    ("did", "said"), list(_published_keys()), ids=lambda value: value[8:24] if isinstance(value, str) else ""
)
def test_published_did_keys(did: str, said: dict[str, Any]) -> None:
    key: CredentialKey | None = None
    if did.startswith("did:key:z6Mk"):
        key = Ed25519Key(ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(said["seed"])))
    elif said.get("verificationMethod", {}).get("privateKeyJwk", {}).get("crv") == "P-256":
        secret = base64.urlsafe_b64decode(said["verificationMethod"]["privateKeyJwk"]["d"] + "=")
        key = P256Key(ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1()))
    if key is not None:
        assert did_key(key.public).partition("#")[0] == did
    if did.startswith(("did:key:z6Mk", "did:key:zDna")):
        assert did_key(parse_multikey(did.removeprefix("did:key:"))).partition("#")[0] == did
    else:
        with pytest.raises(InputError, match="unsupported kind of key"):
            parse_multikey(did.removeprefix("did:key:"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xed\x01",
        b"\xed\x01" + bytes(31),
        b"\x80\x24" + bytes(33),
        b"\x80\x24\x04" + bytes(64),
        b"\xe7\x01" + bytes(33),
    ],
)
def test_keys_of_no_use_are_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        parse_multikey(encode_multibase(data) if data else "z")


def test_a_key_keeps_its_secret() -> None:
    for key in KEYS:
        assert SECRET.hex() not in repr(key)
        assert not hasattr(key, "__dict__")


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"assertionMethod": []}, CredentialError),
        ({"assertionMethod": None}, CredentialError),
        ({"id": "did:web:other.example"}, NotFoundError),
        ({"verificationMethod": []}, NotFoundError),
        ({"verificationMethod": [{"id": f"{DID}#k", "type": "JsonWebKey", "controller": DID}]}, CredentialError),
        (
            {"verificationMethod": [{"id": f"{DID}#k", "type": "Multikey", "controller": "did:web:b.example"}]},
            CredentialError,
        ),
        ({"verificationMethod": [{"id": f"{DID}#k", "type": "Multikey", "controller": DID}]}, InputError),
    ],
)
def test_a_did_document_must_allow_the_key(change: dict[str, Any], refusal: type[MillmarkError]) -> None:
    document = build_did_document(DID, {"k": ED25519.public})
    assert Resolver({DID: document}).key(f"{DID}#k") == ED25519.public
    with pytest.raises(refusal):
        Resolver({DID: {**document, **change}}).key(f"{DID}#k")


@pytest.mark.parametrize(
    "method", [DID, f"{DID}#other", "did:web:b.example#k", "did:key:z6Mk#z6Mk", "did:key:a#b", "k#k", ""]
)
def test_an_unknown_key_is_refused(method: str) -> None:
    with pytest.raises(MillmarkError):
        Resolver({DID: build_did_document(DID, {"k": ED25519.public})}).key(method)


def test_a_did_key_speaks_for_no_other_key() -> None:
    with pytest.raises(CredentialError, match="differs from its key"):
        Resolver().key(f"did:key:{ED25519.public.multikey}#{P256.public.multikey}")


# Proofs.


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.public.suite)
def test_a_signed_credential_verifies_and_signs_alike_every_time(key: CredentialKey) -> None:
    signed = self_issued(key)
    assert verify_credential(signed, Resolver(), at=NOW) == did_key(key.public)
    assert signed == self_issued(key)
    assert verify_credential(parse_json(json.dumps(signed).encode(), max_bytes=9999, max_depth=9), Resolver(), at=NOW)


def _changed(value: Any, path: tuple[Any, ...]) -> Any:
    changed = copy.deepcopy(value)
    holder = changed
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = holder[path[-1]][:-1] + ("A" if holder[path[-1]][-1] != "A" else "B")
    return changed


TEXTS = [
    ("issuer",),
    ("@context", 0),
    ("type", 0),
    ("credentialSubject", "id"),
    *(
        ("proof", name)
        for name in ("type", "cryptosuite", "created", "verificationMethod", "proofPurpose", "proofValue")
    ),
]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: "/".join(map(str, path)))
@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.public.suite)
def test_one_changed_character_is_refused(key: CredentialKey, path: tuple[Any, ...]) -> None:
    with pytest.raises(MillmarkError):
        verify_credential(_changed(self_issued(key), path), Resolver(), at=NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"proof": None},
        {"proof": []},
        {"name": "added"},
        {"credentialSubject": {"id": "did:example:subject", "more": 1}},
        {"@context": [BASE_CONTEXT, {"term": "https://evil.example/"}, {"more": "urn:x:y"}]},
        {"validUntil": "2026-06-01T00:00:00Z"},
    ],
)
def test_what_was_added_later_is_refused(change: dict[str, Any]) -> None:
    signed = self_issued(ED25519, **{"@context": [BASE_CONTEXT, {"term": "https://good.example/"}]})
    verify_credential(signed, Resolver(), at=NOW)
    with pytest.raises(MillmarkError):
        verify_credential({**signed, **change}, Resolver(), at=NOW)


def test_a_proof_by_another_than_the_issuer_is_refused() -> None:
    other = add_proof(MINIMAL, P256, did_key(P256.public), created="2026-05-01T00:00:00Z")
    with pytest.raises(CredentialError, match="key of the issuer"):
        verify_credential(other, Resolver(), at=NOW)
    with pytest.raises(CredentialError, match="already has a proof"):
        add_proof(other, P256, did_key(P256.public), created="2026-05-01T00:00:00Z")


def test_contexts_left_out_of_the_proof_are_those_of_the_document() -> None:
    signed = self_issued(ED25519)
    short = {**signed, "proof": {name: value for name, value in signed["proof"].items() if name != "@context"}}
    verify_credential(short, Resolver(), at=NOW)
    with pytest.raises(CredentialError):
        verify_credential({**short, "@context": [BASE_CONTEXT, {"a": "urn:x:y"}]}, Resolver(), at=NOW)


def test_a_signature_in_another_form_is_refused() -> None:
    data = b"document"
    r_s = P256.sign(data)
    P256.public.verify(r_s, data)
    der = ec.derive_private_key(int.from_bytes(SECRET, "big"), ec.SECP256R1()).sign(data, ec.ECDSA(SHA256()))
    padded = r_s[:32] + b"\0" + r_s[32:]  # the same two numbers
    for signature in (b"", r_s[:-1], r_s + b"\0", padded, der, bytes(64), b"\xff" * 64):
        with pytest.raises(CredentialError):
            P256.public.verify(signature, data)


def test_a_credential_holds_from_its_beginning_to_its_end() -> None:
    signed = self_issued(ED25519, validFrom="2026-01-01T00:00:00Z", validUntil="2026-12-31T24:00:00Z")
    verify_credential(signed, Resolver(), at=NOW)
    for moment, said in (
        (datetime(2027, 1, 1, 0, 0, 1, tzinfo=UTC), "expired"),
        (datetime(2025, 1, 1, tzinfo=UTC), "not valid yet"),
    ):
        with pytest.raises(CredentialError, match=said):
            verify_credential(signed, Resolver(), at=moment)


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.integers(-9, 9) | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["@context", "type", "id", "proof", "issuer", "@value"]), inner)
        ),
        max_leaves=8,
    ),
    st.sampled_from([*MINIMAL, "proof", "credentialStatus", "relatedResource", "name", "validFrom"]),
)
def test_anything_is_refused_in_one_line(value: Any, name: str) -> None:
    signed = {**self_issued(ED25519), name: value}
    if signed != self_issued(ED25519):
        with pytest.raises(MillmarkError, match=r"\A[^\n]+\Z"):
            verify_credential(signed, Resolver(), at=NOW)
