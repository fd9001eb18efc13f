"""The finality depth of Clique, from the number of its signers."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from typing import Any

import pytest

from millmark.ledger.chain import Node, RpcError, find_profile
from millmark.ledger.chain.blocks import parse_receipt
from millmark.ledger.chain.profiles import FinalityDepth, depth_of
from millmark.ledger.chain.sending import await_final
from millmark.ledger.errors import ChainUnreachableError
from tests.support.rpc import ScriptedNode, lost

MISSING = RpcError(-32601, "the method clique_getSigners does not exist/is not available")


def signers(count: int) -> list[str]:
    return [f"0x{number:040x}" for number in range(1, count + 1)]


def depths(*answers: Any, engine: str = "clique") -> tuple[list[int], int]:
    """The depth while the node gives these answers, one every hundred blocks, and how often it was asked."""
    left = list(answers)

    def answer() -> Any:
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    node = ScriptedNode({"clique_getSigners": answer})
    depth = FinalityDepth(Node(node), find_profile(engine))
    return [depth.at(number * 100) for number in range(len(answers))], len(node.asked)


@pytest.mark.parametrize(("count", "depth"), [(1, 1), (2, 3), (3, 3), (4, 6), (5, 6), (6, 9), (21, 30), (40, 60)])
def test_it_follows_from_the_number_of_signers(count: int, depth: int) -> None:
    assert depths(signers(count)) == ([depth], 1)


def weight(count: int, fork: tuple[int, ...]) -> int:
    """Of a fork from block 0 on: a block counts two by the signer whose turn it is, one by any other."""
    return sum(2 if number % count == signer else 1 for number, signer in enumerate(fork))


def find_undone(count: int) -> int:
    """The longest fork that a cut which heals can undo, in blocks. The signers before it may have been any.

    One side is cut off: at most half of the signers. While the fork of the others weighs no more than what that side
    can make, it gives way where it is compared; meanwhile those that have not heard of that, at most half of all, go
    on.
    """
    half, longest = count // 2, 0
    for size in range(1, half + 1):
        for cut_off in itertools.combinations(range(count), size):
            heaviest = max(weight(count, fork) for fork in itertools.permutations(cut_off))
            others = [signer for signer in range(count) if signer not in cut_off]
            forks: list[tuple[int, ...]] = [()]
            while forks:
                fork = forks.pop()
                longest = max(longest, go_on(fork, others, half, half))
                forks += [one for one in sealed(fork, others, half) if weight(count, one) <= heaviest]
    return longest


def sealed(fork: tuple[int, ...], signers: Sequence[int], half: int) -> list[tuple[int, ...]]:
    """The fork with one more block, by any of these that sealed none of the last ones (EIP-225)."""
    recent = fork[max(len(fork) - half, 0) :]
    return [(*fork, signer) for signer in signers if signer not in recent]


def go_on(fork: tuple[int, ...], signers: Sequence[int], half: int, left: int) -> int:
    """The length that so many of these signers can give it, each by one block: a second has to wait for others."""
    if left == 0:
        return len(fork)
    longer = [
        go_on(one, [signer for signer in signers if signer != one[-1]], half, left - 1)
        for one in sealed(fork, signers, half)
    ]
    return max(longer, default=len(fork))


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 7])
def test_no_cut_that_heals_undoes_what_is_final(count: int) -> None:
    """The first block of a fork of as many blocks as the depth has one fewer on top."""
    undone = find_undone(count)
    assert undone <= depth_of(count)
    assert count % 2 == 0 or undone == depth_of(count), "a smaller depth would not hold"


def test_two_blocks_undo_four() -> None:
    """As it was seen with five signers: geth takes the shorter one of two forks that weigh the same."""
    assert weight(5, (0, 1)) == weight(5, (2, 3, 4, 2)) == 4


def test_a_node_that_does_not_tell_leaves_the_profiles_depth() -> None:
    assert depths(MISSING) == ([12], 1)


def test_only_the_number_of_signers_once_known_lowers_it() -> None:
    assert depths(MISSING, signers(5), MISSING, signers(9), signers(5), MISSING) == ([12, 6, 6, 12, 12, 12], 6)


@pytest.mark.parametrize("answer", [[], None, 5, ["0x11"], [*signers(4), signers(1)[0]]], ids=repr)
def test_what_is_no_list_of_signers_is_no_answer(answer: Any) -> None:
    with pytest.raises(ChainUnreachableError):
        depths(answer)


def test_no_answer_is_not_a_node_that_does_not_tell() -> None:
    with pytest.raises(ChainUnreachableError):
        depths(lost())


def test_it_is_asked_again_after_some_blocks_only() -> None:
    node = ScriptedNode({"clique_getSigners": signers(5)})
    depth = FinalityDepth(Node(node), find_profile("clique"))
    assert [depth.at(head) for head in (100, 101, 159)] == [6, 6, 6]
    assert len(node.asked) == 1
    depth.at(160)
    assert len(node.asked) == 2
    depth.at(20)  # another node, or a chain set back
    assert len(node.asked) == 3


@pytest.mark.parametrize("engine", ["embedded", "anvil", "besu-qbft", "qbft"])
def test_engines_whose_blocks_are_final_at_once_are_not_asked(engine: str) -> None:
    assert depths(signers(5), engine=engine) == ([0], 0)


def test_as_many_blocks_are_waited_for_as_the_signers_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them for as long as is given: of many signers more than the profile knows of."""
    now_s, head = [0.0], [1000]

    def sleep(_: float) -> None:
        now_s[0] += 10
        head[0] += 1

    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    monkeypatch.setattr(time, "sleep", sleep)
    digest = "0x" + "11" * 32
    receipt: dict[str, Any] = {
        "transactionHash": digest,
        "blockHash": digest,
        "blockNumber": hex(1000),
        "status": "0x1",
    }
    receipt |= {"gasUsed": "0x5208", "logs": []}
    answers = {"clique_getSigners": signers(41), "eth_blockNumber": lambda: hex(head[0])}
    node = Node(ScriptedNode({**answers, "eth_getTransactionReceipt": lambda _: receipt}))
    found = await_final(node, find_profile("clique"), parse_receipt(receipt), "the amounts were sent", 12)
    assert (found.block_number, head) == (1000, [1060])
