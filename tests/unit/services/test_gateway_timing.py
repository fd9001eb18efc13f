"""The time taken does not tell whether a name is known that the caller must not see."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from millmark.ledger.ids import SubjectKind
from millmark.ledger.provenance.permissions import Visibility
from millmark.ledger.records import ALL_ROLES
from millmark.ledger.store import Book, Rows, Store
from millmark.ledger.store.rows import ParticipantRow
from millmark.services.access import Scope, new_api_key
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from tests.bench.names import rank
from tests.support.fake_world import SMITH, build_world
from tests.support.gateway_client import Caller
from tests.support.patience import MAX_S
from tests.support.sign_in import NOW_S, ORIGIN
from tests.support.stores import new_store

KNOWN, UNKNOWN = "urn:example:hip-1", "urn:example:nothing"
STRANGER, OWNER = 77, 3
EVERY_S = 0.2


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path) as store:
        build_world(store)
        with store.transaction() as connection:
            row = ParticipantRow(STRANGER, STRANGER, int(ALL_ROLES), 1, False, False, 0, 0, 1, bytes(32))
            Rows(connection).insert([row])
        yield store


def ask(store: Store, who: int, path: str, owner: int = OWNER, every_s: float = EVERY_S) -> tuple[int, float]:
    policy = build_policy("required", url=ORIGIN, owner=owner)
    app = create_gateway(GatewayParts(store, policy, clock=lambda: NOW_S, absent_every_s=every_s))
    key, _ = new_api_key(store, who, [Scope.PROVENANCE], "ERP", now_s=NOW_S, life_s=900)
    caller = Caller(app)
    headers = {"Host": "gateway.example", "Authorization": f"Bearer {key}"}
    caller.ask("/v1/session", **headers)
    began = time.perf_counter()
    status = caller.ask(path, **headers).status_code
    return status, time.perf_counter() - began


@pytest.mark.parametrize("path", ["/v1/trace/{}", "/v1/recall?lot={}", "/v1/lots?identifier={}"])
def test_as_much_is_judged_whether_or_not_the_name_is_known(
    store: Store, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[int] = []
    among = Visibility.among

    def count(self: Visibility, kind: SubjectKind, subjects: list[bytes]) -> set[bytes]:
        judged.append(len(subjects))
        return among(self, kind, subjects)

    monkeypatch.setattr(Visibility, "among", count)
    seen = []
    for name in (KNOWN, UNKNOWN):
        judged.clear()
        status, seconds = ask(store, STRANGER, path.format(name))
        assert status in (404, 200)
        assert seconds >= EVERY_S
        seen.append(list(judged))
    assert seen[0] == seen[1] != []


def test_what_exists_and_what_the_owner_asks_is_answered_at_once(store: Store) -> None:
    for who, name, owner, expected in ((OWNER, UNKNOWN, OWNER, 404), (SMITH, KNOWN, STRANGER, 200)):
        # An answer that waits would take all of it, whatever the load.
        status, seconds = ask(store, who, f"/v1/trace/{name}", owner=owner, every_s=MAX_S)
        assert status == expected
        assert seconds < MAX_S


def test_a_stand_in_is_always_the_same_and_of_the_kind(store: Store) -> None:
    with store.reading() as connection:
        book = Book(connection)
        found = {name: book.stand_ins(name, SubjectKind.LOT) for name in map(str, range(20))}
        assert all(len(one) == 1 and one[0].kind is SubjectKind.LOT for one in found.values())
        assert found["7"] == book.stand_ins("7", SubjectKind.LOT)
        assert len({one[0].subject for one in found.values()}) > 1


def test_the_area_says_how_well_two_samples_are_told_apart() -> None:
    assert rank([3, 4], [1, 2]) == 1
    assert rank([1, 2], [1, 2]) == 0.5
    assert rank([1, 3], [2, 4]) == 0.25
