"""A chain stalls when a transaction waits and no block comes: an idle chain does not, nor one that only just got it."""

from __future__ import annotations

from services.node.submission import ChainHead
from services.text.outbox import STALL_S


def test_a_chain_that_was_never_reached_does_not_stall() -> None:
    assert ChainHead().stalled_s(1e9) == 0
    assert ChainHead().to_json(5.0) == {"head_block": None, "head_age_s": None, "stalled_s": 0}


def test_an_idle_chain_does_not_stall_however_old_its_head_is() -> None:
    head = ChainHead().see(7, False, 0.0).see(7, False, 10 * STALL_S)
    assert head.to_json(10 * STALL_S) == {"head_block": 7, "head_age_s": 300, "stalled_s": 0}


def test_the_wait_begins_with_the_transaction_and_ends_with_the_next_block() -> None:
    head = ChainHead().see(7, False, 0.0).see(7, True, 100.0).see(7, True, 110.0)
    assert head.stalled_s(100.0 + STALL_S - 1) == 0
    assert head.stalled_s(100.0 + STALL_S) == STALL_S
    moved = head.see(8, True, 140.0)
    assert moved.stalled_s(141.0) == 0, "a block came, though not yet with everything"
    assert moved.stalled_s(140.0 + STALL_S) == STALL_S
    assert moved.see(8, False, 150.0).stalled_s(1e6) == 0
