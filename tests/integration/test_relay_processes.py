"""A node without a chain: it signs, another company's gateway sends. The gateway is killed at its worst moments."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from millmark.ledger.chain import write_deployment
from millmark.ledger.events.certificates import StreamAnchored
from millmark.ledger.index import Follower
from millmark.ledger.keys import create_keystore
from millmark.ledger.store import Store
from millmark.ledger.store.outbox_records import OutboxState
from millmark.services.access import Scope, new_api_key
from tests.support.patience import wait_until
from tests.support.ports import pick_port
from tests.support.processes import NodeSite, build_site, running_devchain, running_node
from tests.support.stores import new_store

PASSPHRASE = "of the relay's key"


@contextmanager
def running_gateway(home: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A gateway of the company at `home`, which relays."""
    command = [sys.executable, "-m", "millmark.services.cli", "--home", str(home), "gateway"]
    command += ["--relay-signer", f"keystore:{home / 'relay.json'}", "--passphrase-file", str(home / "pass")]
    with (home / "gateway.log").open("a") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            wait_until(lambda: process.poll() is None and _listens(port))
            yield process
        finally:
            process.kill()


def _listens(port: int) -> bool:
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NodeSite, Path, int]]:
    """The node's site, the home of the company that relays, and its gateway's port."""
    folder = tmp_path_factory.mktemp("relay")
    home, port = folder / "hub", pick_port()
    home.mkdir()
    (home / "store").mkdir()
    with running_devchain() as url, new_store(home / "store") as store, new_store(folder) as own:
        site = build_site(folder, url, own, 0)
        Follower(site.consortium.chain, store).follow()
        write_deployment(home / "deployment.json", site.consortium.chain.deployment)
        (home / "millmark.toml").write_text(
            f'chain_url = "{url}"\ndatabase = "{store.url}"\ngateway_port = {port}\ngateway_auth = "required"\n'
        )
        create_keystore(home / "relay.json", PASSPHRASE, scrypt_cost=2)
        (home / "pass").touch(mode=0o600)
        (home / "pass").write_text(PASSPHRASE + "\n")
        (site.folder / "relay-token").touch(mode=0o600)
        (site.folder / "relay-token").write_text(_api_key(store, site) + "\n")
        site.write_config()
        text = site.config.read_text().replace(f'url = "{url}"\n', "")
        relay = f'[relay]\nurl = "http://127.0.0.1:{port}"\ntoken_file = "relay-token"\n'
        site.config.write_text(text + relay)
        yield site, home, port


def _api_key(store: Store, site: NodeSite) -> str:
    participant = site.consortium.inspector.number
    wanted = frozenset({Scope.RELAY})
    return new_api_key(store, participant, wanted, "node", now_s=int(time.time()), life_s=86_400)[0]


def test_a_relay_that_dies_loses_nothing_and_doubles_nothing(site: tuple[NodeSite, Path, int]) -> None:
    """Killed between acknowledging requests and sending them, again and again, while a node goes on taking events."""
    where, home, port = site
    events: list[dict[str, object]] = [{"id": f"e{number}", "data": {"force": number}} for number in range(200)]
    with running_node(where.config) as node:
        for place in range(0, 200, 40):
            with running_gateway(home, port) as gateway:
                node.send(events[place : place + 40])
                wait_until(lambda size=place: where.anchored() > size or _has_open(home), 60)  # type: ignore[misc]  # bound early
                gateway.send_signal(signal.SIGKILL)
        with running_gateway(home, port):
            wait_until(node.is_settled, 60)
    chain = where.consortium.chain
    recorded = [one for number in range(chain.head_number() + 1) for one in chain.recorded(chain.header(number))]
    sizes = [
        one.event.size for one in recorded if isinstance(one.event, StreamAnchored) and one.subject == where.stream
    ]
    assert sizes == sorted(set(sizes)), "each anchor once, in order"
    assert where.anchored() == 200
    signer = where.consortium.inspector.signer.address
    keys = {one.key for one in recorded if one.kind == "StreamAnchored" and one.subject == where.stream}
    assert keys == {signer}, "the node's key acts"
    assert chain.forward_nonce(signer) > 0
    states = {state for _, state in _requests(home)}
    assert states == {OutboxState.FINAL}


def test_a_gateway_does_not_relay_with_a_key_that_records(site: tuple[NodeSite, Path, int]) -> None:
    where, home, _ = site
    command = [sys.executable, "-m", "millmark.services.cli", "--home", str(home), "gateway"]
    command += ["--relay-signer", f"keystore:{where.folder / 'key.json'}"]
    command += ["--passphrase-file", str(where.folder / "secret")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    said = done.stderr.splitlines()[-1]
    assert f"the relay's key is a key of participant {where.consortium.inspector.number}" in said


def _has_open(home: Path) -> bool:
    return any(state != OutboxState.FINAL for _, state in _requests(home))


def _requests(home: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(home / "store" / "ledger.db")) as connection:
        query = "SELECT idempotency_key, state FROM outbox_records WHERE contract = 'forwarder'"
        return [(str(key), str(state)) for key, state in connection.execute(query)]
