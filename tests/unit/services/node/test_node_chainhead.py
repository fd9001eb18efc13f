"""A chain stalls when a transaction waits and no block comes: an idle chain does not, nor one that only just got it."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from millmark.ledger.errors import NodeBehindError
from millmark.services.node.agent import Agent
from millmark.services.node.submission import ChainHead, Health, StreamHealth
from millmark.services.serving.loop import HEAD_S, Trouble
from millmark.services.text.outbox import STALL_S


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


def _health(head: ChainHead, *found: Trouble, timed: bool = False) -> Health:
    return Health([StreamHealth("bench", 5, 4, 3, None)], True, head, found, {}, timed)


def test_a_head_that_does_not_move_is_an_alarm_where_blocks_come_by_themselves() -> None:
    old = ChainHead(7, time.monotonic() - HEAD_S - 1)
    assert [one.code for one in _health(old, timed=True).alarms] == ["head-frozen"]
    assert not _health(old).alarms
    assert not _health(ChainHead(7, time.monotonic()), timed=True).alarms
    assert not _health(ChainHead(), timed=True).alarms
    waiting = ChainHead(7, time.monotonic() - HEAD_S - 1, time.monotonic() - STALL_S - 1)
    assert [one.code for one in _health(waiting, timed=True).alarms] == ["chain-stalled"]


def test_only_what_somebody_has_to_deal_with_makes_a_node_not_ready() -> None:
    away = Trouble("chain", "chain-unreachable", "no answer", 0.0)
    failed = Trouble("outbox", "record-failed", "1 record failed", 0.0)
    health = _health(ChainHead(), away)
    assert (health.ready, health.troubles, health.alarms) == (True, [], [away])
    health = _health(ChainHead(), away, failed)
    assert (health.ready, health.troubles, health.alarms) == (False, [failed], [away])
    shown = health.to_json()
    assert shown["status"] == "not ready"
    assert shown["streams"] == [{"name": "bench", "entries": 5, "queued": 4, "anchored": 3, "failure": None}]


def test_a_source_that_refuses_is_told_with_its_reason_and_since_when() -> None:
    def idle(*sources: Any) -> list[Trouble]:
        sending = SimpleNamespace(loop=SimpleNamespace(trouble=lambda: None))
        agent: Any = SimpleNamespace(_submission=sending, _pulse=sending, _streams=[], _sources=sources, _funds=None)
        return list(Agent._idle(agent))

    failing = Trouble("millmark-opcua", "unexpected", "BadUserAccessDenied", 17.0)
    loop = SimpleNamespace(name="millmark-opcua", trouble=lambda: failing)
    [found] = idle(SimpleNamespace(loop=loop, is_connected=False))
    assert (found.code, found.since_s) == ("source-disconnected", 17.0)
    assert found.cause == "the broker or server reports nothing (BadUserAccessDenied)"
    health = _health(ChainHead(), found)
    assert (health.ready, list(health.alarms)) == (True, [found])


def test_a_chain_node_that_is_behind_is_an_alarm_as_one_that_does_not_answer() -> None:
    behind = Trouble("chain", NodeBehindError.code, "the node lacks block 7", 17.0)
    assert _health(ChainHead(), behind).ready
