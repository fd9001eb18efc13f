"""Which gateways of other companies have the same page that verifies in a browser: asked once an hour, never twice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from millmark.ledger.errors import StoreError
from millmark.ledger.store import Rows, Store
from millmark.services.check.build import MANIFEST
from millmark.services.directory.repository import DirectoryEntryRow
from millmark.services.gateway.follower import CopiesWatch
from millmark.services.portal.check_page import CheckPage
from millmark.services.serving.logs import build_logger
from millmark.services.serving.partners import UnansweredError
from tests.support.stores import new_store

OWN = b"ab  check.js\ncd  index.html\n"
OWNER = 3


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path) as store:
        yield store


class Gateways:
    """The gateways of other companies: what each serves as its list, None where it is off."""

    def __init__(self, **served: bytes | None) -> None:
        self.served = {f"https://{name}.example": content for name, content in served.items()}
        self.asked: list[str] = []
        self.at_once = self.most_at_once = 0

    async def fetch(self, gateway: str, max_bytes: int) -> bytes:
        self.asked.append(gateway)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        content = self.served.get(gateway)
        if content is None or len(content) > max_bytes:
            raise UnansweredError("no usable answer")
        return content


def watch(store: Store, gateways: Gateways, folder: Path, own: bytes | None = OWN) -> CopiesWatch:
    if own is not None:
        (folder / MANIFEST).write_bytes(own)
    return CopiesWatch(store, CheckPage(folder), OWNER, build_logger(), fetch=gateways.fetch)


def list_companies(store: Store, *gateways: str, first: int = 1) -> None:
    with store.transaction() as connection:
        rows = Rows(connection)
        for number, gateway in enumerate(gateways, first):
            rows.put(DirectoryEntryRow(number, f"company {number}", "", gateway, b"", 0, b""))


def test_only_gateways_with_the_same_list_are_seen(store: Store, tmp_path: Path) -> None:
    names = ("https://same.example", "https://other.example", "https://own.example", "https://off.example", "")
    list_companies(store, *names)
    gateways = Gateways(same=OWN, other=OWN[:-1] + b"!", own=OWN, off=None)
    looking = watch(store, gateways, tmp_path)
    assert looking.seen == frozenset()
    looking.look()
    assert looking.seen == {"https://same.example"}
    assert sorted(gateways.asked) == ["https://off.example", "https://other.example", "https://same.example"]


def test_a_page_that_is_gone_or_another_is_dropped_at_the_next_look(store: Store, tmp_path: Path) -> None:
    list_companies(store, "https://a.example", "https://b.example")
    gateways = Gateways(a=OWN, b=OWN)
    looking = watch(store, gateways, tmp_path)
    looking.look()
    assert looking.seen == {"https://a.example", "https://b.example"}
    gateways.served |= {"https://a.example": None, "https://b.example": OWN + b"ef  more.js\n"}
    looking.look()
    assert looking.seen == frozenset()


def test_without_a_page_of_its_own_a_gateway_asks_nobody(store: Store, tmp_path: Path) -> None:
    list_companies(store, "https://a.example")
    gateways = Gateways(a=OWN)
    looking = watch(store, gateways, tmp_path, own=None)
    looking.look()
    assert (looking.seen, gateways.asked) == (frozenset(), [])


def test_each_gateway_is_asked_at_most_once_an_hour_and_few_at_once(store: Store, tmp_path: Path) -> None:
    list_companies(store, *(f"https://c{number}.example" for number in range(40)), first=10)
    gateways = Gateways()
    looking = watch(store, gateways, tmp_path)
    first = looking._round()
    assert (0 < first < 60, gateways.asked) == (True, []), "others may be starting beside this one"
    assert looking._round() == 3600
    assert len(gateways.asked) == len(set(gateways.asked)) == 40
    assert gateways.most_at_once <= 16


def test_a_database_that_fails_leaves_what_was_seen_and_asks_nobody(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_companies(store, "https://a.example")
    gateways = Gateways(a=OWN)
    looking = watch(store, gateways, tmp_path)
    looking.look()

    def fail() -> None:
        raise StoreError("the database does not answer")

    monkeypatch.setattr(store, "reading", fail)
    with pytest.raises(StoreError):
        looking.look()
    assert looking.seen == {"https://a.example"}
    assert len(gateways.asked) == 1
