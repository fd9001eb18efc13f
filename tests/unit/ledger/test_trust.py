"""Trust files: one form, and everything that a reader could take in two ways refused."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.canonical import canonical_json, keccak256
from millmark.ledger.errors import TrustError
from millmark.ledger.signatures import to_checksum
from millmark.ledger.trust import (
    MAX_COSIGNERS,
    MAX_TRUST_BYTES,
    BelievedBlock,
    Cosigner,
    Cosigners,
    TrustedContract,
    TrustFile,
    parse_trust,
)

CONTRACTS = {
    name: TrustedContract(keccak256(name.encode())[:20], keccak256(name.encode()))
    for name in ("CertificateOperations", "Evaluator", "Forwarder", "LotOperations", "Registry", "TraceLedger")
}
KEYS = tuple(Cosigner(number, keccak256(bytes([number]))[:20]) for number in (1, 2, 3))
BLOCK = BelievedBlock(7, keccak256(b"block"))
OWN = TrustFile(31_337, keccak256(b"ledger id"), CONTRACTS, {1: "Alder Forge", 2: "Björk & Söner"}, BLOCK)
COSIGNED = dataclasses.replace(OWN, checkpoint=Cosigners(2, KEYS))
Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    "trust",
    [OWN, COSIGNED, dataclasses.replace(OWN, participants={}), dataclasses.replace(OWN, predecessor=KEYS[0].address)],
)
def test_a_trust_file_comes_back(trust: TrustFile) -> None:
    assert parse_trust(trust.to_bytes()) == trust
    assert parse_trust(trust.to_bytes() + b"\n") == trust
    assert parse_trust(trust.to_bytes()).to_bytes() == trust.to_bytes()


def test_it_names_the_contracts() -> None:
    assert OWN.registry == CONTRACTS["Registry"]
    assert OWN.ledger == CONTRACTS["TraceLedger"]


def changed(trust: TrustFile, change: Change) -> bytes:
    raw = json.loads(trust.to_bytes())
    change(raw)
    return canonical_json(raw)


def put(*path: str | int, value: object) -> Change:
    def change(raw: Any) -> None:
        for step in path[:-1]:
            raw = raw[step]
        raw[path[-1]] = value

    return change


def lacking(contract: str) -> Change:
    return lambda raw: raw["contracts"].pop(contract)


ADDRESS = to_checksum(KEYS[0].address)
OWN_CHANGES: dict[str, Change] = {
    "another format": put("format", value="millmark-checkpoint"),
    "another version": put("version", value=2),
    "a version as text": put("version", value="1"),
    "a true version": put("version", value=True),
    "a chain id as text": put("chain_id", value="31337"),
    "a negative chain id": put("chain_id", value=-1),
    "a fractional chain id": put("chain_id", value=1.5),
    "a true chain id": put("chain_id", value=True),
    "an unknown member": put("comment", value=""),
    "a predecessor in lower case": put("predecessor", value=ADDRESS.lower()),
    "no word on a predecessor": lambda raw: raw.pop("predecessor"),
    "a missing member": lambda raw: raw.pop("participants"),
    "no contracts": put("contracts", value={}),
    "contracts as a list": put("contracts", value=[]),
    **{f"{name} missing": lacking(name) for name in CONTRACTS},
    "too many contracts": lambda raw: raw["contracts"].update(
        {f"More{n}": raw["contracts"]["Registry"] for n in range(20)}
    ),
    "a nameless contract": lambda raw: raw["contracts"].update({"": raw["contracts"]["Registry"]}),
    "an address in lower case": put("contracts", "Registry", "address", value=ADDRESS.lower()),
    "an address with a wrong checksum": put("contracts", "Registry", "address", value=ADDRESS.swapcase()),
    "a short address": put("contracts", "Registry", "address", value=ADDRESS[:-2]),
    "an address as a number": put("contracts", "Registry", "address", value=7),
    "a code hash in upper case": put("contracts", "Registry", "code_hash", value="0x" + "AB" * 32),
    "a code hash without 0x": put("contracts", "Registry", "code_hash", value="ab" * 33),
    "a short code hash": put("contracts", "Registry", "code_hash", value="0x" + "ab" * 31),
    "an unknown member of a contract": put("contracts", "Registry", "note", value=""),
    "two contracts at one address": lambda raw: raw["contracts"]["Evaluator"].update(
        address=raw["contracts"]["LotOperations"]["address"]
    ),
    "one name for two participants": put("participants", 1, "name", value="Alder Forge"),
    "participants as an object": put("participants", value={}),
    "a participant without a name": put("participants", 0, value={"participant": 1}),
    "a participant with an empty name": put("participants", 0, "name", value=""),
    "a participant with a long name": put("participants", 0, "name", value="x" * 201),
    "a name of two lines": put("participants", 0, "name", value="a\nb"),
    "a name that hides": put("participants", 0, "name", value="a\u202eb"),
    "a name as a number": put("participants", 0, "name", value=1),
    "participants out of order": put("participants", 0, "participant", value=3),
    "a participant twice": put("participants", 0, "participant", value=2),
    "a participant beyond 32 bits": put("participants", 1, "participant", value=2**32),
    "an unknown kind of checkpoint": put("checkpoint", "kind", value="seals"),
    "no kind of checkpoint": lambda raw: raw["checkpoint"].pop("kind"),
    "members of another kind": put("checkpoint", "kind", value="cosigned"),
    "no checkpoint": put("checkpoint", value=None),
    "a block number as text": put("checkpoint", "block_number", value="7"),
    "a short block hash": put("checkpoint", "block_hash", value="0x00"),
}
COSIGNED_CHANGES: dict[str, Change] = {
    "no quorum": put("checkpoint", "quorum", value=0),
    "a quorum above the participants": put("checkpoint", "quorum", value=4),
    "no keys": put("checkpoint", "keys", value=[]),
    "keys out of order": lambda raw: raw["checkpoint"]["keys"].reverse(),
    "a key twice": lambda raw: raw["checkpoint"]["keys"].insert(0, raw["checkpoint"]["keys"][0]),
    "one key for two participants": put("checkpoint", "keys", 1, "address", value=ADDRESS),
    "too many keys": put(
        "checkpoint",
        "keys",
        value=[
            {"participant": n, "address": to_checksum(keccak256(n.to_bytes(2, "big"))[:20])}
            for n in range(MAX_COSIGNERS + 1)
        ],
    ),
    "an unknown member of a key": put("checkpoint", "keys", 0, "name", value="x"),
    "a block as well": put("checkpoint", "block_number", value=7),
}


@pytest.mark.parametrize("name", OWN_CHANGES)
def test_other_contents_are_refused(name: str) -> None:
    with pytest.raises(TrustError, match="cannot be used") as caught:
        parse_trust(changed(OWN, OWN_CHANGES[name]))
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", COSIGNED_CHANGES)
def test_other_co_signers_are_refused(name: str) -> None:
    with pytest.raises(TrustError, match="cannot be used"):
        parse_trust(changed(COSIGNED, COSIGNED_CHANGES[name]))


def test_a_quorum_counts_participants_not_keys() -> None:
    keys = sorted((dataclasses.replace(key, participant=1) for key in KEYS), key=lambda key: key.address)
    assert Cosigners(1, tuple(keys))
    with pytest.raises(TrustError, match="quorum"):
        Cosigners(2, tuple(keys))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"null",
        b"[]",
        b"{}",
        b"{",
        b"\xff",
        b"\xef\xbb\xbf" + OWN.to_bytes(),
        OWN.to_bytes() + b" ",
        OWN.to_bytes() + b"\n\n",
        b" " + OWN.to_bytes(),
        OWN.to_bytes().replace(b'"version":1', b'"version": 1'),
        OWN.to_bytes().replace(b'"version":1', b'"version":1.0'),
        OWN.to_bytes().replace(b'"version":1', b'"version":1,"version":1'),
        OWN.to_bytes().replace(b"Alder", b"\\u0041lder"),
        json.dumps(json.loads(OWN.to_bytes()), indent=1).encode(),
        b"[" * 1000,
        b'{"a":' * 1000,
        b'"' + b"x" * MAX_TRUST_BYTES + b'"',
    ],
)
def test_other_forms_are_refused(data: bytes) -> None:
    with pytest.raises(TrustError, match=r"cannot be used|canonical"):
        parse_trust(data)


@given(st.integers(0, len(COSIGNED.to_bytes()) - 1), st.integers(1, 255))
def test_no_changed_byte_goes_unnoticed(place: int, change: int) -> None:
    wrong = bytearray(COSIGNED.to_bytes())
    wrong[place] ^= change
    try:
        found = parse_trust(bytes(wrong))
    except TrustError:
        return
    assert found != COSIGNED
    assert found.to_bytes() == bytes(wrong)
