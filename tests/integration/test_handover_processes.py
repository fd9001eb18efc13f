"""Two companies with homes, databases and gateways of their own, as processes: an order and a part change hands, one
gateway is killed on the way, and the buyer proves its part while the maker is switched off."""

from __future__ import annotations

import functools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from millmark.ledger.keys import create_keystore
from millmark.services.commands import home as home_commands
from millmark.services.devchain import create_devchain
from tests.integration.test_home import Site, operators_gateway
from tests.support.loopback import serving
from tests.support.patience import wait_until

pytestmark = pytest.mark.integration

PART, ORDER = "https://id.gs1.org/01/09506000134352/21/A1", "urn:example:order-1"
SPECIFICATION = {"specification": {"engraving": "für Mara"}, "price": 120}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Site]:
    """The operator, the maker, who also coordinates, and the buyer; both companies have joined."""
    quick = functools.partial(create_keystore, scrypt_cost=2)  # not a second
    monkeypatch.setattr(home_commands, "create_keystore", quick)
    with serving(create_devchain()) as url:
        made = Site(tmp_path, url, monkeypatch, capsys)
        made.init()
        made.join("alder", "Alder Forge", "--roles=MANUFACTURER,COORDINATOR")
        made.join("nordwind", "Nordwind Mobility", "--roles=BUYER")
        made.ok("operator", "participants", "admit", made.request("alder"), made.request("nordwind"))
        for home in ("alder", "nordwind"):
            made.ok(home, "join")
        with operators_gateway(made):
            for home in ("alder", "nordwind"):
                made.ok(home, "directory", "import")
        yield made


class Gateway:
    """A company's gateway as a process, open to its own machine."""

    def __init__(self, site: Site, home: str) -> None:
        self.site, self.home, self.port = site, home, site.ports[home]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.seen = "no answer"

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "millmark.services.cli",
            "--home",
            str(self.site.folder / self.home),
            "gateway",
        ]
        environment = os.environ | {"MILLMARK_GATEWAY_AUTH": "loopback-open-signing"}
        with (self.site.folder / f"{self.home}.log").open("a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            wait_until(self._answers)
        except AssertionError as error:
            raise AssertionError(f"{self.home} is not ready: {self.seen}") from error

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.site.folder / f"{self.home}.log").read_text()[-2000:]
        try:
            answer = httpx.get(f"{self.url}/ready")
            self.seen = answer.text
            return answer.status_code == 200
        except httpx.HTTPError:
            return False

    def record(self, path: str, **body: Any) -> dict[str, Any]:
        answer = httpx.post(f"{self.url}{path}", json=body, headers={"Idempotency-Key": str(uuid.uuid4())})
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = {}

        def is_final() -> bool:
            found.update(httpx.get(f"{self.url}{answer.headers['location']}").json())
            assert found["state"] != "failed", found
            return bool(found["state"] == "final")

        wait_until(is_final)
        return found

    def received(self) -> list[int]:
        """The senders of what was kept."""
        return [int(sender) for (sender,) in self._rows("SELECT sender FROM handovers_kept")]

    def waiting(self) -> list[str]:
        """Why hand-overs wait that were tried already; empty texts for those that were not."""
        return [str(why) for (why,) in self._rows("SELECT reason FROM handover_deliveries WHERE state = 'waiting'")]

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        # Not by a command, which would take a second each time.
        with closing(sqlite3.connect(self.site.folder / self.home / "millmark.sqlite")) as connection:
            return connection.execute(query).fetchall()


@contextmanager
def gateways(site: Site) -> Iterator[tuple[Gateway, Gateway]]:
    with ExitStack() as stack:
        both = Gateway(site, "alder"), Gateway(site, "nordwind")
        for gateway in both:
            stack.callback(gateway.kill)
            gateway.start()
        yield both


