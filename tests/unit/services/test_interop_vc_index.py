"""Credentials made from the index: each falls when its certificate does."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from millmark.ledger.errors import NotFoundError
from millmark.ledger.provenance.reader import open_reader
from millmark.ledger.records import CertificateStatus
from millmark.ledger.store import Book
from millmark.services.interop.credentials.certificate import (
    build_status_list,
    issue_credential,
    status_bits,
    verify_credential,
)
from millmark.services.interop.credentials.issuer import Issuer, read_facts, read_statuses
from millmark.services.interop.credentials.keys import Resolver, add_proof, build_did_document, parse_timestamp
from millmark.services.interop.errors import CredentialError
from tests.support.fake_world import World, build_bad_world
from tests.support.interop import DID, ED25519, LISTS
from tests.support.stores import new_store

METHOD = f"{DID}#k"
RESOLVER = Resolver({DID: build_did_document(DID, {"k": ED25519.public})})
ADDRESS = b"\x11" * 20


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world in which certificates were revoked, fell with their model, and expired."""
    with new_store(tmp_path_factory.mktemp("credentials")) as store:
        world = build_bad_world(store)
        with pytest.raises(NotFoundError, match="is not known here"):
            read_facts(store, world.certificates["hip 1"], chain_id=1, ledger=ADDRESS)
        with store.transaction() as connection:
            for identity in world.fake.identities.values():
                Book(connection).add_identity(identity)
        yield world


def _signed(document: dict[str, Any]) -> dict[str, Any]:
    return add_proof(document, ED25519, METHOD, created="2026-01-01T00:00:00Z")


def test_lists_are_signed_once_for_a_block_and_few_are_kept(later: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for one list in turn with another does not have each signed anew."""
    issuer, built = Issuer(later.store, "https://inspector.example", {"k": ED25519}, None), list[int]()

    def build(number: int, *_: int) -> dict[str, Any]:
        built.append(number)
        return {"number": number}

    monkeypatch.setattr(issuer, "_build_list", build)
    for number in (0, 1, 0, 1, 0):
        assert issuer.status_list(number) == {"number": number}
    assert built == [0, 1]
    for number in range(2, 17):
        issuer.status_list(number)
    issuer.status_list(0)
    issuer.status_list(1)
    assert built == [*range(17), 1], "the one that was asked for longest ago is gone"
    assert len(issuer._lists) == 16


@pytest.mark.parametrize(("ahead", "times"), [(0, 2), (1, 1)])
def test_a_list_is_signed_anew_when_a_certificate_fell_unopened(
    later: World, monkeypatch: pytest.MonkeyPatch, ahead: int, times: int
) -> None:
    """There is no record of that, so that the index's digest stays as it is."""
    issuer, built = Issuer(later.store, "https://inspector.example", {"k": ED25519}, None), list[int]()

    def build(number: int, *_: int) -> dict[str, Any]:
        built.append(number)
        return {"number": number}

    monkeypatch.setattr(issuer, "_build_list", build)
    with open_reader(later.store) as reader:
        now = reader.cursor.block_time
    assert issuer._next_lapse(now) == math.inf
    monkeypatch.setattr(issuer, "_next_lapse", lambda time: time + ahead)
    issuer.status_list(0)
    issuer.status_list(0)
    assert len(built) == times


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("hip blank", CertificateStatus.EXPIRED),
        ("hip 1", CertificateStatus.REVOKED),
        ("hip 2", CertificateStatus.FALLEN),
    ],
)
def test_a_credential_falls_with_its_certificate(later: World, name: str, status: CertificateStatus) -> None:
    sequence = later.certificates[name]
    statuses = read_statuses(later.store)
    assert statuses[sequence] is status
    facts = read_facts(later.store, sequence, chain_id=1, ledger=ADDRESS)
    credential = issue_credential(facts, DID, ED25519, METHOD, status_list_url=LISTS)
    assert credential["credentialSubject"]["id"] == facts.identifier  # type: ignore[call-overload, index]
    issued = parse_timestamp(str(credential["validFrom"]))

    def verify(known: dict[int, CertificateStatus], at: datetime) -> None:
        listed = build_status_list(LISTS, DID, status_bits(0, known), valid_from="2020-01-01T00:00:00Z")
        verify_credential(credential, RESOLVER, at=at, lists={LISTS: _signed(listed)})

    verify({**statuses, sequence: CertificateStatus.VALID}, issued)
    if status is CertificateStatus.EXPIRED:
        verify(statuses, issued)
        with pytest.raises(CredentialError, match="expired"):
            verify(statuses, datetime(2200, 1, 1, tzinfo=UTC))
    else:
        with pytest.raises(CredentialError, match="was revoked"):
            verify(statuses, issued)


def test_a_record_that_issued_no_certificate_has_no_facts(later: World) -> None:
    with pytest.raises(NotFoundError):
        read_facts(later.store, 1, chain_id=1, ledger=ADDRESS)
