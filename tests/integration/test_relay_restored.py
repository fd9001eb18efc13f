"""A relay whose database was restored from an older backup: it takes nothing in, says so, and its clients go on after
it has taken in what it sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from millmark.ledger.canonical import sha256
from millmark.ledger.errors import ChainUnreachableError, OutboxOlderError
from millmark.ledger.forward_requests import SignedRequest
from millmark.ledger.ids import SubjectKind, subject
from millmark.ledger.index import Follower
from millmark.ledger.records import ReceiveLot
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.submit import adopt_records, verify_outbox
from tests.proofs.experiments import count_lots
from tests.support.figures import Judge
from tests.support.gateway_client import running
from tests.support.ledger_world import NOTHING
from tests.support.patience import wait_until
from tests.support.relay_world import RelayWorld, open_relay_world
from tests.support.stores import copy_database, new_store

WAITING = "waits in the backup"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[RelayWorld]:
    with open_relay_world(tmp_path) as opened:
        yield opened


def lot(name: str) -> ReceiveLot:
    return ReceiveLot(sha256(name.encode()), 5, b"H87", NOTHING)


def hand_in(world: RelayWorld, signed: SignedRequest) -> str:
    world.relay().send(signed.to_bytes())
    return state(world, signed)


def state(world: RelayWorld, signed: SignedRequest) -> str:
    outcome = world.relay().look(signed.request.digest)
    return "unknown" if outcome is None else outcome.state


def index(world: RelayWorld) -> None:
    Follower(world.world.chain, world.store).follow()


def restore(world: RelayWorld, backup: Store) -> None:
    world.store = backup
    world.restart_relay()


def test_a_relays_clients_go_on_after_its_older_backup_was_restored(
    world: RelayWorld, tmp_path: Path, judge: Judge
) -> None:
    hand_in(world, world.request(lot("final")))
    world.gateway_relay.step()
    sent = world.request(lot(WAITING))
    assert hand_in(world, sent) == OutboxState.QUEUED
    with new_store(tmp_path, "backup.db") as backup:
        copy_database(world.store, backup)
        world.gateway_relay.step()
        factory = world.submitter()
        factory.submit([(f"later-{number}", lot(f"later-{number}")) for number in range(3)])
        assert not factory.step(), "handed in"
        world.gateway_relay.step()
        made = world.world.count()
        restore(world, backup)
        factory = world.submitter()
        # Until the index is up to date, nobody can say whether the outbox is older: neither yes nor no is told.
        with pytest.raises(ChainUnreachableError, match="is being compared"):
            state(world, sent)
        index(world)
        for ask in (lambda: state(world, sent), lambda: hand_in(world, sent), lambda: factory.step()):
            with pytest.raises(ChainUnreachableError, match="the outbox is older than the ledger"):
                ask()
        with pytest.raises(OutboxOlderError, match="relayed records that it does not know") as refused:
            world.gateway_relay.step()
        assert f"outbox adopt --relay 0x{world.relayer.address.hex()}" in str(refused.value.hint)
        assert Outbox(backup).counts().get(OutboxState.FAILED, 0) == 0, "nothing is called failed"

        adopted = adopt_records(world.world.chain, backup, world.relayer.address, relay=True)
        assert (adopted.transactions, adopted.waiting, adopted.unknown) == (2, 1, 1)
        assert adopt_records(world.world.chain, backup, world.relayer.address, relay=True).transactions == 0
        assert state(world, sent) == OutboxState.FINAL
        world.settle(factory)
        assert {one.state for one in Outbox(world.own).page(None, 3, None)} == {OutboxState.FINAL}
        names = ("final", WAITING, *(f"later-{number}" for number in range(3)))
        owner = world.participant(world.factory)
        subjects = [subject(SubjectKind.LOT, owner, lot(name).identifier_hash) for name in names]
        failed = sum(Outbox(one).counts().get(OutboxState.FAILED, 0) for one in (backup, world.own))
        judge("refused and told; after `adopt` all are final", **count_lots(world.world.chain, subjects, 0, failed))
        assert world.world.count() == made, "nothing was made twice"
        assert hand_in(world, world.request(lot("fresh"))) == OutboxState.QUEUED
        world.gateway_relay.step()
        assert world.world.count() == made + 1


def test_an_older_relay_says_so_while_it_runs(world: RelayWorld, tmp_path: Path) -> None:
    with new_store(tmp_path, "backup.db") as backup:
        hand_in(world, world.request(lot("before")))
        world.gateway_relay.step()
        copy_database(world.store, backup)
        hand_in(world, world.request(lot("after")))
        world.gateway_relay.step()
        restore(world, backup)
        index(world)
        with running(world.caller.app) as caller:

            def troubles() -> list[dict[str, str]]:
                found: list[dict[str, str]] = caller.ask("/ready", Host="gateway.example").json()["troubles"]
                return [one for one in found if one["code"] != "starting"]

            wait_until(lambda: bool(troubles()))
            [trouble] = troubles()
        assert (trouble["where"], trouble["code"]) == ("millmark-relay", OutboxOlderError.code)
        assert f"`millmark outbox adopt --relay 0x{world.relayer.address.hex()}`" in trouble["hint"]


def test_a_relay_that_is_current_stays_so(world: RelayWorld) -> None:
    """Others make records too, which are none of its business."""
    hand_in(world, world.request(lot("one")))
    world.gateway_relay.step()
    index(world)
    chain, key = world.world.chain, world.relayer.address
    assert verify_outbox(chain, world.store, key, relay=True)
    world.world.transfer(world.relayer)  # so that the chain has counted a nonce that the outbox did not allocate
    other = world.world.submitter(Outbox(world.own), world.stranger)
    other.submit([("other", lot("other"))])
    other.drain()
    assert not verify_outbox(chain, world.store, key, relay=True), "undecided: the index has to follow"
    index(world)
    assert verify_outbox(chain, world.store, key, relay=True)
