"""What a relay's node refuses fails a client's record for good: only if a later block repeats it, and never while the
node is behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest

from millmark.ledger.chain import Chain
from millmark.ledger.errors import ContractRefusedError, NodeBehindError
from millmark.ledger.store.outbox import Outbox
from millmark.services.gateway.relay.relay import RepeatedRefusals


@dataclass
class _Node:
    """A chain node, and what is known of it."""

    timed: bool = True
    finality_depth: int = 0
    head: int = 10
    seen: int = 10
    refuses: bool = True
    advances: bool = False
    """Whether a block comes between the refusal and the question after it."""
    verified: int = 0
    profile: SimpleNamespace = field(init=False)

    def __post_init__(self) -> None:
        self.profile = SimpleNamespace(timed_blocks=self.timed)

    def verify_served(self) -> None:
        self.verified += 1

    def head_number(self) -> int:
        return self.head

    def seen_block(self) -> int:
        return self.seen

    def question(self) -> int:
        self.head += self.advances
        if self.refuses:
            raise ContractRefusedError("OrderUnknown", {})
        return 60_000

    def refusals(self) -> RepeatedRefusals:
        return RepeatedRefusals(cast(Chain, self), cast(Outbox, self))


def test_a_refusal_counts_on_the_second_head() -> None:
    node = _Node()
    refusals = node.refusals()
    for _ in range(3):
        with pytest.raises(NodeBehindError, match="as of block 10"):
            refusals.ask(b"call", node.question)
    node.head = 11
    with pytest.raises(NodeBehindError):
        refusals.ask(b"another call", node.question)
    with pytest.raises(ContractRefusedError):
        refusals.ask(b"call", node.question)
    assert node.verified == 5, "that the node is of the right chain is asked each time"


def test_one_head_does_not_count_as_two_when_a_block_comes_in_between() -> None:
    node = _Node(advances=True)
    refusals = node.refusals()
    with pytest.raises(NodeBehindError):
        refusals.ask(b"call", node.question)
    node.advances = False
    with pytest.raises(NodeBehindError):
        refusals.ask(b"call", node.question)
    node.head += 1
    with pytest.raises(ContractRefusedError):
        refusals.ask(b"call", node.question)


def test_a_refusal_counts_when_the_first_head_is_final() -> None:
    """What the call needs may be undone on the first heads: its transaction waits in the pool again."""
    node = _Node(finality_depth=3)
    refusals = node.refusals()
    for node.head in (10, 11, 12, 13):
        with pytest.raises(NodeBehindError, match="once block 14 repeats it"):
            refusals.ask(b"call", node.question)
    node.head = 14
    with pytest.raises(ContractRefusedError):
        refusals.ask(b"call", node.question)


def test_a_node_that_is_behind_answers_nothing() -> None:
    node = _Node(seen=11, refuses=False)
    with pytest.raises(NodeBehindError, match="its latest block is 10, block 11 is known"):
        node.refusals().ask(b"call", node.question)
    node.head = 11
    assert node.refusals().ask(b"call", node.question) == 60_000


def test_a_refusal_that_passed_or_is_long_past_counts_for_nothing() -> None:
    node = _Node()
    refusals = node.refusals()
    with pytest.raises(NodeBehindError):
        refusals.ask(b"call", node.question)
    node.refuses, node.head = False, 11
    assert refusals.ask(b"call", node.question) == 60_000
    node.refuses, node.head = True, 12
    with pytest.raises(NodeBehindError):
        refusals.ask(b"call", node.question)
    node.head = 113
    with pytest.raises(NodeBehindError):
        refusals.ask(b"call", node.question)
    node.head = 114
    with pytest.raises(ContractRefusedError):
        refusals.ask(b"call", node.question)


def test_where_no_block_follows_one_refusal_counts() -> None:
    node = _Node(timed=False, seen=99)
    with pytest.raises(ContractRefusedError):
        node.refusals().ask(b"call", node.question)
    assert node.verified == 0


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millmark.services.gateway.relay.relay._MAX_CALLS", 3)
    node = _Node()
    refusals = node.refusals()
    for number in range(9):
        with pytest.raises(NodeBehindError):
            refusals.ask(bytes([number]), node.question)
    assert len(refusals._first) == 3
