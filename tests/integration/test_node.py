"""The node in its own process, before a real devchain in another, with a real HTTP client."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from millmark.ledger.evidence import LeafKind, build_leaf_data
from millmark.ledger.index import Follower
from millmark.ledger.keys import LocalSigner, create_keystore, open_signer
from millmark.ledger.merkle import Tree, leaf_hash
from millmark.ledger.records import Anchor
from millmark.ledger.store import Book, Rows, Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.rows import AnchorRow, CertificateRow, EvidenceRow
from millmark.ledger.submit import build_entry
from millmark.services.node.agent import Agent, open_agent
from millmark.services.node.config import read_config
from millmark.services.node.events import parse_event
from millmark.services.node.streamlog import StreamLog
from millmark.services.serving.logs import STANDARD_ERROR, build_logger
from millmark.services.store import open_store
from tests.support.broken_log import dead_standard_error
from tests.support.figures import Judge
from tests.support.loopback import closed_url
from tests.support.patience import MAX_S, wait_until
from tests.support.processes import PASSPHRASE, TOKEN, NodeSite, build_site, millmark, running_devchain, running_node
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
        made = build_site(folder, url, store, lots=3)
        made.evidence.mkdir()
        yield made


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
    own_url = f"sqlite:///{site.folder}/data/millmark.sqlite"
    with _indexed(site, tmp_path) as index, open_store(own_url, site.evidence) as own:
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
    assert "is not empty" in millmark("--config", str(site.config), "restore", str(tmp_path / "first"), fails=True)
    site.evidence.rename(tmp_path / "old evidence")
    text = site.config.read_text()
    site.config.write_text(text.replace('evidence_folder = "evidence"\n', ""))
    assert "has files of evidence; set evidence_folder" in millmark(
        "--config", str(site.config), "restore", str(tmp_path / "first"), fails=True
    )
    site.config.write_text(text)
    (site.evidence / "lost+found").mkdir(parents=True)  # as a disk that is mounted for it
    millmark("--config", str(site.config), "restore", str(tmp_path / "first"))
    refused = millmark("--config", str(site.config), fails=True)
    assert f"has {size + 1} entries anchored on the ledger but {size} in the outbox" in refused
    data.rename(tmp_path / "older")
    site.evidence.rename(tmp_path / "older evidence")
    assert f"stream bench: {size + 1} entries" in millmark(
        "--config", str(site.config), "restore", str(tmp_path / "second")
    )
    with running_node(site.config) as node:
        assert node.send([_event(0, id="after")])["duplicates"] == 1
        node.send([_event(0, id="later")])
        wait_until(lambda: site.anchored() == size + 2)
    with open_store(f"sqlite:///{data}/millmark.sqlite", site.evidence) as store, store.reading() as connection:
        assert len(Book(connection).evidence(site.stream).entries) == size + 2
        assert {bool(row.file) for row in Rows(connection).find(EvidenceRow, stream=site.stream)} == {True}


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
        wait_until(lambda: node.client.get("/ready").json()["streams"][0]["queued"] == before + 120)
        told = node.client.get("/ready").json()
        assert told["streams"][0]["anchored"] == before, "what is queued is not anchored"
        assert (told["status"], told["chain_connected"]) == ("ready", False)
        assert (told["status"], told["troubles"]) == ("ready", [])
        assert told["alarms"][0]["code"] == "chain-unreachable"
    status = millmark("--config", str(site.config), "status")
    assert "node not running" in status
    assert "3 records queued" in status
    site.config.write_text(text)
    with running_node(site.config):
        wait_until(lambda: site.anchored() == before + 120)


@contextmanager
def _agent(config: Path) -> Iterator[Agent]:
    """The node in this process, without its HTTP server."""
    with open_agent(read_config(config), build_logger()) as opened:
        yield opened


def _take(agent: Agent, *names: str) -> None:
    for name in names:  # one by one, so that each has its anchor
        events = [agent.intake.check(parse_event(json.dumps({"id": name, "data": {}}).encode()))[1]]
        assert agent.intake.submit("bench", events).result(MAX_S).accepted == 1


def _is_recorded(agent: Agent) -> bool:
    [stream] = agent.health().streams
    return stream.anchored == stream.queued == stream.entries


def test_a_dead_log_reader_stops_no_recording(site: NodeSite, judge: Judge) -> None:
    """Each anchor logs a line, right after it is queued."""
    site.write_config(anchor="count = 1\nseconds = 0.1")
    before = STANDARD_ERROR.lost
    with dead_standard_error(), _agent(site.config) as agent:
        _take(agent, *(f"unread-{number}" for number in range(5)))
        wait_until(lambda: _is_recorded(agent))
        health = agent.health()
        stream, told = health.streams[0], [one.code for one in health.alarms]
        lost, surplus = max(0, stream.entries - site.anchored()), max(0, site.anchored() - stream.entries)
        judge(f"all anchored, {' '.join(told)}", acknowledged=5, lost=lost, doubled=0, made_up=surplus, failed=0)
        assert (health.ready, told) == (True, ["log-lost"])
    assert STANDARD_ERROR.lost - before >= 5


def test_copies_of_a_nodes_folder_are_told_within_one_anchor(site: NodeSite, judge: Judge) -> None:
    """Two machines with the same key and stream. Whoever finds the other's anchor stops before its own."""
    site.write_config(anchor="count = 1\nseconds = 0.1")
    with _agent(site.config) as agent:
        _take(agent, "both")
        wait_until(lambda: _is_recorded(agent))
    copied = site.folder / "copied.toml"
    copied.write_text(site.config.read_text().replace('data_folder = "data"', 'data_folder = "copy"'))
    shutil.copytree(site.folder / "data", site.folder / "copy")
    (site.folder / "copy").chmod(0o700)
    with _agent(site.config) as one, _agent(copied) as other:
        wait_until(lambda: one.health().chain_connected and other.health().chain_connected)
        _take(one, "one-1", "one-2")
        wait_until(lambda: _is_recorded(one))
        _take(other, "other-1", "other-2", "other-3")
        wait_until(lambda: not other.health().ready)
        health = other.health()
        [trouble] = health.troubles
        judge(f"not ready, {trouble.code}, before its first anchor; the other goes on")
        assert trouble.code in ("store-damaged", "settings-refused")
        assert "another node anchors this stream" in trouble.cause
        assert health.streams[0].anchored < health.streams[0].entries
        _take(one, "one-3")
        wait_until(lambda: _is_recorded(one))
        assert one.health().ready, "it is right, and goes on"
    shutil.rmtree(site.folder / "copy")


