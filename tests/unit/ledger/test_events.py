"""Declarations of events against the ABI of the contracts' artefacts, and what is derived from them."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.canonical import to_hex
from millmark.ledger.chain import load_abi
from millmark.ledger.errors import RecordError
from millmark.ledger.events import (
    EVENTS,
    ArrayOf,
    Event,
    PackedOf,
    Struct,
    Type,
    Word,
    decode,
    find_event,
    header_of,
    signature_of,
    struct_of,
    topic_of,
)
from millmark.ledger.events.certificates import CertificateIssued
from millmark.ledger.events.lots import (
    CustodyReclaimed,
    LotAllocated,
    LotCommissioned,
    LotDeallocated,
    LotReceived,
    LotReworked,
    LotsPacked,
    LotsTransformed,
)
from millmark.ledger.events.orders import AssignmentFinished, AssignmentProposed, OrderPlaced
from millmark.ledger.records import (
    Contract,
    Gate,
    Input,
    Names,
    OrderTerms,
    Output,
    Rework,
    Transformation,
    TransformationKind,
    snake_case,
)
from tests.support.event_data import build, damage, encode_event, logged, written

A, B, C, ORDER = (bytes([number]) * 32 for number in range(1, 5))
KEY = b"\x0a" * 20


def events_of_the_abi() -> dict[tuple[Contract, str], dict[str, Any]]:
    """Those that are records."""
    return {
        (contract, entry["name"]): entry
        for contract in Contract
        for entry in load_abi(contract)
        if entry["type"] == "event" and entry["inputs"][0]["name"] == "sequence"
    }


def test_every_event_of_the_contracts_is_declared_and_no_other() -> None:
    declared = {(kind.contract, kind.__name__) for kind in EVENTS}
    assert len(declared) == len(EVENTS)
    missing = sorted(f"{contract.value}: {name}" for contract, name in events_of_the_abi().keys() - declared)
    assert not missing, f"events without a declaration in ledger/events: {missing}"
    strange = sorted(f"{contract.value}: {name}" for contract, name in declared - events_of_the_abi().keys())
    assert not strange, f"declared in ledger/events, and no event of the contracts: {strange}"


def verify_member(name: str, kind: Type, parameter: dict[str, Any]) -> None:
    """A member's name and type are those of the ABI's parameter."""
    assert name.rstrip("_") == snake_case(parameter["name"])
    abi = str(parameter["type"])
    if isinstance(kind, ArrayOf):
        assert abi.endswith("[]")
        verify_member(name, kind.item, {**parameter, "type": abi[:-2]})
    elif isinstance(kind, Struct):
        assert abi == "tuple"
        assert parameter["internalType"].removesuffix("[]").split(".")[-1] == kind.kind.__name__
        verify_members(kind.members, parameter["components"])
    elif isinstance(kind, PackedOf):
        assert kind.abi == abi
    else:
        assert kind.abi == abi
        enumeration = parameter["internalType"].split(".")[-1] if "enum" in parameter["internalType"] else None
        assert (kind.enumeration and kind.enumeration.__name__) == enumeration


def verify_members(members: tuple[tuple[str, Type], ...], parameters: list[dict[str, Any]]) -> None:
    for (name, kind), parameter in zip(members, parameters, strict=True):
        verify_member(name, kind, parameter)


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_a_declaration_is_what_the_abi_says(kind: type[Event]) -> None:
    inputs = events_of_the_abi()[kind.contract, kind.__name__]["inputs"]
    assert [one["name"] for one in inputs if one["indexed"]] == ["sequence", "participant", "subject"]
    data = [one for one in inputs if not one["indexed"]]
    verify_members((*header_of(kind), *struct_of(kind).members), data)
    signature = f"{kind.__name__}({','.join(written(one) for one in inputs)})"
    assert signature_of(kind) == signature
    assert topic_of(kind) == keccak(text=signature)
    assert find_event(kind.contract, kind.__name__) is find_event(kind.contract, topic_of(kind)) is kind


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_fields_say_what_they_name(kind: type[Event]) -> None:
    """By their names: a root is a claims document's, unless it is that of a stream."""

    def verify(members: tuple[tuple[str, Type], ...]) -> None:
        for name, member in members:
            if isinstance(member, ArrayOf):
                member = member.item
            if isinstance(member, Struct):
                verify(member.members)
            elif isinstance(member, Word):
                rooted = name.endswith("_root") and name != "anchor_root"
                assert (member.names is Names.CLAIMS) == rooted, name
                if name in {one.value for one in Names}:
                    assert member.names is Names(name), name

    verify(struct_of(kind).members)


# What is derived


def test_json_has_the_fields_by_name_sorted_and_bytes_in_hex() -> None:
    inputs = (Input(A, ORDER, 3), Input(B, C, 4, component=True))
    outputs = (Output(C, 5, b"H87", A),)
    change = Transformation(TransformationKind.MERGE, ORDER, 1, b"GRM", b"H87", 2, 10, 1, C, inputs, outputs)
    told = LotsTransformed(change).to_json()
    assert told == {
        "transformation": {
            "claims_root": to_hex(C),
            "inputs": [
                {"component": False, "lot": to_hex(A), "order": to_hex(ORDER), "quantity": 3},
                {"component": True, "lot": to_hex(B), "order": to_hex(C), "quantity": 4},
            ],
            "kind": 1,
            "loss": 2,
            "operation": 1,
            "order": to_hex(ORDER),
            "output_unit": "0x483837",
            "outputs": [{"claims_root": to_hex(A), "identifier_hash": to_hex(C), "quantity": 5, "unit": "0x483837"}],
            "unit": "0x47524d",
            "yield_in": 10,
            "yield_out": 1,
        }
    }
    assert json.dumps(told) == json.dumps(told, sort_keys=True)
    assert type(told["transformation"]["kind"]) is int  # type: ignore[call-overload,index]  # an object
    assert CustodyReclaimed(7, A).to_json() == {"from": 7, "reason_root": to_hex(A)}


