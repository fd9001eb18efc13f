"""Cached traces: right after every change, and one company's never another's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from millmark.ledger.provenance import Direction, Limits, open_reader, trace
from millmark.ledger.store import Book
from millmark.services.gateway.api.provenance import CachedTraces
from tests.support.fake_world import BUYER, CARRIER, NAMES, SMITH, World, build_world
from tests.support.stores import new_store


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with new_store(tmp_path) as store:
        yield build_world(store)


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


def test_answers_follow_index_and_names(world: World) -> None:
    traces, limits = CachedTraces(world.store), Limits()

    def ask() -> bytes:
        return traces.trace("urn:example:hip-1", Direction.BOTH, limits, None)

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
    traces, limits = CachedTraces(world.store), Limits()
    for _ in range(2):
        for viewer in (None, BUYER, SMITH, CARRIER):
            found = trace(world.store, world.lots["hip 1"], viewer=viewer)
            told = traces.trace("urn:example:hip-1", Direction.BOTH, limits, viewer)
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
