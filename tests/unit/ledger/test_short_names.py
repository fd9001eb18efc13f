"""The last part of an identifier names a thing wherever nothing else ends in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from millmark.ledger.errors import IdentifierError, InputError, NotFoundError
from millmark.ledger.ids import Identity, SubjectKind, canonical_name, is_short_name
from millmark.ledger.index import Follower
from millmark.ledger.provenance import listings, trace
from millmark.ledger.provenance.answers import Trace
from millmark.ledger.store import Book, Store
from tests.support.fake_ledger import FakeLedger, digest
from tests.support.stores import new_store

NAMES = [(1, "A1"), (1, "a1"), (1, "A_1"), (1, "AX1"), (1, "B1"), (2, "second:B1"), (2, "second/C1")]
"""Of lots, each with its creator; what follows urn:example."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with new_store(tmp_path_factory.mktemp("short"), "short.db") as store:
        fake = FakeLedger()
        for creator, name in NAMES:
            fake.receive(name, creator, 1)
        machine = fake.register_machine(1, "LATHE-2")
        stream = fake.open_stream(machine, "LATHE-2:log")
        fake.chain.mine()
        Follower(fake.chain, store).follow()
        with store.transaction() as connection:
            for creator, name in NAMES:
                identifier = f"urn:example:{name}"
                Book(connection).add_identity(Identity(SubjectKind.LOT, creator, identifier, digest("salt", name)))
            salt = digest("salt", "LATHE-2:log")
            Book(connection).add_identity(Identity(SubjectKind.STREAM, 1, "urn:example:LATHE-2:log", salt))
        assert listings.streams(store, None, None, 10, {}, "log").items[0].subject == stream
        yield store


def test_a_last_part_is_enough_and_is_taken_exactly(store: Store) -> None:
    for short in ("A1", "a1", "A_1", "AX1", "C1"):
        found = trace(store, short)
        assert isinstance(found, Trace)
        assert str(found.lot.identifier).endswith(short)
    for unknown in ("1", "X1", "second/C1", "a_1"):
        with pytest.raises((NotFoundError, IdentifierError)):
            trace(store, unknown)


def test_an_ambiguous_one_is_refused_naming_the_candidates(store: Store) -> None:
    with pytest.raises(InputError) as refused:
        trace(store, "B1")
    told = str(refused.value)
    assert "B1 is the name of 2 things" in told
    assert "lot urn:example:B1 of participant 1" in told
    assert "lot urn:example:second:B1 of participant 2" in told


def test_lists_are_filtered_by_it_and_only_what_the_viewer_may_see_counts(store: Store) -> None:
    names = {one.identifier for one in listings.lots(store, None, None, 10, {}, "B1").items}
    assert names == {"urn:example:B1", "urn:example:second:B1"}
    seen = listings.lots(store, 2, None, 10, {}, "B1").items
    assert [one.identifier for one in seen] == ["urn:example:second:B1"]
    found = trace(store, "B1", viewer=2)
    assert isinstance(found, Trace)
    assert found.lot.identifier == "urn:example:second:B1"


def test_streams_are_listed_for_their_owner(store: Store) -> None:
    [found] = listings.streams(store, 1, None, 10, {}).items
    assert (found.identifier, found.owner.participant) == ("urn:example:LATHE-2:log", 1)
    assert found.machine is not None
    machine = found.machine.machine
    assert listings.streams(store, 1, None, 10, {"machine": machine}, "log").items == (found,)
    assert listings.streams(store, None, None, 10, {"owner": 1}).items == (found,)
    for viewer, filters in ((2, {}), (2, {"owner": 1}), (1, {"owner": 2}), (1, {"machine": machine + 1})):
        for name in (None, "log"):
            assert listings.streams(store, viewer, None, 10, dict(filters), name).items == ()


def test_what_can_be_a_short_name() -> None:
    assert all(map(is_short_name, ("A0006R", "LATHE-2", "order_7", "A%2F1", "x" * 128)))
    assert not any(map(is_short_name, ("", "a b", "second/C1", "urn:a", "a#b", "a?b", "x" * 129, "ä", "a\n")))
    assert canonical_name("A1") == "A1"
    assert canonical_name("URN:EXAMPLE:a") == "urn:example:a"
