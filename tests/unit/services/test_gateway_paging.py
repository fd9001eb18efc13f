"""Cursors: opaque, of one list and one caller, not to be made up; and pages."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi import Response
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.provenance.answers import Printable
from millmark.ledger.store import Store
from millmark.services.access.rules import Rule, Without
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.gateway.http.problems import CursorError
from millmark.services.gateway.http.route_table import Route
from millmark.services.gateway.http.routes import MAX_ITEMS, Key, Pager, Paging, page_of
from tests.support.gateway_client import Caller
from tests.support.stores import new_store

THINGS = range(0, 1000, 2)


@dataclass(frozen=True, slots=True)
class Thing(Printable):
    number: int


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with new_store(tmp_path_factory.mktemp("paging")) as store:
        yield store


@pytest.fixture
def caller(store: Store) -> Caller:
    app = create_gateway(GatewayParts(store, build_policy("loopback-open")))

    def things(paging: Paging, colour: str = "") -> Response:
        start = int(paging.after[0]) if paging.after else -1
        found = [number for number in THINGS if number > start][: paging.limit]
        last: Key | None = (found[-1], b"\x01", "é") if found and found[-1] != THINGS[-1] else None
        return paging.answer([Thing(number) for number in found], last)

    for path in ("/v1/things", "/v1/others"):
        app.state.routes.add(Route("GET", path, Rule(Without.SCOPE)), things, response_model=page_of(Thing))
    return Caller(app)


def test_pages_are_the_whole_list_once(caller: Caller) -> None:
    found: list[int] = []
    path = "/v1/things?limit=70"
    while True:
        page = caller.ask(path).json()
        assert len(page["items"]) <= 70
        found += [item["number"] for item in page["items"]]
        if page["next"] is None:
            break
        path = f"/v1/things?limit=70&cursor={page['next']}"
    assert found == list(THINGS)


@pytest.mark.parametrize("limit", ["0", "-1", str(MAX_ITEMS + 1), "100000", "x", "1e2", ""])
def test_pages_are_bounded(caller: Caller, limit: str) -> None:
    assert caller.ask(f"/v1/things?limit={limit}").status_code == 422


def test_a_cursor_is_of_one_list_and_one_filter(caller: Caller) -> None:
    cursor = caller.ask("/v1/things?limit=3").json()["next"]
    assert caller.ask(f"/v1/things?limit=9&cursor={cursor}").json()["items"][0] == {"number": 6}
    for path in (f"/v1/others?cursor={cursor}", f"/v1/things?colour=red&cursor={cursor}"):
        problem = caller.problem(path)
        assert (problem["status"], problem["type"]) == (400, "urn:millmark:problem:cursor-refused")


def test_a_cursor_outlives_a_restart_and_says_nothing(store: Store) -> None:
    cursor = Pager(store).seal("list", (7, b"secret subject", "text"))
    assert Pager(store).open("list", cursor) == (7, b"secret subject", "text")
    assert b"secret" not in base64.urlsafe_b64decode(cursor)
    assert Pager(store).seal("list", (7,)) != Pager(store).seal("list", (7,))


def test_no_altered_cursor_is_taken(store: Store) -> None:
    pager = Pager(store)
    cursor = pager.seal("list", (7, "a"))
    sealed = base64.urlsafe_b64decode(cursor)
    for bit in range(len(sealed) * 8):
        altered = bytearray(sealed)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CursorError):
            pager.open("list", base64.urlsafe_b64encode(bytes(altered)).decode())
    for text in ("", "A", cursor[:-4], cursor + "AAAA", cursor.swapcase(), "é" * 40):
        with pytest.raises(CursorError):
            pager.open("list", text)


@given(text=st.text(max_size=80))
def test_no_text_by_chance_is_a_cursor(text: str, store: Store) -> None:
    with pytest.raises(CursorError):
        Pager(store).open("list", text)


def test_another_gateways_cursor_is_refused(store: Store, tmp_path: Path) -> None:
    with new_store(tmp_path) as other, pytest.raises(CursorError):
        Pager(other).open("list", Pager(store).seal("list", (1,)))
