"""A chain that lost final blocks: its records go out again as soon as the operator says so, and none is made twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from millmark.ledger.chain import EmbeddedChain
from millmark.ledger.errors import LedgerSetBackError, NodeBehindError, WrongChainError
from millmark.ledger.index import Follower
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState, outbox_transactions
from millmark.ledger.submit import adopt_records, reopen_records, verify_outbox
from tests.proofs.experiments import count_lots
from tests.support.company_site import Site, open_site
from tests.support.figures import Judge
from tests.support.ledger_world import copy_chain
from tests.support.stores import copy_database, new_store


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    yield from open_site(tmp_path)


def receive(site: Site, name: str) -> dict[str, Any]:
    body = {"identifier": f"urn:example:{name}", "quantity": 1, "unit": "H87", "claims": {"name": name}}
    found: dict[str, Any] = site.post("/v1/lots/receive", body, f"request-{name}").json()
    return found


def set_back(site: Site, earlier: Any) -> None:
    site.world.line.node = earlier
    site.world.__dict__.pop("unfaulty", None)  # a cached connection to the chain as it was


def outgrow(site: Site, store: Store) -> None:
    """Blocks of others, until the chain is longer than what the outbox has seen."""
    while site.world.chain.head_number() <= Outbox(store).seen_block():
        site.world.chain.node.wait(1)


def rebuild(site: Site, store: Store) -> None:
    Follower(site.world.chain, store).rebuild()


def test_final_records_that_the_chain_lost_go_out_again_once(site: Site, judge: Judge) -> None:
    subjects = receive(site, "kept")["subjects"]
    site.send()
    earlier, kept = copy_chain(site.world.line.node), site.world.count()  # type: ignore[arg-type]  # an EmbeddedChain
    for name in ("first", "second", "third"):
        subjects += receive(site, name)["subjects"]
        site.send()
    site.world.transfer(site.signer)  # uses a nonce for nothing that the outbox knows
    subjects += receive(site, "fourth")["subjects"]
    site.send()
    made, outbox, key = site.world.count(), Outbox(site.store), site.signer.address
    set_back(site, earlier)
    assert site.world.count() == kept
    with pytest.raises(NodeBehindError, match="wait until its chain is as long as it was"):
        reopen_records(site.world.chain, site.store, key)
    outgrow(site, site.store)
    with pytest.raises(LedgerSetBackError, match="outbox reopen 0x"):
        verify_outbox(site.world.chain, site.store, key)
    site.start()
    refused = receive(site, "fifth")
    assert (refused["status"], refused["type"]) == (503, "urn:millmark:problem:ledger-set-back")

    rebuild(site, site.store)
    assert reopen_records(site.world.chain, site.store, key) == made - kept
    assert reopen_records(site.world.chain, site.store, key) == 0
    site.send()
    counts = count_lots(site.world.unfaulty, [bytes.fromhex(one[2:]) for one in subjects], 0)
    judge(f"recording refused; {made - kept} records of {made} were lost, and went out again", **counts)
    assert (outbox.counts(), site.world.count()) == ({OutboxState.FINAL: outbox.counts()["final"]}, made)
    again = receive(site, "fifth")
    site.send()
    assert site.caller.ask(f"/v1/records/{again['id']}").json()["state"] == "final"
    assert site.world.count() == made + 1


def test_what_was_taken_in_after_a_backup_is_signed_again(site: Site, tmp_path: Path) -> None:
    earlier = copy_chain(site.world.line.node)  # type: ignore[arg-type]  # an EmbeddedChain
    with new_store(tmp_path, "backup.db") as backup:
        copy_database(site.store, backup)
        receive(site, "later")
        site.send()
        made = site.world.count()
        Follower(site.world.chain, backup).follow()
        assert adopt_records(site.world.chain, backup, site.signer.address).transactions == 1
        set_back(site, earlier)
        old = Site(backup, site.world, site.signer, number=site.number, name_keys=site.name_keys)
        outgrow(old, backup)
        rebuild(old, backup)
        assert reopen_records(site.world.chain, backup, site.signer.address) == 1
        old.send()
        assert site.world.count() == made
        assert Outbox(backup).counts().keys() == {OutboxState.FINAL}


def test_a_block_that_is_there_after_all_makes_nothing_twice(site: Site) -> None:
    """The outbox remembers another hash, as after a chain that was set back and has mined the transaction again."""
    receive(site, "lot")
    site.send()
    made = site.world.count()
    with site.store.transaction() as connection:
        connection.execute(update(outbox_transactions).values(block_hash=b"\1" * 32))
    assert reopen_records(site.world.chain, site.store, site.signer.address) > 0
    site.send()
    assert (site.world.count(), set(Outbox(site.store).counts())) == (made, {"final"})


def test_another_network_is_not_called_a_chain_that_was_set_back(site: Site) -> None:
    receive(site, "lot")
    site.send()
    set_back(site, EmbeddedChain(1_700_000_000))
    outgrow(site, site.store)
    with pytest.raises(WrongChainError):
        verify_outbox(site.world.chain, site.store, site.signer.address)
