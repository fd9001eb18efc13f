"""Forward requests: one digest, one written form, and nothing else taken."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from eth_account.messages import encode_typed_data

from millmark.ledger.canonical import canonical_json, keccak256
from millmark.ledger.errors import RequestError
from millmark.ledger.forward_requests import (
    MAX_REQUEST_BYTES,
    ForwardRequest,
    SignedRequest,
    parse_request,
    sign_request,
)
from millmark.ledger.keys import LocalSigner
from millmark.ledger.signatures import to_checksum

SIGNER = LocalSigner.from_bytes(b"\x01" * 32)
OTHER = LocalSigner.from_bytes(b"\x02" * 32)
REQUEST = ForwardRequest(1337, b"\xf0" * 20, SIGNER.address, b"\x22" * 20, 500_000, 7, 1_900_000_000, b"\x01\x02\x03")
SIGNED = sign_request(REQUEST, SIGNER)

CHANGES: list[dict[str, Any]] = [
    {"chain_id": 1},
    {"forwarder": b"\xf1" * 20},
    {"to": b"\x23" * 20},
    {"gas": 500_001},
    {"nonce": 8},
    {"deadline": 1_900_000_001},
    {"data": b"\x01\x02"},
    {"data": b""},
    {"signer": OTHER.address},
]


def test_the_digest_is_what_wallets_sign() -> None:
    """Judged by eth-account's own EIP-712."""
    parts = {
        "address": ("from", "to"),
        "uint256": ("value", "gas", "nonce"),
        "uint48": ("deadline",),
        "bytes": ("data",),
    }
    kinds = {name: kind for kind, names in parts.items() for name in names}
    order = ("from", "to", "value", "gas", "nonce", "deadline", "data")
    message = encode_typed_data(
        domain_data={"name": "Millmark", "version": "1", "chainId": 1337, "verifyingContract": b"\xf0" * 20},
        message_types={"ForwardRequest": [{"name": name, "type": kinds[name]} for name in order]},
        message_data={
            "from": REQUEST.signer,
            "to": REQUEST.to,
            "value": 0,
            "gas": REQUEST.gas,
            "nonce": REQUEST.nonce,
            "deadline": REQUEST.deadline,
            "data": REQUEST.data,
        },
    )
    assert REQUEST.digest == keccak256(b"\x19" + message.version + message.header + message.body)


def test_a_request_comes_back() -> None:
    assert parse_request(SIGNED.to_bytes()) == SIGNED
    SIGNED.verify()


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_whatever_is_changed_is_not_signed(change: dict[str, Any]) -> None:
    changed = replace(REQUEST, **change)
    assert changed.digest != REQUEST.digest
    with pytest.raises(RequestError, match="the signature is not the signer's"):
        SignedRequest(changed, SIGNED.signature).verify()


def test_every_bit_of_the_signature_counts() -> None:
    for place in range(65):
        changed = bytearray(SIGNED.signature)
        changed[place] ^= 1
        with pytest.raises(RequestError):
            SignedRequest(REQUEST, bytes(changed)).verify()


def test_a_high_s_is_refused() -> None:
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    s = order - int.from_bytes(SIGNED.signature[32:64], "big")
    other = SIGNED.signature[:32] + s.to_bytes(32, "big") + bytes([55 - SIGNED.signature[64]])
    with pytest.raises(RequestError):
        SignedRequest(REQUEST, other).verify()


def test_nobody_signs_for_another() -> None:
    with pytest.raises(RequestError, match=f"must be signed by {to_checksum(SIGNER.address)}"):
        sign_request(REQUEST, OTHER)


@pytest.mark.parametrize(
    "change",
    [
        {"chain_id": -1},
        {"chain_id": 2**53},
        {"gas": -1},
        {"nonce": 2**53},
        {"deadline": 2**48},
        {"deadline": -1},
        {"forwarder": b""},
        {"to": bytes(21)},
        {"signer": bytes(19)},
    ],
)
def test_what_no_forwarder_takes_is_no_request(change: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        replace(REQUEST, **change)


Change = Callable[[dict[str, Any]], object]
MALFORMED: dict[str, Change] = {
    "another format": lambda raw: raw.update(format="millmark-trust"),
    "another version": lambda raw: raw.update(version=2),
    "a value": lambda raw: raw.update(value=0),
    "no signature": lambda raw: raw.pop("signature"),
    "a short signature": lambda raw: raw.update(signature=raw["signature"][:-2]),
    "a long signature": lambda raw: raw.update(signature=raw["signature"] + "00"),
    "an address without checksum": lambda raw: raw.update({"from": raw["from"].lower()}),
    "no address": lambda raw: raw.update(to="0x"),
    "a null address": lambda raw: raw.update(to=None),
    "data in capitals": lambda raw: raw.update(data="0X010203"),
    "half a byte": lambda raw: raw.update(data="0x01020"),
    "data without prefix": lambda raw: raw.update(data="010203"),
    "no data at all": lambda raw: raw.update(data=""),
    "data as a number": lambda raw: raw.update(data=10203),
    "gas as text": lambda raw: raw.update(gas="500000"),
    "a fraction of gas": lambda raw: raw.update(gas=0.5),
    "a true nonce": lambda raw: raw.update(nonce=True),
    "a negative nonce": lambda raw: raw.update(nonce=-1),
    "a deadline past the type": lambda raw: raw.update(deadline=2**48),
    "too large": lambda raw: raw.update(data="0x" + "00" * MAX_REQUEST_BYTES),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_another_form_is_refused(name: str) -> None:
    raw = json.loads(SIGNED.to_bytes())
    MALFORMED[name](raw)
    with pytest.raises(RequestError, match="the request cannot be used"):
        parse_request(canonical_json(raw))


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"null", b"[]", b'"x"', b"\xff", b" " + SIGNED.to_bytes(), SIGNED.to_bytes().replace(b":", b": ")],
)
def test_other_text_is_refused(data: bytes) -> None:
    with pytest.raises(RequestError):
        parse_request(data)
