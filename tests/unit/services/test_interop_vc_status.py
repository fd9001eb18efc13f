"""Status lists, and the credential of a certificate."""

from __future__ import annotations

import base64
import gzip
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millmark.ledger.records import CertificateStatus
from millmark.services.interop.credentials.certificate import (
    SIZE,
    build_status_entry,
    build_status_list,
    decode_bitstring,
    encode_bitstring,
    is_set,
    issue_credential,
    status_bits,
    verify_credential,
)
from millmark.services.interop.credentials.keys import CredentialKey, Resolver, add_proof, build_did_document, did_key
from millmark.services.interop.errors import CredentialError
from tests.support.interop import DID, ED25519, FACTS, KEYS, LISTS, NOW, P256

# Status lists.


def test_the_published_empty_list() -> None:
    """The example in the text of Bitstring Status List 1.0."""
    text = "uH4sIAAAAAAAAA-3BMQEAAADCoPVPbQwfoAAAAAAAAAAAAAAAAAAAAIC3AYbSVKsAQAAA"
    assert decode_bitstring(text) == bytes(SIZE // 8)


@settings(deadline=None, max_examples=20)
@given(st.sets(st.integers(0, 3 * SIZE), max_size=8), st.integers(0, 3 * SIZE))
def test_a_certificates_bit_is_set_when_it_was_taken_back(gone: set[int], asked: int) -> None:
    statuses = dict.fromkeys(gone, CertificateStatus.REVOKED) | {
        9: CertificateStatus.EXPIRED,
        8: CertificateStatus.VALID,
    }
    bits = status_bits(asked // SIZE, statuses)
    entry = build_status_entry(LISTS, asked)
    lists = {LISTS: build_status_list(LISTS, DID, bits, valid_from="2026-01-01T00:00:00Z")}
    assert is_set(entry, lists) == (asked in gone - {8, 9})


def test_a_fallen_certificate_is_taken_back_and_an_expired_one_is_not() -> None:
    bits = status_bits(0, {0: CertificateStatus.FALLEN, 1: CertificateStatus.EXPIRED, 9: CertificateStatus.NONE})
    assert bits[:2] == bytes([0b1000_0000, 0b0100_0000])


def _packed(data: bytes) -> str:
    return "u" + base64.urlsafe_b64encode(gzip.compress(data, mtime=0)).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "u",
        "z" + _packed(bytes(SIZE // 8))[1:],
        _packed(bytes(SIZE // 8 - 1)),
        _packed(bytes(1 << 24)),
        _packed(bytes(SIZE // 8))[:-8],
        "u" + base64.urlsafe_b64encode(gzip.compress(bytes(SIZE // 8), mtime=0) * 2).decode(),
        _packed(bytes(SIZE // 8)) + "!",
        "u" + base64.urlsafe_b64encode(bytes(SIZE // 8)).decode(),
    ],
)
def test_a_list_that_is_none_is_refused(text: Any) -> None:
    with pytest.raises(CredentialError):
        decode_bitstring(text)


def test_a_list_that_would_fill_the_memory_is_refused_before_it_does() -> None:
    with pytest.raises(CredentialError, match="more than 4 MiB"):
        decode_bitstring(_packed(bytes(1 << 24)))


def test_a_list_that_is_too_short_is_not_made() -> None:
    with pytest.raises(CredentialError):
        encode_bitstring(bytes(SIZE // 8 - 1))


@pytest.mark.parametrize(
    "change",
    [
        {"type": "StatusList2021Entry"},
        {"statusListCredential": "https://inspector.example/status/1"},
        {"statusListCredential": None},
        {"statusListIndex": str(SIZE)},
        {"statusListIndex": "-1"},
        {"statusListIndex": "٣"},
        {"statusListIndex": 5},
        {"statusListIndex": "9" * 5000},
        {"statusPurpose": "suspension"},
        {"statusSize": 2},
    ],
)
def test_a_status_entry_that_cannot_be_read_is_refused(change: dict[str, Any]) -> None:
    lists = {LISTS: build_status_list(LISTS, DID, bytes(SIZE // 8), valid_from="2026-01-01T00:00:00Z")}
    entry = build_status_entry(LISTS, 5)
    assert not is_set(entry, lists)
    with pytest.raises(CredentialError):
        is_set({**entry, **change}, lists)


# The credential of a certificate.


def _world(
    status: CertificateStatus, key: CredentialKey = ED25519
) -> tuple[dict[str, Any], Resolver, dict[str, dict[str, Any]]]:
    method = f"{DID}#k"
    issued = issue_credential(FACTS, DID, key, method, status_list_url=LISTS)
    bits = status_bits(1, {FACTS.sequence: status})
    listed = build_status_list(LISTS, DID, bits, valid_from="2026-01-01T00:00:00Z")
    signed = add_proof(listed, key, method, created="2026-01-01T00:00:00Z")
    return issued, Resolver({DID: build_did_document(DID, {"k": key.public})}), {LISTS: signed}


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.public.suite)
def test_the_credential_of_a_certificate_holds_while_the_certificate_does(key: CredentialKey) -> None:
    issued, resolver, lists = _world(CertificateStatus.VALID, key)
    assert verify_credential(issued, resolver, at=NOW, lists=lists) == f"{DID}#k"
    assert issued["credentialSubject"]["verdict"] == "pass"
    assert (issued["validFrom"], issued["validUntil"]) == ("2026-01-01T00:00:00Z", "2028-01-01T00:00:00Z")
    for gone in (CertificateStatus.REVOKED, CertificateStatus.FALLEN):
        issued, resolver, lists = _world(gone, key)
        with pytest.raises(CredentialError, match="was revoked"):
            verify_credential(issued, resolver, at=NOW, lists=lists)


def test_a_status_that_cannot_be_told_is_not_good() -> None:
    issued, resolver, lists = _world(CertificateStatus.VALID)
    unsigned = {LISTS: {name: value for name, value in lists[LISTS].items() if name != "proof"}}
    emptied = {
        LISTS: {
            **lists[LISTS],
            "credentialSubject": {**lists[LISTS]["credentialSubject"], "encodedList": encode_bitstring(b"\1" * SIZE)},
        }
    }
    moved = {
        LISTS: add_proof(
            {**unsigned[LISTS], "id": "https://a.example/9"}, ED25519, f"{DID}#k", created="2026-01-01T00:00:00Z"
        )
    }
    own = did_key(P256.public)
    foreign = {
        LISTS: add_proof(
            {**unsigned[LISTS], "issuer": own.partition("#")[0]}, P256, own, created="2026-01-01T00:00:00Z"
        )
    }
    for wrong in ({}, unsigned, emptied, moved, foreign):
        with pytest.raises(CredentialError):
            verify_credential(issued, resolver, at=NOW, lists=wrong)
