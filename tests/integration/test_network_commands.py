"""Commands and submitters behind a real connection, whose node stands, is cut off, behind, or of another network."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from millmark.ledger.chain import Chain, EmbeddedChain, HttpTransport, Node, write_deployment
from millmark.ledger.errors import ChainUnreachableError, WrongChainError
from millmark.ledger.index import Follower
from millmark.ledger.records import Contract
from millmark.ledger.store import open_store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.submit import Submitter
from millmark.services.cli import app
from millmark.services.devchain import create_devchain
from millmark.services.text.chain_health import STANDS_REMEDY
from tests.faults.proxy import FaultProxy, fault_proxy
from tests.support.ledger_world import LedgerWorld, build_world, copy_chain, results, verify_once
from tests.support.loopback import serving
from tests.support.stores import new_store

pytestmark = pytest.mark.integration


@dataclass
class Site:
    """A home whose node is reached through a proxy, on an engine with blocks that come by themselves."""

    home: Path
    world: LedgerWorld
    proxy: FaultProxy
    url: str

    def status(self, *options: str) -> Result:
        return CliRunner().invoke(app, ["--home", str(self.home), "status", *options])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    world = build_world()
    with serving(create_devchain(world.line)) as upstream, fault_proxy(upstream, None) as (proxy, url):
        (tmp_path / "millmark.toml").write_text(f'chain_url = "{url}"\nengine = "clique"\n')
        write_deployment(tmp_path / "deployment.json", world.chain.deployment)
        yield Site(tmp_path, world, proxy, url)


def later(monkeypatch: pytest.MonkeyPatch, site: Site, seconds: int) -> None:
    """This machine's clock shows that the latest block is that old."""
    now_s = site.world.chain.node.header().timestamp + seconds
    monkeypatch.setattr(time, "time", lambda: float(now_s))


def test_a_chain_that_stands_is_told_in_words_and_by_the_exit_code(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a transaction under way, too."""
    site.world.line.handlers["net_peerCount"] = lambda _: "0x2"
    later(monkeypatch, site, 5)
    done = site.status()
    assert (done.exit_code, "index equals chain" in done.stdout) == (0, True)
    later(monkeypatch, site, 41)
    done = site.status()
    assert done.exit_code == 3
    assert (
        "\nno block for 41 s: the chain stands, or this node is cut off from its validators (net_peerCount 2); "
        f"{STANDS_REMEDY}\nindex equals this node's state\n"
    ) in done.stdout


def test_a_node_that_is_behind_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its state differs from the index, and that is not the index's fault."""
    real = site.world.line.node
    assert isinstance(real, EmbeddedChain)
    old = copy_chain(real)
    real.request("evm_mine", [])
    with open_store(f"sqlite:///{site.home / 'millmark.sqlite'}") as store:
        Follower(site.world.chain, store).follow()
    site.world.line.node = old
    later(monkeypatch, site, 5)
    done = site.status()
    assert done.exit_code == 3
    assert re.search(r"\nthis node is behind: its latest block is 6, block 7 is known\nindex \w+", done.stdout)


def test_a_node_without_the_ledgers_block_is_told_at_once(site: Site) -> None:
    """The node is asked once: the second look used to take as long as the first."""
    created = hex(site.world.chain.deployment.created_number)

    def lack(params: list[Any]) -> Any:
        return None if params[0] == created else site.world.line.node.request("eth_getBlockByNumber", params)

    site.world.line.handlers["eth_getBlockByNumber"] = lack
    site.world.line.passed.clear()
    done = site.status()
    assert (done.exit_code, "the node is not in sync: its latest block is 6" in done.stdout) == (3, True)
    assert site.world.line.passed.count("eth_chainId") == 1


def test_a_chain_that_is_followed_and_then_gives_no_answer_is_no_success(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Chain, __: Contract) -> int:
        raise ChainUnreachableError("the node does not answer", hint="try again")

    monkeypatch.setattr(Chain, "sequence", fail)
    done = site.status()
    assert (done.exit_code, "the node does not answer" in done.stdout) == (1, True)


def test_another_node_behind_the_same_address_is_noticed_by_everybody(site: Site, tmp_path: Path) -> None:
    """Nothing fails on the line: the proxy leads to another network from one request to the next."""
    world, profile = site.world, dataclasses.replace(site.world.chain.profile, timed_blocks=True)
    with new_store(tmp_path, "submitter.db") as store:
        outbox = Outbox(store)
        signer, before = world.admit(outbox), world.count()
        chain = Chain(Node(HttpTransport(site.url)), profile, world.chain.deployment)
        submitter = Submitter(chain, outbox, signer, resend_s=0.1)
        ids = submitter.submit(world.lots(1))
        submitter.drain()
        ids += submitter.submit(world.lots(2))
        upstream = site.proxy.upstream
        with serving(create_devchain(EmbeddedChain(1_700_000_000))) as foreign:
            site.proxy.upstream = foreign
            with pytest.raises(WrongChainError, match="the node serves the chain with genesis block"):
                submitter.drain()
            refused = site.status()
            assert isinstance(refused.exception, WrongChainError)
            site.proxy.upstream = upstream
        assert {record.state.value for record in results(outbox, ids[1:])} == {"queued"}
        submitter.drain()
        verify_once(world, store, signer, ids, before)
