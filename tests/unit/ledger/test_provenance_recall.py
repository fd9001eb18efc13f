"""Recalls, and certificates that no longer count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.errors import IdentifierError, InputError, NotFoundError
from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.provenance import Limits, certificate, recall
from millmark.ledger.provenance.answers import Cut
from millmark.ledger.records import CertificateStatus, LotState, TransformationKind, Verdict
from millmark.ledger.store import Book, Rows, Store
from millmark.ledger.store.rows import MachineRow
from tests.support.fake_world import SMITH, World, build_bad_world, build_world, lot_trace
from tests.support.stores import new_store

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with new_store(tmp_path_factory.mktemp("provenance")) as store:
        yield build_world(store)


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with new_store(tmp_path_factory.mktemp("provenance")) as store:
        yield build_bad_world(store)


def test_recall_of_a_lot(built: World) -> None:
    found = recall(built.store, lot="urn:example:hip-blank")
    assert dict(built.names(found.lots)) == {"hip blank": 0, "hip 1": 1, "hip 2": 1, "hip 3": 1}
    assert [(one.name, one.lots, one.quarantined) for one in found.holders] == [("Clinic", 2, 0), ("Smithy", 2, 0)]
    assert [order.identifier for order in found.orders] == ["urn:example:hip"]
    assert [one.certificate for one in found.certificates] == [
        built.certificates[name] for name in ("hip 1", "hip 2", "hip 3", "hip 3 again")
    ]
    assert dict(built.names(recall(built.store, lot=built.lots["box"]).lots)) == {"box": 0, "hip 2": 0}


def test_counts_are_of_what_is_listed(built: World) -> None:
    found = recall(built.store, lot="urn:example:billet")
    assert (found.counts.lots, found.counts.unspent, found.counts.quarantined) == (6, 6, 0)
    assert (found.counts.certificates, found.counts.valid) == (len(found.certificates), 4)
    assert (found.counts.orders, found.counts.holders) == (len(found.orders), len(found.holders)) == (2, 2)
    assert found.counts.unspent == sum(lot.state is not LotState.SPENT for lot in found.lots)


def test_a_lot_in_a_quarantined_box_is_quarantined_and_with_whoever_has_the_box(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        world = build_world(store)
        world.fake.quarantine(world.lots["box"], 1)
        world.follow()
        found = recall(store, lot="urn:example:hip-blank")
    by_name = {world.name(lot.subject): lot for lot in found.lots}
    assert {name for name, lot in by_name.items() if lot.quarantined} == {"hip 2"}
    assert (by_name["hip 2"].state, by_name["hip 2"].holder.name) == (LotState.HELD, "Clinic")
    assert by_name["hip 2"].parent == world.lots["box"]
    assert [(one.name, one.lots, one.quarantined) for one in found.holders] == [("Clinic", 2, 1), ("Smithy", 2, 0)]
    assert found.counts.quarantined == 1


def test_a_cut_recall_says_where(built: World) -> None:
    shallow = recall(built.store, lot="urn:example:billet", limits=Limits(depth=1, lots=100))
    assert (shallow.truncated, shallow.cuts) == (True, (Cut("lots", "depth", 1),))
    assert {lot.depth for lot in shallow.lots} == {0, 1}
    narrow = recall(built.store, lot="urn:example:billet", limits=Limits(depth=9, lots=2))
    assert (len(narrow.lots), narrow.cuts) == (3, (Cut("lots", "lots", 2),))
    whole = recall(built.store, lot="urn:example:billet", limits=Limits(depth=2, lots=5))
    assert (len(whole.lots), whole.truncated, whole.cuts) == (6, False, ())


SPAN: dict[str, Any] = {"since": NOW, "until": NOW}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, "exactly one of model, lot and machine"),
        ({"model": 1, "lot": bytes(32)}, "give one of them"),
        ({"lot": bytes(32), "machine": 1, **SPAN}, "give one of them"),
        ({"model": 0}, "0 cannot be the number of a model"),
        ({"model": -1}, "-1 cannot be the number"),
        ({"model": 2**40}, "cannot be the number"),
        ({"machine": 1}, "the period in which it was bad"),
        ({"machine": 1, "since": NOW}, "the period in which it was bad"),
        ({"machine": 1, "until": NOW}, "the period in which it was bad"),
        ({"model": 1, "since": NOW}, "only a recall of a machine has a period"),
        ({"lot": bytes(32), **SPAN}, "only a recall of a machine has a period"),
        ({"machine": 1, "since": NOW, "until": NOW - timedelta(seconds=1)}, "is after"),
        ({"machine": 1, "since": NOW.replace(tzinfo=None), "until": NOW}, "time zone"),
        (
            {"machine": 1, "since": NOW, "until": datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=5)))},
            "9999",
        ),
        (
            {"machine": 1, "since": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))), "until": NOW},
            "years 1 to 9999",
        ),
        ({"machine": 0, **SPAN}, "0 cannot be the number of a machine"),
        ({"machine": "-7", **SPAN}, "-7 cannot be the number of a machine"),
        ({"machine": str(2**64), **SPAN}, "cannot be the number of a machine"),
    ],
)
def test_recalls_that_make_no_sense(built: World, asked: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        recall(built.store, **asked)


def test_machines_that_are_not_there(built: World) -> None:
    for machine in (99, "99", "urn:example:hip", bytes(32), "0x" + "00" * 32):
        with pytest.raises(NotFoundError, match=r"no machine .* is registered up to block"):
            recall(built.store, machine=machine, **SPAN)
    with pytest.raises(IdentifierError):
        recall(built.store, machine="a mill", **SPAN)


class Shop:
    """A mill with two orders one after the other, and a gauge that measures bought lots: `times` between its steps."""

    def __init__(self, store: Store) -> None:
        world = build_bad_world(store)
        self.store, self.fake = store, world.fake
        self.times: list[datetime] = []
        self.lots: dict[str, bytes] = {}
        self.mill = self.fake.register_machine(SMITH, "second mill")
        self.gauge = self.fake.register_machine(SMITH, "gauge")
        self.model = self.fake.register_model(4, "diameter")
        self.tick()  # 0: nothing yet
        for name in ("early", "late"):
            self.work(name)
        stream = self.fake.open_stream(self.gauge, "readings")  # with one reading
        self.tick()  # 5
        self.fake.anchor(stream, SMITH, 3)
        self.tick()  # 6
        for name, leaf in (("ring", 0), ("bolt", 1), ("nut", 2)):
            self.lots[name] = self.fake.receive(name, SMITH, 1)
            self.fake.certify(self.lots[name], 4, self.model, Verdict.PASS, stream, leaf_index=leaf)
        self.tick()  # 7
        world.follow()
        with store.transaction() as connection:
            for identity in self.fake.identities.values():
                Book(connection).add_identity(identity)

    def tick(self) -> None:
        self.fake.chain.mine(2)
        self.times.append(datetime.fromtimestamp(self.fake.chain.now, UTC))
        self.fake.chain.mine(2)

    def work(self, name: str) -> None:
        """Accepted; 1 or 3; started, a blank made and cut up; ended and 2, or still open and 4."""
        order = self.fake.place(name, 1, 2)
        self.fake.accept_order(order)
        self.fake.begin(order, 0, self.mill)
        self.tick()
        blank = self.fake.commission(f"{name} blank", order, 2)
        (half,) = self.fake.transform(TransformationKind.SPLIT, {blank: 1}, {f"{name} half": 1})
        self.lots |= {f"{name} blank": blank, f"{name} half": half}
        if name == "early":
            self.fake.finish(order, 0)
        self.tick()

    def reached(self, machine: int | str, first: datetime, last: datetime) -> dict[str, int]:
        names = {subject: name for name, subject in self.lots.items()}
        found = recall(self.store, machine=machine, since=first, until=last)
        return {names[lot.subject]: lot.depth for lot in found.lots}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with new_store(tmp_path_factory.mktemp("shop")) as store:
        yield Shop(store)


EARLY, LATE = {"early blank": 0, "early half": 1}, {"late blank": 0, "late half": 1}


@pytest.mark.parametrize(
    ("first", "last", "reached"),
    [
        (0, 0, {}),
        (0, 1, EARLY),
        (1, 1, EARLY),
        (2, 2, {}),
        (1, 3, EARLY | LATE),
        (2, 3, LATE),
        (7, 7, LATE),  # its assignment is open to this day
    ],
)
def test_recall_of_what_a_machine_made(shop: Shop, first: int, last: int, reached: dict[str, int]) -> None:
    assert shop.reached(shop.mill, shop.times[first], shop.times[last]) == reached


@pytest.mark.parametrize(
    ("first", "last", "reached"),
    [
        (0, 4, set()),
        (0, 5, {"ring", "bolt", "nut"}),
        (5, 5, {"bolt", "nut"}),  # after the first anchor, before the second
        (6, 7, set()),
    ],
)
def test_recall_of_what_a_machine_measured(shop: Shop, first: int, last: int, reached: set[str]) -> None:
    assert set(shop.reached(shop.gauge, shop.times[first], shop.times[last])) == reached


def test_a_machine_has_many_names_and_moments_many_zones(shop: Shop) -> None:
    zone = timezone(timedelta(hours=5))
    for name in (str(shop.mill), "urn:example:second-mill", "URN:EXAMPLE:second-mill"):
        assert shop.reached(name, shop.times[1].astimezone(zone), shop.times[1]) == EARLY
    found = recall(shop.store, machine=shop.mill, since=shop.times[1].astimezone(zone), until=shop.times[1])
    assert found.machine is not None
    assert (found.machine.machine, found.machine.identifier) == (shop.mill, "urn:example:second-mill")
    assert found.to_json()["since"] == shop.times[1].strftime("%Y-%m-%dT%H:%M:%SZ")
    assert {lot.machine.machine for lot in found.lots if lot.machine} == {shop.mill}


def test_two_machines_of_one_name_want_a_number(shop: Shop) -> None:
    twin = Identity(SubjectKind.MACHINE, SMITH, "urn:example:gauge", bytes(range(32)))
    with shop.store.transaction() as connection:
        Rows(connection).insert([replace(Rows(connection).find(MachineRow)[0], number=999, subject=twin.subject)])
        Book(connection).add_identity(twin)
    with pytest.raises(InputError, match=rf"is the identifier of machines {shop.gauge}, 999; use a number"):
        recall(shop.store, machine="urn:example:gauge", **SPAN)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("hip blank", CertificateStatus.EXPIRED),
        ("hip 1", CertificateStatus.REVOKED),
        ("hip 2", CertificateStatus.FALLEN),
        ("hip 3 again", CertificateStatus.FALLEN),
    ],
)
def test_status(later: World, name: str, status: CertificateStatus) -> None:
    assert certificate(later.store, later.certificates[name]).status is status


def test_corrected_records_say_by_which(later: World) -> None:
    records = lot_trace(later, "hip 1").records
    assert [record.corrected_by for record in records] == [None, records[-1].sequence, None, None]


def test_recall_of_a_withdrawn_model(later: World) -> None:
    found = recall(later.store, model=later.model)
    assert found.model is not None
    assert found.model.withdrawn_at
    assert dict(later.names(found.lots)) == {"hip 1": 0, "hip 2": 0, "hip 3": 0}
    assert {one.status for one in found.certificates} == {CertificateStatus.REVOKED, CertificateStatus.FALLEN}
    spare = recall(later.store, model=later.spare_model)
    assert dict(later.names(spare.lots)) == {"hip blank": 0, "hip 1": 1, "hip 2": 1, "hip 3": 1}


def test_names_are_optional(later: World) -> None:
    found = lot_trace(later, "hip 1")
    assert (found.lot.identifier, found.lot.custodian.name) == (None, None)
