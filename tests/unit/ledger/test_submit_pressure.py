"""How much a submitter has open at once, whatever the node hides or refuses, and what it holds the database for."""

from __future__ import annotations

import dataclasses
import random
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.chain import Head, RpcError, find_profile
from millmark.ledger.errors import ChainError, ChainUnreachableError
from millmark.ledger.keys import LocalSigner
from millmark.ledger.signatures import Signature
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.submit import Submitter, tracker
from millmark.ledger.submit.sender import Window
from millmark.ledger.submit.tracker import Spender, find_spender
from tests.support.fake_node import FakeLedger, FakeNode, record_of
from tests.support.ledger_world import LedgerWorld, verify_once

PENDING, RECORDS = 8, 100
PROFILE = dataclasses.replace(find_profile("clique"), finality_depth=3, depth_by_signers=False, bump_percent=0)
SIGNER = LocalSigner.from_bytes(b"\1" * 32)


class _Blind(FakeNode):
    """A node that mines and shows no receipt, as one behind the other nodes at its address."""

    blind = True

    def getTransactionReceipt(self, known: list[Any], name: str) -> Any:  # noqa: N802  # the method's name
        return None if self.blind else super().getTransactionReceipt(known, name)

    def getBlockReceipts(self, known: list[Any], name: str) -> Any:  # noqa: N802
        return None if self.blind else super().getBlockReceipts(known, name)


def _blind_node() -> _Blind:
    return _Blind([SIGNER.address], random.Random(1), lambda *_: None, most=10 * RECORDS)  # noqa: S311  # the same in every run


def _submitter(node: FakeNode, outbox: Outbox) -> Submitter:
    chain = FakeLedger(node, PROFILE)
    return Submitter(chain, outbox, SIGNER, batch_size=1, pending=PENDING, receipt_grace_s=0, resend_s=0)


def test_no_more_transactions_are_open_while_receipts_stay_away(outbox: Outbox) -> None:
    """Their nonces are used, so that nothing of them waits in the node's pool; yet nobody knows what became of them."""
    node = _blind_node()
    submitter = _submitter(node, outbox)
    ids = submitter.submit([(str(number), record_of(number, 0)) for number in range(RECORDS)])
    for _ in range(2 * RECORDS // PENDING):
        with suppress(ChainError):
            submitter.step()
        node.mine(PENDING)
        assert len(outbox.open_transactions(SIGNER.address)) <= PENDING
    node.blind = False
    for _ in range(RECORDS):
        node.mine(PENDING)
        with suppress(ChainError):
            if submitter.step():
                break
    assert {str(record.state) for record in outbox.among(ids).values()} == {"final"}


def test_few_nonces_are_explained_in_a_step_and_each_in_its_turn(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = _blind_node()
    submitter = _submitter(node, outbox)
    submitter.submit([(str(number), record_of(number, 0)) for number in range(PENDING)])
    while len(outbox.open_transactions(SIGNER.address)) < PENDING:
        submitter.step()
    node.mine(PENDING)
    for _ in range(PROFILE.finality_depth):
        node.mine()
    asked: list[int] = []

    def find(node: Any, key: bytes, nonce: int, last: int) -> Spender | None:
        asked.append(nonce)
        return find_spender(node, key, nonce, last)

    monkeypatch.setattr(tracker, "find_spender", find)
    most = 4
    for _ in range(3 * PENDING // most):
        before = len(asked)
        with pytest.raises(ChainUnreachableError, match="is used, and its records wait"):
            submitter.step()
        assert len(asked) - before <= most
    assert set(asked) == set(range(PENDING))


def test_a_full_pool_is_told_with_all_that_is_pending(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with those alone that were just started."""
    told: list[int] = []

    def note(window: Window, head: Head, pending: int) -> None:
        told.append(pending)

    monkeypatch.setattr(Window, "note_full", note)
    node = FakeNode([SIGNER.address], random.Random(1), lambda *_: None, most=6)  # noqa: S311  # the same in every run
    submitter = _submitter(node, outbox)
    submitter.submit([(f"first-{number}", record_of(number, 0)) for number in range(5)])
    while len(node.pool) < 5:
        submitter.step()
    submitter.submit([(f"then-{number}", record_of(10 + number, 0)) for number in range(3)])
    submitter.step()
    assert told == [8]


def test_nothing_is_started_once_a_pool_that_mines_at_once_is_full(world: LedgerWorld, outbox: Outbox) -> None:
    signer = world.admit(outbox)

    def refuse(_: list[Any]) -> Any:
        raise RpcError(-32000, "txpool is full")

    world.line.handlers["eth_sendRawTransaction"] = refuse
    submitter = world.submitter(outbox, signer, batch_size=1)
    submitter.submit(world.lots(3))
    for _ in range(3):
        submitter.step()
        assert len(outbox.open_transactions(signer.address)) == 1


class _Watching:
    """A key that looks, whenever it signs, whether others can write the database."""

    def __init__(self, signer: LocalSigner, database: Path) -> None:
        self._signer, self._database = signer, database
        self.address = signer.address
        self.signed = 0

    def sign_digest(self, digest: bytes) -> Signature:
        with closing(sqlite3.connect(self._database, timeout=0, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        self.signed += 1
        return self._signer.sign_digest(digest)


def test_nothing_is_signed_while_others_wait_for_the_database(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    """A key may be in a device that takes its time, and 64 transactions are signed in a step."""
    signer, before = world.admit(outbox), world.count()
    watching = _Watching(signer, Path(store.url.removeprefix("sqlite:///")))
    submitter = Submitter(world.chain, outbox, watching, batch_size=1, receipt_grace_s=0.2, resend_s=0)
    ids = submitter.submit(world.lots(3))
    submitter.drain()
    assert watching.signed == len(ids)
    verify_once(world, store, signer, ids, before)