def test_roots_come_in_the_order_of_the_data() -> None:
    change = build(Transformation, claims_root=A, outputs=(build(Output, claims_root=B), build(Output)))
    assert LotsTransformed(change).roots() == (A, B, bytes(32))
    assert OrderPlaced(OrderTerms(1, 2, (), 0, 0, bytes(3), C)).roots() == (C,)
    assert LotsPacked().roots() == ()


def test_zero_names_nothing() -> None:
    proposed = AssignmentProposed(0, 8, 3, A)
    assert (proposed.numbers(Names.MACHINE), proposed.numbers(Names.PARTICIPANT)) == ((8,), (3,))
    placed = OrderPlaced(OrderTerms(1, 2, (), 0, 0, bytes(3), C))
    assert (placed.numbers(Names.PARTICIPANT), placed.numbers(Names.MODEL)) == ((2,), ())
    gated = OrderPlaced(OrderTerms(1, 2, (Gate(4, 9), Gate(5)), 0, 0, bytes(3), C))
    assert (gated.numbers(Names.PARTICIPANT), gated.numbers(Names.MODEL)) == ((2, 4, 5), (9,))


def test_a_record_needs_what_it_came_of() -> None:
    commissioned = LotCommissioned(ORDER, 1, 1, b"H87", A)
    assert list(commissioned.needs(A, (A,))) == [ORDER]
    assert list(LotReceived(1, b"H87", A).needs(A, (A,))) == []
    packed = LotsPacked()
    assert (list(packed.needs(A, (A, B))), list(packed.needs(B, (A, B)))) == ([], [A])
    change = build(Transformation, order=ORDER, inputs=(Input(A, C, 1),), outputs=(build(Output), build(Output)))
    transformed = LotsTransformed(change)
    assert (list(transformed.needs(A, (A, B, C))), list(transformed.needs(B, (A, B, C)))) == ([], [A, ORDER])
    assert transformed.outputs((A, B, C)) == (B, C)
    reworked = LotReworked(build(Rework, lot=A, order=ORDER, components=(Input(B, C, 1, component=True),)), 1)
    assert (list(reworked.needs(A, (A, B))), list(reworked.needs(B, (A, B)))) == ([B], [])
    assert list(LotAllocated(ORDER, 1, A).needs(A, (A,))) == [ORDER]
    assert list(LotDeallocated(ORDER, A).needs(A, (A,))) == []  # what brought the lot into the order needs it


def test_evidence_is_named_by_certificates_and_finished_assignments_alone() -> None:
    for kind in EVENTS:
        leaf = build(kind).leaf()
        assert (leaf is not None) == (kind in (CertificateIssued, AssignmentFinished)), kind.__name__


# Data


@st.composite
def cases(draw: st.DrawFn) -> tuple[bytes, tuple[bytes, ...], Event]:
    kind = draw(st.sampled_from(EVENTS))
    histories = draw(st.lists(st.binary(min_size=32, max_size=32), max_size=3)) if len(header_of(kind)) > 1 else []
    event = draw(logged(struct_of(kind)))
    assert isinstance(event, Event)
    return draw(st.binary(min_size=20, max_size=20)), tuple(histories), event


@given(cases())
def test_what_eth_abi_writes_is_read(case: tuple[bytes, tuple[bytes, ...], Event]) -> None:
    key, histories, event = case
    assert decode(type(event), encode_event(event, key, histories)) == case
    fields = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}  # type: ignore[arg-type]
    assert type(event)(**fields) == event, "what is decoded is what a declaration takes"


@given(cases(), st.integers(0, 2**32))
def test_data_are_read_in_one_form_only(case: tuple[bytes, tuple[bytes, ...], Event], seed: int) -> None:
    key, histories, event = case
    data = damage(encode_event(event, key, histories), seed)
    if not data:
        return
    try:
        key, histories, found = decode(type(event), data)
    except RecordError:
        return
    assert encode_event(found, key, histories) == data


@pytest.mark.parametrize(
    ("place", "word"),
    [
        (0, 1 << 160),  # above the address
        (1, 32),  # histories elsewhere
        (2, 2**255),  # more of them than there are bytes
        (2, 1),  # and behind the end
    ],
)
def test_malformed_data_are_refused(place: int, word: int) -> None:
    data = encode_event(LotsPacked(), KEY)
    with pytest.raises(RecordError, match="do not encode an event of this kind"):
        decode(LotsPacked, data[: 32 * place] + word.to_bytes(32, "big") + data[32 * place + 32 :])


def test_a_field_of_another_type_is_refused_by_the_declaration() -> None:
    with pytest.raises(
        RecordError, match=r"^LotReceived\.quantity cannot be 0x74656e; give a whole number below 2\^40$"
    ):
        LotReceived(b"ten", b"H87", A)  # type: ignore[arg-type]  # that is the point


def test_declarations_need_no_other_package() -> None:
    """The verifier reads them where only its three packages are installed."""
    allowed = {*sys.stdlib_module_names, "millmark"}
    for path in sorted((Path(__file__).parents[3] / "ledger" / "events").glob("*.py")):
        imported = re.findall(r"^(?:from|import) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert set(imported) <= allowed, path.name
