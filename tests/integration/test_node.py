"""The node in its own process, before a real devchain in another, with a real HTTP client."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.evidence import build_leaf_data
from ledger.index import Follower
from ledger.merkle import Tree, leaf_hash
from ledger.store import Book, Rows, Store, open_store
from ledger.store.rows import AnchorRow, CertificateRow
from tests.support.node_site import PASSPHRASE, TOKEN, NodeSite, await_that, build_site, running_devchain, running_node
from tests.support.stores import new_store

pytestmark = pytest.mark.integration

LIVES = 5
WIDTH = 500
MODEL = f"""
[model]
file = "{Path(__file__).parents[2] / "quality/models/forda.bin"}"
number = {{number}}
field = "samples"
width = {WIDTH}
hop = {WIDTH}
stream = "bench"
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeSite]:
    folder = tmp_path_factory.mktemp("site")
    with running_devchain() as url, new_store(folder) as store:
        yield build_site(folder, url, store, lots=3)


def _event(number: int, **members: object) -> dict[str, object]:
    return {"id": f"event-{number}", "data": {"force_n": number}, **members}


def _window(seed: int) -> list[int]:
    chance = random.Random(seed)  # noqa: S311 - a replay needs a seed, not secrecy
    return [chance.randint(-2_000_000, 2_000_000) for _ in range(WIDTH)]


def _indexed(site: NodeSite, folder: Path) -> Store:
    store = open_store(f"sqlite:///{folder / 'index.sqlite'}")
    Follower(site.consortium.chain, store).follow()
    return store


def test_what_is_acknowledged_comes_to_the_ledger_whatever_kills_the_node(site: NodeSite, tmp_path: Path) -> None:
    """Lives that end by SIGKILL at random moments; the sender sends again what was not acknowledged."""
    chance = random.Random(11)  # noqa: S311 - as above
    more = MODEL.format(number=site.plant.model)
    site.write_config(more=more, record='record = "certificates"', anchor="count = 7\nseconds = 0.3")
    events = [_event(number) for number in range(60)]
    for place, lot in enumerate(site.lots):
        named = {"lot": "0x" + lot.hex(), "data": {"samples": _window(place)}}
        events.insert(5 + 20 * place, {"id": f"part-{place}", **named})
    acknowledged: set[str] = set()
    for _ in range(LIVES):
        with running_node(site.config) as node:
            for event in events[len(acknowledged) :][: chance.randint(1, len(events) // LIVES)]:
                node.send([event])
                acknowledged.add(str(event["id"]))
            time.sleep(chance.random() * 0.5)
            node.kill()
    with running_node(site.config) as node:
        acknowledged.update(str(event["id"]) for event in events[len(acknowledged) :] if node.send([event]))
        await_that(lambda: node.client.get("/ready").json()["outbox"]["oldest_waiting"] is None)
        await_that(lambda: site.anchored() == len(events))
        assert node.send(events)["duplicates"] == len(events)
    assert len(acknowledged) == len(events)
    with _indexed(site, tmp_path) as index, open_store(f"sqlite:///{site.folder}/data/millmark.sqlite") as own:
        with own.reading() as connection:
            log = Book(connection).evidence(site.stream)
        kept = [str(entry.entry["id"]) for entry in log.entries]  # type: ignore[index,call-overload]
        assert kept == [event["id"] for event in events]
        leaves = [leaf_hash(build_leaf_data(entry.salt, entry.entry)) for entry in log.entries]
        with index.reading() as connection:
            rows = Rows(connection)
            anchors, certificates = rows.find(AnchorRow, stream=site.stream), rows.find(CertificateRow)
        assert [row.root for row in anchors] == [Tree(leaves[: row.size]).root() for row in anchors]
        mine = [row for row in certificates if row.stream == site.stream]
        assert [row.lot for row in mine] == site.lots
        for row in mine:
            assert leaves[row.leaf_index] == row.leaf_hash
            with own.reading() as connection:
                assert Book(connection).inference(row.sequence) is not None
    told = (site.folder / "node.log").read_text()
    assert TOKEN not in told
    assert PASSPHRASE not in told
    assert "Traceback" not in told
