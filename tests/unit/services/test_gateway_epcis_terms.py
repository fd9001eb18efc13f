"""What events say is kept in runs: whatever they say, each is found by all of it, and by nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millmark.ledger.store import Store
from millmark.services.interop.epcis.capture import Status, Validation, _Event, _terms
from millmark.services.interop.epcis.documents import Event
from millmark.services.interop.epcis.repository import (
    EpcisEventRow,
    EpcisRepository,
    EpcisTermRow,
    EventQuery,
    TermCondition,
)
from tests.support.stores import new_store, scratch

FIELDS, VALUES = ("bizStep", "epc"), ("a", "b", "c")
_said = st.lists(st.tuples(st.sampled_from(FIELDS), st.sampled_from(VALUES)), max_size=4)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder: Path = tmp_path_factory.mktemp("terms")
    with new_store(folder) as opened:
        yield opened


def event(said: list[tuple[str, str]]) -> _Event:
    return _Event(Validation(Event("", {}, {}), Status.ACCEPTED, "", "", (), said), Status.ACCEPTED)


def row(number: int) -> EpcisEventRow:
    return EpcisEventRow(number, 0, str(number), "", "", number, number, bytes(32), number, "", "")


@settings(max_examples=60, deadline=None)
@given(batches=st.lists(st.lists(_said, max_size=6), min_size=1, max_size=4), most=st.integers(1, 30))
def test_events_are_found_by_what_they_say(store: Store, batches: list[list[list[tuple[str, str]]]], most: int) -> None:
    told: dict[int, list[tuple[str, str]]] = {}
    with scratch(store) as connection:
        commands = EpcisRepository(connection)
        for batch in batches:
            start = commands.next_numbers()[0]
            told |= dict(enumerate(batch, start))
            runs = _terms([event(said) for said in batch], start)
            commands.add([row(number) for number in range(start, start + len(batch))], runs)
        for field in FIELDS:
            for value in VALUES:
                found = commands.find(EventQuery((TermCondition((field,), (value,)),), descending=False), None, most)
                right = [number for number, said in told.items() if (field, value) in said]
                assert [one.number for one in found] == right[:most]
        everything = commands.find(EventQuery((TermCondition(FIELDS, VALUES),), descending=False), None, 100)
        assert [one.number for one in everything] == [number for number, said in told.items() if said]


def test_what_a_whole_batch_says_is_one_row() -> None:
    batch = [event([("bizStep", "a"), ("epc", str(number))]) for number in range(100)]
    runs = _terms(batch, 7)
    assert [(one.first, one.count) for one in runs if one.field == "bizStep"] == [(7, 100)]
    assert len(runs) == 101


def test_what_one_event_says_alone_is_found_with_what_others_say_in_a_run(store: Store) -> None:
    terms = [("old", 1, 1), ("old", 3, 1), ("new", 2, 1), ("old", 4, 2)]
    with scratch(store) as connection:
        repository = EpcisRepository(connection)
        runs = [EpcisTermRow("bizStep", value, first, count) for value, first, count in terms]
        repository.add([row(number) for number in range(1, 7)], runs)
        query = EventQuery((TermCondition(("bizStep",), ("old",)),), descending=False)
        assert [one.number for one in repository.find(query, None, 9)] == [1, 3, 4, 5]
