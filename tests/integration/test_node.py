"""The node in its own process, before a real devchain in another, with a real HTTP client."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.evidence import LeafKind, build_leaf_data
from ledger.index import Follower
from ledger.keys import LocalSigner, create_keystore
from ledger.merkle import Tree, leaf_hash
from ledger.store import Book, Rows, Store
from ledger.store.rows import AnchorRow, CertificateRow
from services.node.streamlog import StreamLog
from services.store import open_store
from tests.support.loopback import closed_url
from tests.support.node_site import (
    PASSPHRASE,
    TOKEN,
    NodeSite,
    build_site,
    millmark,
    running_devchain,
    running_node,
)
from tests.support.patience import wait_until
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
        wait_until(node.is_settled)
        wait_until(lambda: site.anchored() == len(events) + len(site.lots))  # and a window of each lot
        assert node.send(events)["duplicates"] == len(events)
    assert len(acknowledged) == len(events)
    with _indexed(site, tmp_path) as index, open_store(f"sqlite:///{site.folder}/data/millmark.sqlite") as own:
        with own.reading() as connection:
            log = Book(connection).evidence(site.stream)
        sent = [entry.entry for entry in log.entries if entry.kind is LeafKind.EVENT]
        kept = [str(entry["id"]) for entry in sent]  # type: ignore[index,call-overload]  # entries are JSON
        assert kept == [event["id"] for event in events]
        leaves = [leaf_hash(build_leaf_data(entry.kind, entry.salt, entry.entry)) for entry in log.entries]
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


def test_a_backup_of_a_running_node_goes_on_where_it_was(site: NodeSite, tmp_path: Path) -> None:
    """Restored, the node recognises what it has, and adds to it; with an older database it refuses to submit."""
    site.write_config()
    with running_node(site.config) as node:
        node.send([_event(number, id=f"kept-{number}") for number in range(20)])
        wait_until(node.is_settled)
        size = site.anchored()
        millmark("--config", str(site.config), "backup", str(tmp_path / "first"))
        node.send([_event(0, id="after")])
        wait_until(lambda: site.anchored() == size + 1)
        millmark("--config", str(site.config), "backup", str(tmp_path / "second"))
    data = site.folder / "data"
    data.rename(tmp_path / "old")
    millmark("--config", str(site.config), "restore", str(tmp_path / "first"))
    refused = millmark("--config", str(site.config), fails=True)
    assert f"has {size + 1} entries anchored on the ledger but {size} in the outbox" in refused
    data.rename(tmp_path / "older")
    assert f"stream bench: {size + 1} entries" in millmark(
        "--config", str(site.config), "restore", str(tmp_path / "second")
    )
    with running_node(site.config) as node:
        assert node.send([_event(0, id="after")])["duplicates"] == 1
        node.send([_event(0, id="later")])
        wait_until(lambda: site.anchored() == size + 2)


def test_a_log_that_is_not_the_anchored_one_is_refused(site: NodeSite, tmp_path: Path) -> None:
    site.write_config()
    with running_node(site.config) as node:
        node.send([_event(0, id="one more")])
        wait_until(node.is_settled)
    path = site.folder / "data" / "streams" / "bench" / "log"
    whole = path.read_bytes()
    forged = StreamLog(tmp_path / "log", site.stream)
    original = StreamLog(path, site.stream)
    for frame in original.frames(original.start):
        forged.append([entry._replace(salt=bytes(32)) for entry in frame.entries])
    path.write_bytes((tmp_path / "log").read_bytes())
    try:
        assert "differ from those anchored on the ledger" in millmark("--config", str(site.config), fails=True)
    finally:
        path.write_bytes(whole)


def test_a_node_of_another_chain_or_with_a_foreign_key_does_not_start(site: NodeSite, tmp_path: Path) -> None:
    site.write_config()
    text = site.config.read_text()
    other = tmp_path / "deployment.json"
    other.write_text((site.folder / "deployment.json").read_text().replace('"chain_id": ', '"chain_id": 7'))
    site.config.write_text(text.replace("[chain]\n", f'[chain]\ndeployment = "{other}"\n'))
    assert "the node serves chain" in millmark("--config", str(site.config), fails=True)
    create_keystore(tmp_path / "foreign.json", PASSPHRASE, signer=site.consortium.makers[0].signer, scrypt_cost=2)
    site.config.write_text(text.replace(str(site.folder / "key.json"), str(tmp_path / "foreign.json")))
    assert "belongs to participant 6, but the key acts for 3" in millmark("--config", str(site.config), fails=True)
    create_keystore(tmp_path / "nobody.json", PASSPHRASE, signer=LocalSigner.generate(), scrypt_cost=2)
    site.config.write_text(text.replace(str(site.folder / "key.json"), str(tmp_path / "nobody.json")))
    assert "acts for no participant" in millmark("--config", str(site.config), fails=True)


def test_what_comes_while_the_chain_is_away_is_recorded_when_it_is_back(site: NodeSite) -> None:
    site.write_config()
    text = site.config.read_text()
    before = site.anchored()
    site.config.write_text(text.replace(site.url, closed_url()))
    with running_node(site.config) as node:
        node.send([_event(number, id=f"offline-{number}") for number in range(120)])
        wait_until(lambda: node.client.get("/ready").json()["streams"][0]["anchored"] == before + 120)
        told = node.client.get("/ready").json()
        assert (told["status"], told["chain_connected"]) == ("ready", False)
        assert told["troubles"][0]["code"] == "chain-unreachable"
    status = millmark("--config", str(site.config), "status")
    assert "node not running" in status
    assert "3 records queued" in status
    site.config.write_text(text)
    with running_node(site.config):
        wait_until(lambda: site.anchored() == before + 120)
