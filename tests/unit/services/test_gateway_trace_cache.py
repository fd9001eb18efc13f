"""Answers that are remembered: right after every change, one company's never another's, in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from ledger.provenance import Direction, Limits, open_reader, trace
from ledger.store import Book
from services.gateway.api.provenance_service import Service
from services.gateway.api.trace_cache import Remembered
from tests.support.fake_world import BUYER, CARRIER, NAMES, SMITH, World, build_world
from tests.support.stores import new_store


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with new_store(tmp_path) as store:
        yield build_world(store)


class Counting:
    def __init__(self, answer: bytes = b"x") -> None:
        self.answer, self.times = answer, 0

    def __call__(self) -> bytes:
        self.times += 1
        return self.answer


def test_what_did_not_change_is_asked_for_once() -> None:
    remembered, work = Remembered(), Counting()
    assert [remembered.get("now", "a", work) for _ in range(3)] == [b"x"] * 3
    assert work.times == 1
    remembered.get("now", "b", work)
    assert work.times == 2


def test_another_state_ends_it() -> None:
    remembered = Remembered()
    assert remembered.get("now", "a", Counting(b"old")) == b"old"
    assert remembered.get("later", "a", Counting(b"new")) == b"new"
    assert remembered.get("later", "a", Counting(b"not asked")) == b"new"
    assert remembered.get("now", "a", Counting(b"who still reads that")) == b"who still reads that"


def test_a_new_block_and_a_new_name_make_another_state(world: World) -> None:
    def look() -> object:
        with open_reader(world.store) as reader:
            return reader.state()

    states = [look()]
    world.fake.receive("later", SMITH, 1)
    world.follow()
    states.append(look())
    with world.store.transaction() as connection:
        Book(connection).set_names({**NAMES, SMITH: "Smithy & Sons"})
    states.append(look())
    with world.store.transaction() as connection:
        Book(connection).add_identity(world.fake.identities[world.fake.receive("last", SMITH, 1)])
    states.append(look())
    assert len(set(states)) == 4
    assert look() == states[-1]


def test_an_answer_of_a_state_that_was_overtaken_is_not_kept() -> None:
    remembered = Remembered()

    def work() -> bytes:
        remembered.get("later", "b", Counting())
        return b"of the state before"

    assert remembered.get("now", "a", work) == b"of the state before"
    assert remembered.get("later", "a", Counting(b"new")) == b"new"


def test_what_many_ask_for_at_once_is_worked_out_at_most_twice() -> None:
    remembered, together = Remembered(), Barrier(8)
    work = Counting()

    def ask() -> bytes:
        together.wait(10)
        return remembered.get("now", "a", work)

    with ThreadPoolExecutor(8) as pool:
        assert [one.result(10) for one in [pool.submit(ask) for _ in range(8)]] == [b"x"] * 8
    assert 1 <= work.times <= 2


def test_a_failure_lets_the_next_one_work() -> None:
    remembered = Remembered()
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            remembered.get("now", "a", lambda: bytes(1 // 0))
    assert remembered.get("now", "b", Counting()) == b"x"


def test_a_failure_is_not_kept() -> None:
    remembered = Remembered()
    with pytest.raises(ZeroDivisionError):
        remembered.get("now", "a", lambda: bytes(1 // 0))
    assert remembered.get("now", "a", Counting(b"right")) == b"right"


def test_memory_is_bounded() -> None:
    remembered = Remembered(most_bytes=100)
    for number in range(50):
        remembered.get("now", number, Counting(b"0123456789"))
    recent, old = Counting(), Counting()
    remembered.get("now", 49, recent)
    remembered.get("now", 0, old)
    assert (recent.times, old.times) == (0, 1)
    assert remembered.get("now", "huge", Counting(b"x" * 1000)) == b"x" * 1000


def test_answers_follow_index_and_names(world: World) -> None:
    service, limits = Service(world.store, None), Limits()

    def ask() -> bytes:
        return service.trace("urn:example:hip-1", Direction.BOTH, limits, None)

    first = ask()
    assert ask() is first
    world.fake.receive("later", SMITH, 1)
    world.follow()
    second = ask()
    assert json.loads(second)["as_of"] != json.loads(first)["as_of"]
    with world.store.transaction() as connection:
        Book(connection).set_names({**NAMES, SMITH: "Smithy & Sons"})
    assert b"Smithy & Sons" in ask()


def test_each_company_gets_its_own_answer(world: World) -> None:
    """In every order of asking, as often as one likes."""
    service, limits = Service(world.store, None), Limits()
    for _ in range(2):
        for viewer in (None, BUYER, SMITH, CARRIER):
            found = trace(world.store, world.lots["hip 1"], viewer=viewer)
            told = service.trace("urn:example:hip-1", Direction.BOTH, limits, viewer)
            assert told.decode().startswith('{"as_of":')
            assert set(_names(told)) == set(_names_of(found.to_json()))


def _names(told: bytes) -> list[str]:
    return sorted(part for part in told.decode().split('"') if part.startswith("urn:example:"))


def _names_of(found: object) -> list[str]:
    if isinstance(found, dict):
        return [name for value in found.values() for name in _names_of(value)]
    if isinstance(found, list):
        return [name for value in found for name in _names_of(value)]
    return [found] if isinstance(found, str) and found.startswith("urn:example:") else []
