"""A gateway that anchors its audit log on a real chain, is killed, and goes on; and the command that checks the log."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from millmark.ledger.chain import Chain, HttpTransport, write_deployment
from millmark.ledger.index import Follower
from millmark.ledger.keys import create_keystore
from millmark.services.audit.entries import list_files
from millmark.services.store import open_store
from tests.support.audited_world import open_audit_stream, read_anchored, rewrite
from tests.support.command_line import Runner
from tests.support.ledger_world import build_world
from tests.support.patience import MAX_S, wait_until
from tests.support.ports import pick_port
from tests.support.processes import is_healthy, running_devchain, running_gateway

pytestmark = pytest.mark.integration

PASSPHRASE = "of the company's key"


@dataclass(frozen=True)
class Line:
    """A company's home, ready to anchor, and its gateway's address."""

    home: Path
    url: str
    chain: Chain
    stream: bytes

    def anchored(self) -> int:
        """Number of the last entry whose head is anchored."""
        with open_store(f"sqlite:///{self.home / 'millmark.sqlite'}") as store:
            return read_anchored(self.chain, store, self.stream).last


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    port = pick_port()
    with running_devchain() as url, open_store(f"sqlite:///{tmp_path / 'millmark.sqlite'}") as store:
        world = build_world(HttpTransport(url))
        signer, _, stream = open_audit_stream(world, store)
        Follower(world.chain, store).follow()
        write_deployment(tmp_path / "deployment.json", world.chain.deployment)
        create_keystore(tmp_path / "key.json", PASSPHRASE, signer=signer, scrypt_cost=2)
        (tmp_path / "secret").touch(mode=0o600)
        (tmp_path / "secret").write_text(PASSPHRASE)
        (tmp_path / "millmark.toml").write_text(
            f'chain_url = "{url}"\ngateway_port = {port}\ngateway_signer = "keystore:{tmp_path / "key.json"}"\n'
            'gateway_auth = "loopback-open-signing"\n'
            f'gateway_passphrase_file = "secret"\naudit_stream = "0x{stream.hex()}"\naudit_anchor_entries = 1\n'
        )
        yield Line(tmp_path, f"http://127.0.0.1:{port}", world.chain, stream)


def test_killed_between_and_checked_by_command(
    line: Line, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for last in (6, 12):
        with running_gateway(line.home, lambda: is_healthy(line.url)) as process:
            for number in range(6):
                assert httpx.get(f"{line.url}/v1/orders?limit={number + 1}", timeout=MAX_S).status_code == 200
            wait_until(lambda last=last: line.anchored() == last)  # type: ignore[misc]  # bound early
            os.kill(process.pid, signal.SIGKILL)
    run = Runner(line.home, monkeypatch, capsys)
    code, out, _ = run("audit", "verify", "--json")
    assert (code, json.loads(out)["anchored"], json.loads(out)["last"]) == (0, 12, 12)
    assert "entries up to 12 match the heads anchored on the ledger" in run("audit", "verify")[1]

    [path] = list_files(line.home / "audit")
    text = path.read_bytes()
    rewrite(line.home / "audit", lambda entries: entries[8].update(target="/v1/lots"))
    code, err = run.refused("audit", "verify")
    assert (code, "entry 9 of the audit log: its hash differs from the one anchored" in err) == (1, True)
    path.write_bytes(text[: text.rindex(b"\n", 0, -1) + 1])
    assert "entry 12 of the audit log: the entry is missing" in run.refused("audit", "verify")[1]
    path.write_bytes(text)
    assert run("audit", "verify")[0] == 0
    with closing(sqlite3.connect(line.home / "millmark.sqlite")) as connection:
        connection.execute('DELETE FROM evidence WHERE "index" = 0')
        connection.commit()
    assert "restore the latest database backup" in run.refused("audit", "verify")[1]

    settings = (line.home / "millmark.toml").read_text()
    (line.home / "millmark.toml").write_text(settings.replace(line.stream.hex(), "7" * 64))
    code, err = run.refused("gateway")
    assert (code, "audit_stream is not on the ledger" in err) == (2, True)
