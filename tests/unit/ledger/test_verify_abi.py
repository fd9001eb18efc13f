"""Event data: the one canonical form, and the table of kinds next to the contracts' own artefacts."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random
from typing import Any

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from ledger.chain.artifacts import load_abi
from ledger.chain.codec import event_topic
from ledger.records import Contract
from ledger.verify._abi import ArrayOf, Fields, MalformedError, Struct, Type, decode
from ledger.verify._kinds import KINDS, SEALABLE, roots_of
from tests.support.bundle_content import encode_data, fields_of
from tests.support.bundle_vector import vector_bundle

EVIDENCE_ONLY = {"StreamOpened", "StreamAnchored"}
"""Kinds of the ledger that touch no history."""
ROOTS = {
    "LotsTransformed": 2,
    **dict.fromkeys(("LotsPacked", "LotsUnpacked", "AssignmentFinished"), 0),
    **dict.fromkeys(("CertificateUpheld", "CertificateRefuted", "OpeningDemanded"), 0),
}
"""How many documents a kind carries, where it is not one; a transformation one more for each further output."""


def type_of(parameter: dict[str, Any]) -> str:
    kind = str(parameter["type"])
    if not kind.startswith("tuple"):
        return kind
    return "(" + ",".join(type_of(part) for part in parameter["components"]) + ")" + kind[5:]


def events() -> dict[str, dict[str, Any]]:
    return {
        entry["name"]: entry
        for entry in load_abi(Contract.LEDGER)
        if entry["type"] == "event" and entry["name"] not in EVIDENCE_ONLY
    }


def test_the_table_has_every_kind_of_the_contracts_and_no_other() -> None:
    assert set(KINDS) == set(events())
    for name, entry in events().items():
        assert KINDS[name].signature == f"{name}({','.join(type_of(one) for one in entry['inputs'])})"
        assert KINDS[name].topic == event_topic(Contract.LEDGER, name)


def test_the_document_has_the_same_table() -> None:
    document = (Path(__file__).parents[3] / "ledger" / "BUNDLE.md").read_text(encoding="utf-8")
    signatures = re.findall(r"^    ([A-Z]\w+\(.*\))$", document, re.MULTILINE)
    for kind in KINDS.values():
        assert kind.signature in signatures, kind.name
    assert {one.split("(")[0] for one in signatures} == set(KINDS)


def test_only_a_transformation_may_be_sealed() -> None:
    assert {"LotsTransformed"} == SEALABLE


def values(kind: Type) -> st.SearchStrategy[Any]:
    if isinstance(kind, Struct):
        return st.fixed_dictionaries({name: values(one) for name, one in kind.members}).map(Fields)
    if isinstance(kind, ArrayOf):
        return st.lists(values(kind.item), max_size=3).map(tuple)
    if kind.startswith("uint"):
        return st.integers(0, 2 ** int(kind[4:]) - 1)
    if kind == "bool":
        return st.booleans()
    size = 20 if kind == "address" else int(kind[5:])
    return st.binary(min_size=size, max_size=size)


@st.composite
def written(draw: st.DrawFn) -> tuple[str, Fields]:
    name = draw(st.sampled_from(sorted(KINDS)))
    return name, draw(values(KINDS[name].layout))


@given(written())
def test_what_eth_abi_writes_is_read(record: tuple[str, Fields]) -> None:
    name, fields = record
    assert decode(KINDS[name].layout, encode_data(name, fields)) == fields


@given(written(), st.integers(0, 2**32))
def test_data_are_read_in_one_form_only(record: tuple[str, Fields], seed: int) -> None:
    """Whatever changed bytes are read as, they are what eth_abi writes for it: nothing in them is ignored."""
    name, fields = record
    rng = Random(seed)  # noqa: S311  # hypothesis repeats it
    data = bytearray(encode_data(name, fields))
    for _ in range(rng.randrange(1, 4)):
        choice, at = rng.randrange(3), rng.randrange(len(data))
        if choice == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif choice == 1:
            del data[at : at + rng.choice([1, 32])]
        else:
            data[at:at] = data[at : at + rng.choice([1, 32])]
        if not data:
            return
    try:
        found = decode(KINDS[name].layout, bytes(data))
    except MalformedError:
        return
    assert encode_data(name, found) == bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(31),
        encode(["address", "bytes32[]"], ["0x" + "11" * 20, []])[:-1],
        encode(["address", "bytes32[]"], ["0x" + "11" * 20, []]) + b"\0",
        encode(["uint256", "bytes32[]"], [1 << 160, []]),
        bytes(32) + (96).to_bytes(32, "big") + bytes(64),
        bytes(32) + (64).to_bytes(32, "big") + (2**255).to_bytes(32, "big"),
        bytes(32) + (64).to_bytes(32, "big") + (1).to_bytes(32, "big"),
        bytes(32) + (2**256 - 32).to_bytes(32, "big") + bytes(32),
    ],
)
def test_malformed_data_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        decode(KINDS["LotsPacked"].layout, data)


def test_roots_come_in_the_order_of_the_data() -> None:
    for record in vector_bundle().records:
        fields = fields_of(record)
        expected = ROOTS.get(record.kind, 1)
        if record.kind == "LotsTransformed":
            expected += len(fields.struct("transformation").structs("outputs")) - 1
        assert len(roots_of(fields)) == expected, record.kind
