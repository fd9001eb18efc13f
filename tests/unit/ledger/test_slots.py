"""Slots and packed structs against what the contracts themselves say of a ledger in use."""

from __future__ import annotations

import dataclasses
import json
from importlib import resources
from typing import Any

import pytest
from eth_abi.abi import encode as abi_encode

from millmark.ledger.canonical import keccak256
from millmark.ledger.errors import ProofError
from millmark.ledger.records import LotState, OrderState, snake_case
from millmark.ledger.slots import (
    AssignmentSlots,
    CertificateSlots,
    KeySlots,
    LotSlots,
    MachineSlots,
    ModelSlots,
    OrderSlots,
    ParticipantSlots,
    StandingSlots,
    StreamSlots,
    decode_struct,
    head_slot,
    slots_of,
)

SUBJECT = keccak256(b"subject")
ADDRESS = bytes(range(1, 21))
KINDS: dict[type, tuple[bytes | int, ...]] = {
    ParticipantSlots: (7,),
    KeySlots: (ADDRESS,),
    MachineSlots: (9,),
    ModelSlots: (11,),
    OrderSlots: (SUBJECT,),
    AssignmentSlots: (SUBJECT, 3),
    LotSlots: (SUBJECT,),
    CertificateSlots: (12,),
    StandingSlots: (SUBJECT, 4),
    StreamSlots: (SUBJECT,),
}


def layout(name: str) -> dict[str, Any]:
    raw = json.loads((resources.files("millmark.ledger") / "artifacts" / f"{name}.json").read_text())
    found: dict[str, Any] = raw["storageLayout"]
    return found


def number_of(name: str, variable: str) -> int:
    return next(int(entry["slot"]) for entry in layout(name)["storage"] if entry["label"] == variable)


def after(slot: bytes, step: int) -> bytes:
    return (int.from_bytes(slot, "big") + step).to_bytes(32, "big")


def test_slots_are_those_of_solidity_s_rule() -> None:
    """Written with the ABI's own encoder: h(k . p), and h(m . h(k . p))."""
    heads, lots = number_of("TraceLedger", "_heads"), number_of("TraceLedger", "_lots")
    assert head_slot(SUBJECT) == keccak256(abi_encode(["bytes32", "uint256"], [SUBJECT, heads]))
    assert slots_of(LotSlots, SUBJECT) == (keccak256(abi_encode(["bytes32", "uint256"], [SUBJECT, lots])),)
    orders = keccak256(abi_encode(["bytes32", "uint256"], [SUBJECT, number_of("TraceLedger", "_assignments")]))
    assert slots_of(AssignmentSlots, SUBJECT, 3) == (keccak256(abi_encode(["uint256", "bytes32"], [3, orders])),)
    keys = number_of("Registry", "_keys")
    assert slots_of(KeySlots, ADDRESS) == (keccak256(abi_encode(["address", "uint256"], [ADDRESS, keys])),)
    model = keccak256(abi_encode(["uint256", "uint256"], [11, number_of("Registry", "_models")]))
    assert slots_of(ModelSlots, 11)[:2] == (model, after(model, 1))


def test_the_three_parts_of_the_ledger_agree_on_where_things_are() -> None:
    places = [
        [(entry["label"], entry["slot"], entry["offset"], entry["type"]) for entry in layout(name)["storage"]]
        for name in ("TraceLedger", "LotOperations", "CertificateOperations")
    ]
    assert places[0] == places[1] == places[2]


@pytest.mark.parametrize("kind", KINDS)
def test_no_member_of_a_struct_goes_unread(kind: type) -> None:
    names = {field.name for field in dataclasses.fields(kind)}
    wanted = kind.__name__.removesuffix("Slots")
    for name in ("Registry", "TraceLedger"):
        for type_name, found in layout(name)["types"].items():
            if type_name == f"t_struct({wanted})_storage":
                assert {snake_case(member["label"]) for member in found["members"]} == names
                return
    raise AssertionError(wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_slot_is_a_struct_of_zeros(kind: type) -> None:
    words = [bytes(32)] * len(slots_of(kind, *KINDS[kind]))
    assert not any(
        any(value) if isinstance(value, bytes) else value for value in dataclasses.astuple(decode_struct(kind, words))
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_bit_is_read_or_refused(kind: type) -> None:
    count = len(slots_of(kind, *KINDS[kind]))
    empty: object = decode_struct(kind, [bytes(32)] * count)
    for bit in range(256 * count):
        words = [bytearray(32) for _ in range(count)]
        words[bit // 256][bit % 256 // 8] = 1 << bit % 8
        try:
            assert decode_struct(kind, [bytes(word) for word in words]) != empty
        except ProofError:
            continue


def test_structs_are_read_member_by_member() -> None:
    order = (9 << 0) + (8 << 40) + (7 << 80) + (6 << 112) + (5 << 144) + (1 << 176) + (0x483837 << 208)
    order += (4 << 232) + (2 << 240) + (6 << 248)
    kept = OrderSlots(9, 8, 7, 6, 5, 1, b"H87", 4, 2, OrderState.CANCELLED)
    assert decode_struct(OrderSlots, [order.to_bytes(32, "big")]) == kept
    lot = (64 << 0) + (2 << 40) + (3 << 80) + (4 << 120) + (5 << 160) + (6 << 192) + (0x483837 << 208)
    lot += (1 << 232) + (1 << 248)
    packed = LotSlots(64, 2, 3, 4, 5, 6, b"H87", True, 0, LotState.HELD)
    assert decode_struct(LotSlots, [lot.to_bytes(32, "big")]) == packed


@pytest.mark.parametrize("kind", KINDS)
def test_other_words_are_refused(kind: type) -> None:
    count = len(slots_of(kind, *KINDS[kind]))
    for words in ([], [bytes(32)] * (count + 1), [bytes(31)] * count, [bytes(33)] * count):
        with pytest.raises(ProofError, match="words of 32 bytes"):
            decode_struct(kind, words)


def test_what_the_contract_never_writes_is_refused() -> None:
    with pytest.raises(ProofError, match="bits set outside"):
        decode_struct(KeySlots, [b"\1" + bytes(31)])
    with pytest.raises(ProofError, match="order has the invalid state 200"):
        decode_struct(OrderSlots, [(200 << 248).to_bytes(32, "big")])
    with pytest.raises(ProofError, match="participant has the invalid suspended 2"):
        decode_struct(ParticipantSlots, [(2 << 80).to_bytes(32, "big")])


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        (LotSlots, (SUBJECT[:31],)),
        (LotSlots, (ADDRESS,)),
        (KeySlots, (SUBJECT,)),
        (KeySlots, (1 << 160,)),
        (ParticipantSlots, (1 << 32,)),
        (ParticipantSlots, (-1,)),
        (AssignmentSlots, (SUBJECT, 1 << 16)),
        (ModelSlots, (1 << 40,)),
    ],
)
def test_other_keys_are_refused(kind: type, keys: tuple[bytes | int, ...]) -> None:
    with pytest.raises(ProofError, match="not fit the key of mapping"):
        slots_of(kind, *keys)