def test_what_the_next_holder_needs_goes_with_the_part(site: Site) -> None:
    with gateways(site) as (maker, buyer):
        _order(maker, buyer)
        _part(maker, buyer)
        _offline(maker, buyer)
        maker.kill()
        _prove(site)


def _order(maker: Gateway, buyer: Gateway) -> None:
    """The coordinator's gateway is down while the order is placed, and gets what it needs when it is back."""
    maker.kill()
    terms = {
        "operations": 1,
        "coordinator": 1,
        "gates": [],
        "due_at": "2031-01-01T00:00:00Z",
        "claims": SPECIFICATION,
    }
    buyer.record("/v1/orders", identifier=ORDER, terms=terms)
    wait_until(lambda: any(buyer.waiting()))
    [listed] = json.loads(buyer.site.ok("nordwind", "handovers", "list", "--waiting", "--json"))["sent"]
    assert (listed["recipient"], listed["state"]) == (1, "waiting")
    assert "no connection to its gateway" in listed["reason"]
    maker.start()
    # None if its own next try came first.
    assert buyer.site.ok("nordwind", "handovers", "retry") in {f"{n} hand-overs are tried again\n" for n in (0, 1)}
    wait_until(lambda: maker.received() == [2] and not buyer.waiting())
    [order] = httpx.get(f"{maker.url}/v1/orders").json()["items"]
    assert order["identifier"] == ORDER


def _part(maker: Gateway, buyer: Gateway) -> None:
    lot = maker.record(
        "/v1/lots/receive", identifier=PART, quantity=1, unit="H87", claims={"passport": {"productName": "hip"}}
    )["subjects"][0]
    offer = maker.record("/v1/custody/offer", lots=[lot], to=2)["sequence"]
    wait_until(lambda: buyer.received() == [1])
    buyer.record("/v1/custody/accept", lots=[lot], offer=offer)
    wait_until(lambda: buyer.received() == [1, 1] and not maker.waiting())


def _prove(site: Site) -> None:
    """All of it from the buyer's own home."""
    trace = json.loads(site.ok("nordwind", "trace", PART, "--json"))
    assert (trace["lot"]["identifier"], trace["lot"]["custodian"]["name"]) == (PART, "Nordwind Mobility")
    code = site.ok("nordwind", "digital-link", PART, "--code")
    assert "salt=" in code
    bundle, trust = str(site.folder / "part.bundle"), str(site.folder / "trust.json")
    site.ok("nordwind", "bundle", PART, "-o", bundle, "--disclose", "names", "--disclose", "/passport")
    site.ok("nordwind", "trust", "-o", trust)
    report = site.ok("nordwind", "verify", bundle, "--trust", trust)
    assert PART in report
    assert "hip" in report
    site.ok("nordwind", "handovers", "bundle", "3", "-o", bundle)
    assert PART in site.ok("nordwind", "verify", bundle, "--trust", trust, "--any-status")


def _offline(maker: Gateway, buyer: Gateway) -> None:
    """The buyer's gateway is down: it gets a file."""
    site, name = maker.site, "urn:example:pallet-7"
    buyer.kill()
    lot = maker.record("/v1/lots/receive", identifier=name, quantity=1, unit="H87")["subjects"][0]
    offer = maker.record("/v1/custody/offer", lots=[lot], to=2)["sequence"]
    file = site.folder / "nordwind.handover"
    said = site.ok("alder", "handovers", "export", str(offer), "-o", str(file))
    assert said.strip().endswith("participant 2 keeps it with: millmark import nordwind.handover")
    said = site.ok("nordwind", "import", str(file))
    assert said.startswith(f"verified and kept: from participant 1, because of record {offer}: 1 names")
    assert site.ok("nordwind", "import", str(file)).strip() == "it was kept before; nothing changed"
    assert "it is for participant 2, not for participant 1" in site.refused("alder", "import", str(file))
    assert json.loads(site.ok("nordwind", "trace", name, "--json"))["lot"]["identifier"] == name