def test_a_record_that_fails_is_told_until_somebody_deals_with_it(
    site: NodeSite, capfd: pytest.CaptureFixture[str]
) -> None:
    site.write_config(anchor="count = 1\nseconds = 0.1")
    with _agent(site.config) as agent:
        _take(agent, "before it")
        wait_until(lambda: _is_recorded(agent))
        anchored = agent.health().streams[0].anchored
        signer = open_signer(f"keystore:{site.folder / 'key.json'}", passphrase_file=site.folder / "secret")
        smaller = Anchor(site.stream, anchored - 1, bytes(32))
        with open_store(f"sqlite:///{site.folder}/data/millmark.sqlite") as store:
            outbox = Outbox(store)
            outbox.enqueue(signer.address, [build_entry("node/anchor/smaller", smaller)])
            wait_until(lambda: not agent.health().ready)
            [trouble] = agent.health().troubles
            assert (trouble.where, trouble.code) == ("outbox", "record-failed")
            assert trouble.cause.startswith("1 record failed; the first was of kind Anchor, with EvidenceSizeNotGrown")
            shown = generate_latest(agent.metrics.registry).decode()
            assert 'millmark_node_failed_records_total{kind="Anchor"} 1.0' in shown
            assert 'millmark_node_troubles{code="record-failed",where="outbox"} 1.0' in shown
            assert "millmark_node_ready 0.0" in shown
            assert _is_recorded(agent), "the failed one anchors nothing"
            outbox.cancel(["node/anchor/smaller"])
            wait_until(lambda: agent.health().ready)
    told = [json.loads(line) for line in capfd.readouterr().err.splitlines() if "record failed" in line]
    assert [(one["level"], one["record"], one["kind"]) for one in told] == [("error", "node/anchor/smaller", "Anchor")]
