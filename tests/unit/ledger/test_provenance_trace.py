"""Traces over one small world (tests/support/fake_world.py)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from millmark.ledger.errors import IdentifierError, InputError, NotFoundError, StoreDamagedError
from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.index import Follower
from millmark.ledger.provenance import (
    Direction,
    Limits,
    OrderTrace,
    Trace,
    certificate,
    recall,
    trace,
    trace_lot,
    trace_order,
)
from millmark.ledger.provenance.answers import Cut
from millmark.ledger.records import (
    AssignmentState,
    CertificateStatus,
    LotState,
    OrderState,
    Verdict,
)
from millmark.ledger.store import Book
from millmark.ledger.store.rows import StepKind
from tests.support.fake_ledger import FakeLedger, digest
from tests.support.fake_world import SMITH, World, build_world, lot_trace
from tests.support.stores import new_store


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with new_store(tmp_path_factory.mktemp("provenance")) as store:
        yield build_world(store)


def test_the_lot_and_who_has_it(built: World) -> None:
    found = lot_trace(built, "hip 2")
    assert (found.lot.identifier, found.lot.quantity, found.lot.unit) == ("urn:example:hip-2", 1, "H87")
    assert (found.lot.custodian.name, found.lot.holder.name) == ("Smithy", "Clinic")
    assert built.names(found.packed_in) == [("box", 1)]
    assert found.head == built.fake.chain.heads[found.lot.subject]
    assert found.as_of.block_number == built.fake.chain.final_number()
    unpacked = lot_trace(built, "hip 1").lot
    assert (unpacked.custodian.name, unpacked.holder.name, unpacked.parent) == ("Clinic", "Clinic", None)


def test_its_order_and_gate(built: World) -> None:
    order = lot_trace(built, "hip 1").order
    assert order is not None
    assert (order.subject, order.identifier, order.state) == (
        built.orders["hip"], "urn:example:hip", OrderState.IN_PRODUCTION,
    )  # fmt: skip
    assert (order.buyer.name, order.coordinator.name, order.finished, order.operations) == ("Clinic", "Hub", 1, 2)
    (gate,) = order.gates
    assert (gate.inspector.name, gate.model) == ("Looker", built.model)
    assert lot_trace(built, "bar").order is None


def test_its_assignments_and_machines(built: World) -> None:
    found = lot_trace(built, "hip blank")
    (assignment,) = found.assignments
    assert found.lot.assignment == assignment.assignment
    assert (assignment.state, assignment.current, assignment.operation) == (AssignmentState.FINISHED, True, 0)
    assert (assignment.machine.identifier, assignment.owner.name) == ("urn:example:mill", "Smithy")
    assert (assignment.stream, assignment.leaf_index) == (built.stream, 1)
    assert assignment.started_at
    assert assignment.ended_at
    assert [stream.subject for stream in found.streams] == [built.stream]
    assert [anchor.size for anchor in found.streams[0].anchors] == [2]


@pytest.mark.parametrize(
    ("name", "upstream"),
    [
        ("bar", {}),
        ("billet", {"bar": 1, "melt": 1}),
        ("hip 3", {"hip blank": 1, "billet": 2, "bar": 3, "melt": 3}),
        ("box", {"hip blank": 1, "billet": 2, "bar": 3, "melt": 3}),
    ],
)
def test_what_it_was_made_of_in_how_many_steps(built: World, name: str, upstream: dict[str, int]) -> None:
    assert dict(built.names(lot_trace(built, name).upstream)) == upstream


def test_what_was_made_of_it(built: World) -> None:
    found = lot_trace(built, "melt")
    assert dict(built.names(found.downstream)) == {
        "billet": 1, "hip blank": 2, "rail blank": 2, "hip 1": 3, "hip 2": 3, "hip 3": 3,
    }  # fmt: skip
    by_name = {built.name(lot.subject): lot for lot in found.downstream}
    assert (by_name["hip 2"].holder.name, by_name["hip 3"].state) == ("Clinic", LotState.HELD)
    assert (by_name["hip 3"].verdict, by_name["hip 3"].status) == (Verdict.PASS, CertificateStatus.VALID)
    assert by_name["rail blank"].status is CertificateStatus.NONE


def test_transformations_link_the_lots(built: World) -> None:
    found = lot_trace(built, "hip 3")
    assert [item.kind for item in found.transformations] == [
        StepKind.MERGE, StepKind.CONVERSION, StepKind.SPLIT, StepKind.REWORK,
    ]  # fmt: skip
    merge = found.transformations[0]
    assert sorted((built.name(item.lot), item.quantity) for item in merge.inputs) == [("bar", 8), ("melt", 2)]
    assert [(item.identifier, item.quantity) for item in merge.outputs] == [("urn:example:billet", 10)]


def test_contents_of_a_box(built: World) -> None:
    found = lot_trace(built, "box")
    assert built.names(found.contents) == [("hip 2", 1)]
    assert found.downstream == ()


def test_custody_follows_the_box_while_the_part_is_in_it(built: World) -> None:
    steps = [
        (step.kind, step.from_.name if step.from_ else None, step.to.name) for step in lot_trace(built, "hip 1").custody
    ]
    assert steps == [
        ("LotsTransformed", None, "Smithy"),
        ("LotsPacked", "Smithy", "Smithy"),
        ("CustodyOffered", "Smithy", "Van"),
        ("CustodyAccepted", "Smithy", "Van"),
        ("CustodyOffered", "Van", "Clinic"),
        ("CustodyAccepted", "Van", "Clinic"),
        ("LotsUnpacked", "Clinic", "Clinic"),
    ]


def test_certificates_and_their_status(built: World) -> None:
    failed, passed = lot_trace(built, "hip 3").certificates
    assert (failed.verdict, failed.status, failed.latest) == (Verdict.FAIL, CertificateStatus.VALID, False)
    assert (passed.verdict, passed.status, passed.latest) == (Verdict.PASS, CertificateStatus.VALID, True)
    assert failed.model is not None
    assert (failed.inspector.name, failed.model.model) == ("Looker", built.model)
    assert failed.model.digest == digest("weights", "cracks")
    assert certificate(built.store, built.certificates["hip 3"]) == failed
    assert lot_trace(built, "hip 3").lot.state is LotState.HELD


def test_records_are_the_lots_own_history(built: World) -> None:
    found = lot_trace(built, "hip 1").records
    assert [record.kind for record in found] == ["LotsTransformed", "CertificateIssued", "LotsPacked", "LotsUnpacked"]
    assert [record.participant.name for record in found] == ["Smithy", "Looker", "Smithy", "Clinic"]
    assert all(record.corrected_by is None for record in found)


def test_an_order(built: World) -> None:
    found = trace_order(built.store, "urn:example:hip")
    assert built.names(found.lots) == [
        ("hip 1", 0), ("hip 2", 0), ("hip 3", 0), ("hip blank", 0),
    ]  # fmt: skip
    assert [one.lot for one in found.certificates] == [
        built.lots[name.removesuffix(" again")] for name in built.certificates
    ]
    assert found.records[0].kind == "OrderPlaced"
    assert found.head == built.fake.chain.heads[built.orders["hip"]]


def test_trace_takes_every_form_of_a_name(built: World) -> None:
    lot, order = built.lots["hip 1"], built.orders["hip"]
    for name in ("urn:example:hip-1", "URN:EXAMPLE:hip-1", lot, "0x" + lot.hex()):
        found = trace(built.store, name)
        assert isinstance(found, Trace)
        assert found.lot.subject == lot
    for name in ("urn:example:hip", order):
        assert isinstance(trace(built.store, name), OrderTrace)


def test_unknown_names(built: World, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="not known here; check its spelling"):
        trace(built.store, "urn:example:nothing")
    with pytest.raises(NotFoundError, match="no record about 0x00"):
        trace(built.store, bytes(32))
    with pytest.raises(NotFoundError, match="not known here"):
        trace_order(built.store, "urn:example:hip-1")
    with pytest.raises(NotFoundError, match="issued no certificate"):
        certificate(built.store, 1)
    with pytest.raises(NotFoundError, match="registered no model"):
        recall(built.store, model=1)
    with pytest.raises(IdentifierError):
        trace(built.store, "no identifier")
    with (
        new_store(tmp_path, "empty.db") as empty,
        pytest.raises(NotFoundError, match="nothing is indexed"),
    ):
        trace(empty, "urn:example:hip-1")


def test_known_but_not_recorded_yet_and_known_twice(built: World, tmp_path: Path) -> None:
    with new_store(tmp_path, "two.db") as store:
        fake = FakeLedger()
        twins = [Identity(SubjectKind.LOT, creator, "urn:example:twin", digest("salt", "twin")) for creator in (1, 2)]
        for creator in (1, 2):
            fake.receive("twin", creator, 1)
        fake.chain.mine()
        Follower(fake.chain, store).follow()
        with store.transaction() as connection:
            for identity in (*twins, Identity(SubjectKind.LOT, 1, "urn:example:soon", bytes(32))):
                Book(connection).add_identity(identity)
        with pytest.raises(NotFoundError, match="wait until its record is final"):
            trace(store, "urn:example:soon")
        with pytest.raises(InputError, match="the name of 2 things"):
            trace(store, "urn:example:twin")


def test_limits_cut_and_say_so(built: World) -> None:
    near = trace_lot(built.store, built.lots["melt"], limits=Limits(depth=1))
    assert built.names(near.downstream) == [("billet", 1)]
    assert (near.truncated, near.cuts) == (True, (Cut("downstream", "depth", 1),))
    whole = trace_lot(built.store, built.lots["melt"], limits=Limits(depth=3, lots=6))
    assert (len(whole.downstream), whole.truncated, whole.cuts) == (6, False, ())
    few = trace_lot(built.store, built.lots["melt"], limits=Limits(lots=2))
    assert (len(few.downstream), few.truncated) == (2, True)
    assert few.cuts == (Cut("downstream", "lots", 2),)
    assert len(few.transformations) == 2
    assert not lot_trace(built, "melt").truncated
    assert trace_order(built.store, built.orders["hip"], limits=Limits(lots=2)).truncated


def test_the_other_direction_is_left_out(built: World) -> None:
    up = trace(built.store, built.lots["billet"], direction=Direction.UP)
    down = trace(built.store, built.lots["billet"], direction=Direction.DOWN)
    assert (built.names(up.upstream), up.downstream) == ([("bar", 1), ("melt", 1)], ())
    assert (down.upstream, len(down.downstream)) == ((), 5)
    assert [step.kind for step in up.transformations] == [StepKind.MERGE]
    assert len(down.transformations) == 5, "the merge made the lot itself"
    order = trace(built.store, built.orders["rail"], direction=Direction.DOWN)
    assert (order.upstream, order.downstream) == ((), ())


def test_an_order_knows_what_its_lots_came_of(built: World) -> None:
    found = trace_order(built.store, built.orders["rail"])
    assert built.names(found.upstream) == [("bar", 2), ("billet", 1), ("melt", 2)]
    assert trace_order(built.store, built.orders["hip"], limits=Limits(lots=2)).cuts[0] == Cut("lots", "lots", 2)


def test_related_lots_name_order_machine_and_carrier(built: World) -> None:
    by_name = {built.name(lot.subject): lot for lot in lot_trace(built, "billet").downstream}
    blank, hip = by_name["hip blank"], by_name["hip 2"]
    assert (blank.order, blank.machine is not None and blank.machine.identifier) == (
        built.orders["hip"], "urn:example:mill",
    )  # fmt: skip
    assert (hip.machine, hip.assignment, hip.parent) == (None, None, built.lots["box"])


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("INSERT INTO lot_inputs SELECT min(sequence), :lot, 1, false FROM transformations", "is made from itself"),
        ("UPDATE lots SET parent = subject WHERE subject = :lot", "packed in itself"),
        ("UPDATE lots SET parent = :lot WHERE subject = (SELECT parent FROM lots WHERE subject = :lot)", "packed in"),
    ],
)
def test_an_index_in_which_a_lot_contains_itself_is_damaged(tmp_path: Path, statement: str, told: str) -> None:
    with new_store(tmp_path) as store:
        world = build_world(store)
        with store.transaction() as connection:
            connection.execute(text(statement), {"lot": world.lots["hip 2"]})
        with pytest.raises(StoreDamagedError, match=f"{told}.*rebuild the index"):
            trace(store, world.lots["hip 2"])


def test_everything_prints_as_json(built: World) -> None:
    for answer in (
        lot_trace(built, "hip 1"),
        trace_order(built.store, built.orders["hip"]),
        recall(built.store, model=built.model),
    ):
        shown = json.dumps(answer.to_json())
        assert not re.search(r'"[a-z_]*[A-Z][A-Za-z_]*":', shown), "keys are in snake case"
    found = lot_trace(built, "hip 1").to_json()
    lot, custody, records = found["lot"], found["custody"], found["records"]
    assert isinstance(lot, dict)
    assert isinstance(custody, list)
    assert isinstance(records, list)
    assert (lot["subject"], lot["state"]) == ("0x" + built.lots["hip 1"].hex(), "held")
    assert re.fullmatch(r"2025-10-\d\dT\d\d:\d\d:\d\dZ", lot["created_at"])
    assert custody[1]["from"] == {"participant": SMITH, "name": "Smithy"}
    assert records[1]["fields"]["statement"]["verdict"] == 1
