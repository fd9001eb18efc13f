"""What a text finds: names in every spelling, subjects, numbers, companies; nothing that the viewer must not see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from millmark.ledger.errors import IdentifierError
from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.provenance import listings
from millmark.ledger.provenance.search import MAX_TEXT, Found, FoundKind, search
from millmark.ledger.store import Book, Connection, Rows
from millmark.ledger.store.rows import LotRow, MachineRow
from tests.support.fake_world import OTHER_BUYER, SMITH, World, build_world
from tests.support.stores import new_store

LINK = "https://id.gs1.org/01/09506000134352/21/HIP-9"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with new_store(tmp_path_factory.mktemp("search")) as store:
        made = build_world(store)
        with store.transaction() as connection:
            name(connection, Identity(SubjectKind.LOT, SMITH, LINK, bytes(32)), made.lots["hip 1"])
        yield made


NAMED = Identity(SubjectKind.LOT, SMITH, LINK, bytes(32))


def name(connection: Connection, identity: Identity, like: bytes) -> None:
    """Adds a lot like another one, or a machine, under a name: subjects are hashes of names."""
    rows, number = Rows(connection), 10_000 + len(identity.identifier)
    if identity.kind is SubjectKind.MACHINE:
        rows.put(MachineRow(number, identity.subject, SMITH, 1, 0, bytes(32)))
    else:
        known = rows.get(LotRow, like)
        assert known is not None
        rows.put(replace(known, subject=identity.subject, sequence=number, number=64 * number))
    Book(connection).add_identity(identity)


def kinds(found: tuple[Found, ...]) -> set[tuple[FoundKind, str]]:
    return {(one.kind, one.key) for one in found}


LOT = (FoundKind.LOT, "0x" + NAMED.subject.hex())


@pytest.mark.parametrize(
    "text",
    [
        "HIP-9",
        " HIP-9 ",
        LINK,
        "https://gateway.example:8443/01/09506000134352/21/HIP-9?salt=" + "A" * 43,
        "https://gateway.example/passport/proof/01/09506000134352/21/HIP-9",
        "urn:epc:id:sgtin:9506000.013435.HIP-9",
        "(01)09506000134352(21)HIP-9",
    ],
)
def test_a_lot_is_found_by_every_spelling_of_its_name(world: World, text: str) -> None:
    assert kinds(search(world.store, text, None)) == {LOT}


def test_a_lot_is_found_by_its_subject_and_by_the_address_of_its_page(world: World) -> None:
    subject = NAMED.subject.hex()
    for text in (subject, "0x" + subject.upper(), f"https://gateway.example/portal/lots/{subject}?lang=zh"):
        assert kinds(search(world.store, text, None)) == {LOT}


def test_a_number_finds_what_the_record_made_and_the_company_so_numbered(world: World) -> None:
    certificate = next(iter(world.certificates.values()))
    assert (FoundKind.CERTIFICATE, str(certificate)) in kinds(search(world.store, str(certificate), None))
    assert (FoundKind.MODEL, str(world.model)) in kinds(search(world.store, f"#{world.model}", None))
    assert (FoundKind.MACHINE, str(world.machine)) in kinds(search(world.store, str(world.machine), None))
    assert (FoundKind.PARTICIPANT, str(SMITH)) in kinds(search(world.store, str(SMITH), None))


def test_every_lot_is_found_by_the_number_of_its_record(world: World) -> None:
    with world.store.reading() as connection:
        rows = Rows(connection).find(LotRow)
    assert len(rows) > 5
    for row in rows:
        assert (FoundKind.LOT, "0x" + row.subject.hex()) in kinds(search(world.store, str(row.sequence), None))


def test_companies_are_found_by_a_part_of_their_name(world: World) -> None:
    assert kinds(search(world.store, "smith", OTHER_BUYER)) == {(FoundKind.PARTICIPANT, str(SMITH))}


def test_a_name_of_several_things_finds_all_and_tells_their_kinds(world: World) -> None:
    with world.store.transaction() as connection:
        name(connection, Identity(SubjectKind.LOT, SMITH, "urn:x-1:TWICE", bytes(32)), world.lots["hip 2"])
        name(connection, Identity(SubjectKind.MACHINE, SMITH, "urn:x-2:TWICE", bytes(32)), b"")
    found = search(world.store, "TWICE", None)
    assert {(one.kind, one.name) for one in found} == {
        (FoundKind.LOT, "urn:x-1:TWICE"),
        (FoundKind.MACHINE, "urn:x-2:TWICE"),
    }


def test_nobody_finds_what_a_list_would_not_show_them(world: World) -> None:
    for viewer in (None, *range(1, 8)):
        seen = {one.subject for one in listings.lots(world.store, viewer, None, 200, {}).items}
        for name, subject in world.lots.items():
            found = {one.key for one in search(world.store, subject.hex(), viewer) if one.kind is FoundKind.LOT}
            assert found == ({"0x" + subject.hex()} if subject in seen else set()), (viewer, name)
        with world.store.reading() as connection:
            numbers = {row.subject: row.sequence for row in Rows(connection).find(LotRow)}
        for subject, number in numbers.items():
            keys = {one.key for one in search(world.store, str(number), viewer) if one.kind is FoundKind.LOT}
            assert ("0x" + subject.hex() in keys) == (subject in seen)


@pytest.mark.parametrize(
    "text", ["7" * 30, "0", "1099511627776", "NOTHING-1", "no such company", "é", "%", "_", "'\"<b>"]
)
def test_what_names_nothing_finds_nothing(world: World, text: str) -> None:
    assert search(world.store, text, None) == ()


@pytest.mark.parametrize("text", ["", "  ", "a\x00b", "A" * (MAX_TEXT + 1)])
def test_what_can_name_nothing_is_refused(world: World, text: str) -> None:
    with pytest.raises(IdentifierError):
        search(world.store, text, None)


@pytest.mark.parametrize(
    "find", [listings.lots, listings.orders, listings.machines, listings.streams, listings.certificates]
)
def test_lists_are_the_same_backwards(world: World, find: Callable[..., listings.Page[Any]]) -> None:
    forwards = find(world.store, None, None, 200, {}).items
    pages = [find(world.store, None, None, 2, {}, newest_first=True)]
    while pages[-1].after is not None:
        pages.append(find(world.store, None, pages[-1].after, 2, {}, newest_first=True))
    assert [item for page in pages for item in page.items] == list(forwards[::-1])
    firsts = [page.first or 0 for page in pages]
    assert firsts == sorted(firsts, reverse=True)
