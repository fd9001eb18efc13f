"""web3.py, which knows nothing of our codec, reads the same from the contracts as we do."""

from __future__ import annotations

from pathlib import Path

import pytest

from millmark.ledger.chain import Node, decode_log
from millmark.ledger.chain.web3py import open_contract
from millmark.ledger.errors import ContractRefusedError
from millmark.ledger.records import Contract
from millmark.ledger.store.outbox import Outbox
from tests.support.ledger_world import build_world
from tests.support.stores import new_store


def test_web3_reads_what_we_read(tmp_path: Path) -> None:
    world = build_world()
    theirs = open_contract(world.line, world.chain.deployment, Contract.LEDGER)
    with new_store(tmp_path) as store:
        signer = world.admit(Outbox(store))
        submitter = world.submitter(Outbox(store), signer)
        submitter.submit(world.lots(3))
        submitter.drain()
    assert theirs.functions.sequence().call() == world.count() == 3
    [sent] = theirs.w3.eth.get_block("latest")["transactions"]
    found = theirs.events.LotReceived().process_receipt(theirs.w3.eth.get_transaction_receipt(sent))  # type: ignore[arg-type]
    receipt = Node(world.line).receipt(bytes(sent))  # type: ignore[arg-type]
    assert receipt is not None
    ours = [decode_log(Contract.LEDGER, log, 0) for log in receipt.logs]
    assert len(ours) == len(found) == 3
    for mine, other in zip(ours, found, strict=True):
        assert mine is not None
        args = other["args"]
        assert (mine.kind, mine.sequence, mine.participant) == (other["event"], args["sequence"], args["participant"])
        assert (mine.subject, "0x" + mine.key.hex()) == (args["subject"], args["key"].lower())
        assert theirs.functions.headOf(mine.subject).call() == world.chain.head(mine.subject)


def test_a_revert_reaches_web3_with_its_data() -> None:
    world = build_world()
    theirs = open_contract(world.line, world.chain.deployment, Contract.REGISTRY)
    with pytest.raises(ContractRefusedError) as ours:
        world.chain.read(Contract.REGISTRY, "actorOf", bytes(20))
    with pytest.raises(Exception, match=r"0x[0-9a-f]{8}"):
        theirs.functions.actorOf("0x" + "00" * 20).call()
    assert ours.value.name == "RegistryKeyUnknown"
