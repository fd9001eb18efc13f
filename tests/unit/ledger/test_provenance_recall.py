"""Recalls, and certificates that no longer count."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ledger.errors import InputError
from ledger.provenance import certificate, recall
from ledger.records import CertificateStatus
from ledger.store import open_store
from tests.support.fake_world import World, build_bad_world, build_world, lot_trace


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_store(f"sqlite:///{tmp_path_factory.mktemp('provenance') / 'ledger.db'}") as store:
        yield build_world(store)


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_store(f"sqlite:///{tmp_path_factory.mktemp('provenance') / 'ledger.db'}") as store:
        yield build_bad_world(store)


def test_recall_of_a_lot(built: World) -> None:
    found = recall(built.store, lot="urn:example:hip-blank")
    assert dict(built.names(found.lots)) == {"hip blank": 0, "hip 1": 1, "hip 2": 1, "hip 3": 1, "hip 3 again": 2}
    assert [party.name for party in found.holders] == ["Clinic", "Smithy"]
    assert dict(built.names(recall(built.store, lot=built.lots["box"]).lots)) == {"box": 0, "hip 2": 0}


def test_recall_needs_one_thing(built: World) -> None:
    with pytest.raises(InputError):
        recall(built.store)
    with pytest.raises(InputError):
        recall(built.store, model=1, lot=bytes(32))


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


def test_superseded_records_say_by_which(later: World) -> None:
    records = lot_trace(later, "hip 1").records
    assert [record.superseded_by for record in records] == [None, records[-1].sequence, None, None]


def test_recall_of_a_withdrawn_model(later: World) -> None:
    found = recall(later.store, model=later.model)
    assert found.model is not None
    assert found.model.withdrawn_at
    assert dict(later.names(found.lots)) == {"hip 1": 0, "hip 2": 0, "hip 3": 0, "hip 3 again": 0}
    assert {one.status for one in found.certificates} == {CertificateStatus.REVOKED, CertificateStatus.FALLEN}
    spare = recall(later.store, model=later.spare_model)
    assert dict(later.names(spare.lots)) == {"hip blank": 0, "hip 1": 1, "hip 2": 1, "hip 3": 1, "hip 3 again": 2}


def test_names_are_optional(later: World) -> None:
    found = lot_trace(later, "hip 1")
    assert (found.lot.identifier, found.lot.custodian.name) == (None, None)
