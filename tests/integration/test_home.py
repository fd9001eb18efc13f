"""Homes made by `init` and `join`, against a real chain: companies join, see each other's names, and lose nothing when a
command is cut off between any two steps."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn

from ledger import keys
from ledger.records import Contract
from ledger.store import Rows
from ledger.store.rows import RecordRow
from services.devchain import create_devchain
from services.gateway import GatewayParts, create_gateway
from services.gateway.http.policy import build_policy
from services.serving.server import listen
from services.settings import read_settings
from services.store import open_store
from tests.support.command_line import Runner
from tests.support.loopback import running, serving
from tests.support.ports import pick_port

pytestmark = pytest.mark.integration


class KilledError(BaseException):
    """Stands for the end of the process: nothing catches it, and open transactions are rolled back."""


@dataclass
class Site:
    """A chain, the operator's home, and commands in any home."""

    folder: Path
    chain: str
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    ports: dict[str, int] = field(default_factory=dict)

    def run(self, home: str, *arguments: str) -> tuple[int, str, str]:
        return Runner(self.folder / home, self.monkeypatch, self.capsys)(*arguments)

    def ok(self, home: str, *arguments: str) -> str:
        code, out, err = self.run(home, *arguments)
        assert code == 0, err
        return out

    def refused(self, home: str, *arguments: str) -> str:
        code, err = Runner(self.folder / home, self.monkeypatch, self.capsys).refused(*arguments)
        assert code in (1, 2)
        return err

    def init(self) -> str:
        self.ports["operator"] = pick_port()
        return self.ok(
            "operator",
            "init",
            "--name=Nordic Castings",
            f"--chain-url={self.chain}",
            f"--port={self.ports['operator']}",
            f"--passphrase-file={self.folder / 'operator.pass'}",
        )

    def join(self, home: str, name: str, *more: str) -> str:
        self.ports[home] = pick_port()
        return self.ok(
            home,
            "join",
            str(self.folder / "operator" / "consortium.json"),
            f"--name={name}",
            "--roles=MANUFACTURER",
            f"--port={self.ports[home]}",
            f"--passphrase-file={self.folder / home / 'passphrase'}",
            *more,
        )

    def request(self, home: str) -> str:
        return str(self.folder / home / "request.json")

    def records(self, home: str, kind: str) -> int:
        """How many records of a kind the index of a home has."""
        with open_store(read_settings(self.folder / home).database_url) as store, store.reading() as connection:
            return len(Rows(connection).find(RecordRow, contract=Contract.REGISTRY.value, kind=kind))

    def settings_text(self, home: str) -> str:
        return (self.folder / home / "millmark.toml").read_text()


@pytest.fixture(scope="module")
def chain() -> Iterator[str]:
    with serving(create_devchain()) as url:
        yield url


@pytest.fixture
def site(tmp_path: Path, chain: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Site:
    monkeypatch.setitem(keys.create_keystore.__kwdefaults__, "scrypt_cost", 2)  # the default takes a second a key
    return Site(tmp_path, chain, monkeypatch, capsys)


@contextmanager
def operators_gateway(site: Site) -> Iterator[None]:
    """Serves what the operator's index has now, at the URL that the companies know."""
    site.run("operator", "status")  # catches up
    port = site.ports["operator"]
    with open_store(read_settings(site.folder / "operator").database_url) as store:
        app = create_gateway(GatewayParts(store, build_policy(port=port)))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        with listen("127.0.0.1", port) as listener, running(server, listener):
            yield


def test_from_empty_folders_to_names(site: Site) -> None:
    told = site.init()
    assert "participants admit" in told
    assert "give alder" not in told
    assert site.join("alder", "Alder Forge", "--gln=4012345000009").count(site.request("alder")) == 2
    site.join("birch", "Birch Müller 铸造")
    assert site.refused("alder", "join").startswith("millmark: the operator has not admitted the key 0x")
    told = site.ok("operator", "participants", "admit", site.request("alder"), site.request("birch"))
    assert re.search(r"^participant 1: Alder Forge, MANUFACTURER, key 0x", told)
    told = site.ok("alder", "join")
    assert "accepted the key: it signs for participant 1" in told
    assert "registered the name key" in told
    assert "gateway_participant = 1\n" in site.settings_text("alder")
    assert "no directory yet" in told  # the operator's gateway does not run
    with operators_gateway(site):
        told = site.ok("alder", "join")
        assert "imported the directory: 2 companies have names" in told
        assert "imported the directory" not in site.ok("alder", "join")  # nothing is done twice
        assert "no directory yet" in site.ok("birch", "join")  # the operator's index does not know its key yet
    with operators_gateway(site):
        assert "imported the directory" in site.ok("birch", "join")
    shown = json.loads(site.ok("birch", "directory", "show", "--json"))
    assert [(one["participant"], one["name"], one["gln"]) for one in shown["entries"]] == [
        (1, "Alder Forge", "4012345000009"),
        (2, "Birch Müller 铸造", None),
    ]
    assert shown["latest"] is True
    assert {one["recipient_key_state"] for one in shown["entries"]} == {"valid"}
    listed = json.loads(site.ok("alder", "participants", "list", "--json"))
    assert [one["name"] for one in listed] == ["Alder Forge", "Birch Müller 铸造"]
    assert (site.records("birch", "ParticipantAdmitted"), site.records("birch", "Published")) == (2, 1)
    assert (site.records("birch", "KeyAdded"), site.records("birch", "NameKeySet")) == (2, 2)
