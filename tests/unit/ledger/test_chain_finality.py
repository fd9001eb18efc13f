"""The finality depth of Clique, from the number of its signers."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.chain import Node, RpcError, find_profile
from ledger.chain.finality import FinalityDepth
from ledger.errors import ChainUnreachableError
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


@pytest.mark.parametrize(("count", "depth"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (21, 11), (40, 21)])
def test_a_majority_of_the_signers_came_after(count: int, depth: int) -> None:
    assert depths(signers(count)) == ([depth], 1)


def test_a_node_that_does_not_tell_leaves_the_profiles_depth() -> None:
    assert depths(MISSING) == ([12], 1)


def test_only_the_number_of_signers_once_known_lowers_it() -> None:
    assert depths(MISSING, signers(5), MISSING, signers(9), signers(5), MISSING) == ([12, 3, 3, 5, 5, 5], 6)


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
    assert [depth.at(head) for head in (100, 101, 159)] == [3, 3, 3]
    assert len(node.asked) == 1
    depth.at(160)
    assert len(node.asked) == 2
    depth.at(20)  # another node, or a chain set back
    assert len(node.asked) == 3


@pytest.mark.parametrize("engine", ["embedded", "anvil", "besu-qbft", "qbft"])
def test_engines_whose_blocks_are_final_at_once_are_not_asked(engine: str) -> None:
    assert depths(signers(5), engine=engine) == ([0], 0)
