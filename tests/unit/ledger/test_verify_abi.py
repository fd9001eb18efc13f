"""Event data as the verifier reads them: in the one canonical form."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeAlias

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.events import EVENTS, HISTORY_EVENTS, Event, signature_of, struct_of
from millmark.ledger.events.lots import LotsPacked, LotsTransformed
from millmark.ledger.events.orders import OrderPlaced
from millmark.ledger.records import Gate, OrderTerms
from millmark.ledger.verify._abi import MalformedError, decode
from tests.support.bundle_content import entry_of
from tests.support.bundle_vector import vector_bundle
from tests.support.event_data import build, damage, encode_event, logged

ROOTS = {
    "LotsTransformed": 2,
    **dict.fromkeys(("LotsPacked", "LotsUnpacked", "AssignmentFinished"), 0),
    **dict.fromkeys(("CertificateUpheld", "CertificateRefuted", "OpeningDemanded"), 0),
}
"""How many documents a kind carries, where it is not one; a transformation one more for each further output."""


def test_the_document_has_the_declared_kinds() -> None:
    document = (Path(__file__).parents[3] / "ledger" / "BUNDLE.md").read_text(encoding="utf-8")
    signatures = re.findall(r"^    ([A-Z]\w+\(.*\))$", document, re.MULTILINE)
    for kind in HISTORY_EVENTS.values():
        assert signature_of(kind) in signatures, kind.__name__
    assert {one.split("(")[0] for one in signatures} == set(HISTORY_EVENTS)


def test_only_a_transformation_may_be_sealed() -> None:
    assert [kind for kind in EVENTS if kind.withholdable] == [LotsTransformed]


Logged: TypeAlias = "tuple[bytes, tuple[bytes, ...], Event]"


@st.composite
def written(draw: st.DrawFn) -> Logged:
    """Of enumerations all numbers of their type, too: what they do not name stays a number."""
    kind = draw(st.sampled_from(list(HISTORY_EVENTS.values())))
    histories = draw(st.lists(st.binary(min_size=32, max_size=32), max_size=3))
    return draw(st.binary(min_size=20, max_size=20)), tuple(histories), draw(logged(struct_of(kind), named=False))


def data_of(case: Logged) -> bytes:
    key, histories, event = case
    return encode_event(event, key, histories)


@given(written())
def test_what_eth_abi_writes_is_read(case: Logged) -> None:
    assert decode(type(case[2]), data_of(case)) == case


@given(written(), st.integers(0, 2**32))
def test_data_are_read_in_one_form_only(case: Logged, seed: int) -> None:
    """Whatever changed bytes are read as, they are what eth_abi writes for it: nothing in them is ignored."""
    data = damage(data_of(case), seed)
    if not data:
        return
    try:
        found = decode(type(case[2]), data)
    except MalformedError:
        return
    assert data_of(found) == data


@given(written(), st.data())
def test_data_that_end_too_early_or_too_late_are_refused_as_such(case: Logged, drawn: st.DataObject) -> None:
    data = data_of(case)
    with pytest.raises(MalformedError, match="the data end too early"):
        decode(type(case[2]), data[: drawn.draw(st.integers(0, len(data) - 1))])
    more = drawn.draw(st.integers(1, 64))
    with pytest.raises(MalformedError, match=f"the data have {len(data) + more} bytes, not {len(data)}"):
        decode(type(case[2]), data + bytes(more))


@pytest.mark.parametrize("count", range(4))
@pytest.mark.parametrize("gate", [Gate(2**32 - 1, 2**40 - 1), Gate(1, 0), Gate(0, 1), Gate(1, 2**32)])
def test_as_many_gates_are_read_as_there_are(gate: Gate, count: int) -> None:
    """Whether or not they fill the bytes that they may take."""
    terms = build(OrderTerms, gates=(gate,) * count)
    case = (bytes(range(20)), (bytes(32),), OrderPlaced(terms))
    assert decode(OrderPlaced, data_of(case)) == case


def test_a_word_holds_no_more_gates_than_an_order_may_have() -> None:
    data = data_of((bytes(range(20)), (bytes(32),), OrderPlaced(build(OrderTerms, gates=(Gate(1, 1),) * 3))))
    [at] = [at for at in range(0, len(data), 32) if data[at : at + 32].count(1) == 6]
    with pytest.raises(MalformedError, match="more than 3 items are packed in a word"):
        decode(OrderPlaced, data[:at] + b"\1" + data[at + 1 :])


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
        decode(LotsPacked, data)


def test_roots_come_in_the_order_of_the_data() -> None:
    for record in vector_bundle().records:
        event = entry_of(record).event
        expected = ROOTS.get(record.kind, 1)
        if isinstance(event, LotsTransformed):
            expected += len(event.transformation.outputs) - 1
        assert len(event.roots()) == expected, record.kind
