"""What the answers about a transaction's versions come to, and when a nonce counts as used for good."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from millmark.ledger.chain import Chain, Receipt
from millmark.ledger.errors import ChainError, ChainUnreachableError
from millmark.ledger.keys import LocalSigner
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState, SentTransaction, Version
from millmark.ledger.store.outbox_writer import OutboxWriter
from millmark.ledger.submit import Submitter
from millmark.ledger.submit import tracker as tracker_module
from millmark.ledger.submit.batches import Batches
from millmark.ledger.submit.sender import Sender, ignore
from millmark.ledger.submit.tracker import Tracker
from tests.support.ledger_world import LedgerWorld, results, transactions, verify_final

KEY = b"\x01" * 20
CURRENT, BEFORE = b"\xc0" * 32, b"\xb0" * 32
"""Hashes of a transaction's two versions."""
TROUBLE = ChainUnreachableError("the node does not answer", hint="try again")


class Answering:
    """A node that has an answer for each hash; in place of a chain, since nothing else of it is asked."""

    def __init__(self, answers: dict[bytes, Receipt | ChainError | None]) -> None:
        self.answers = answers

    @property
    def node(self) -> Answering:
        return self

    def find_receipts(self, hashes: Sequence[bytes]) -> list[Receipt | ChainError | None]:
        return [self.answers[one] for one in hashes]


def receipt(of: bytes) -> Receipt:
    return Receipt(of, True, 7, b"\x07" * 32, 60_000, None, ())


def sent() -> SentTransaction:
    return SentTransaction(
        id=5,
        signer=KEY,
        nonce=3,
        recipient=KEY,
        data=b"",
        gas_limit=60_000,
        max_fee_wei=None,
        priority_fee_wei=None,
        noop=True,
        raw=b"raw",
        hash=CURRENT,
        state=OutboxState.SENT,
        block_number=None,
        block_hash=None,
        gas_used=None,
        records=(),
        replaced=(Version(BEFORE, noop=False),),
    )


@pytest.mark.parametrize(
    ("current", "before", "found", "trouble"),
    [
        (None, None, {5: None}, None),
        (receipt(CURRENT), None, {5: (receipt(CURRENT), True)}, None),
        (None, receipt(BEFORE), {5: (receipt(BEFORE), False)}, None),
        (TROUBLE, receipt(BEFORE), {5: (receipt(BEFORE), False)}, TROUBLE),
        (receipt(CURRENT), TROUBLE, {5: (receipt(CURRENT), True)}, TROUBLE),
        (TROUBLE, None, {}, TROUBLE),
        (None, TROUBLE, {}, TROUBLE),
        (TROUBLE, TROUBLE, {}, TROUBLE),
    ],
    ids=["none", "current", "before", "failed, before", "current, failed", "failed, none", "none, failed", "failed"],
)
def test_a_transaction_is_in_no_block_only_if_the_node_says_so_of_each_version(
    current: Receipt | ChainError | None,
    before: Receipt | ChainError | None,
    found: dict[int, object],
    trouble: ChainError | None,
) -> None:
    chain = cast("Chain", Answering({CURRENT: current, BEFORE: before}))
    tracker = Tracker(chain, KEY, cast("Batches", None), cast("Sender", None), 0.0, ignore)
    assert tracker._find_receipts([sent()]) == found
    assert tracker.trouble is trouble


def tracker() -> Tracker:
    """One that knows something of the open transaction 5, and of 6, which another submitter has settled."""
    made = Tracker(cast("Chain", None), KEY, cast("Batches", None), cast("Sender", None), 0.0, ignore)
    made._missing_since = {5: 1.0, 6: 1.0}
    made._seen_at = {5: bytes(32), 6: bytes(32)}
    made._unexplained = {5: TROUBLE, 6: TROUBLE}
    made._unsettled = {5}
    return made


def test_with_each_step_what_is_open_no_more_is_forgotten() -> None:
    found = tracker()
    found.begin([sent()])
    assert [set(one) for one in (found._missing_since, found._seen_at, found._unexplained)] == [{5}] * 3
    assert (found.trouble, found.unsettled) == (TROUBLE, 0)


def test_a_transaction_that_was_found_is_missing_no_more() -> None:
    """Should it be missing again, its time begins anew. Of a transfer, nothing is stored before its block is final."""
    found = tracker()
    found._settle_found(cast("OutboxWriter", None), sent(), receipt(CURRENT), noop=True)
    assert [set(one) for one in (found._missing_since, found._unexplained, found._unsettled)] == [{6}, {6}, set()]


@pytest.mark.parametrize("depth", [1, 10**6], ids=["latest", "none is final"])
def test_where_blocks_may_be_replaced_a_nonce_in_the_latest_one_is_not_used_for_good(
    world: LedgerWorld, outbox: Outbox, depth: int
) -> None:
    """What used it is looked for only once no other block can: until then its receipt may still appear."""
    signer = world.admit(outbox)
    submitter = Submitter(world.chain_with(finality_depth=depth), outbox, signer, receipt_grace_s=0, resend_s=0)
    ids = submitter.submit(world.lots(1))
    world.line.handlers["eth_getTransactionReceipt"] = lambda _: None
    for _ in range(3):
        submitter.step()
    assert {record.state for record in results(outbox, ids)} == {OutboxState.SENT}
    world.line.handlers.clear()
    world.fund(LocalSigner.generate())
    world.submitter(outbox, signer).drain()
    verify_final(outbox, ids)


def test_the_time_for_a_receipt_begins_anew_when_no_final_block_uses_the_nonce_any_more(
    world: LedgerWorld, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, grace_s, used = [100.0], 10.0, [1]
    monkeypatch.setattr(tracker_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    signer = world.admit(outbox)
    submitter = Submitter(world.chain_with(finality_depth=2), outbox, signer, receipt_grace_s=grace_s, resend_s=3600)
    world.line.hold_transactions()
    submitter.submit(world.lots(1))
    submitter.step()
    world.line.handlers["eth_getTransactionCount"] = lambda params: hex(
        1 if params[1] in ("latest", "pending") else used[0]
    )
    for elapsed_s, used[0] in ((0.0, 1), (grace_s - 1, 0), (0.5, 1), (grace_s - 0.5, 1)):
        now[0] += elapsed_s
        submitter.step()
    now[0] += 0.5
    with pytest.raises(ChainUnreachableError, match="is used, and its records wait"):
        submitter.step()


def test_once_it_is_known_what_used_a_nonce_nothing_waits(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    signer = world.admit(outbox)
    submitter = Submitter(world.chain, outbox, signer, receipt_grace_s=0, resend_s=3600)
    world.line.hold_transactions()
    submitter.submit(world.lots(1))
    submitter.step()
    world.line.handlers.clear()
    world.transfer(signer)
    world.line.handlers["eth_getTransactionCount"] = lambda params: "0x1" if params[1] == "latest" else "0x0"
    with pytest.raises(ChainUnreachableError, match="is used, and its records wait"):
        submitter.step()
    world.line.handlers.clear()
    submitter.step()
    assert transactions(store, signer) == [(0, "failed"), (1, "final")]
