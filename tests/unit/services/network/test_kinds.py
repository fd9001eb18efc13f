"""How many validators may be down, and how many may lie."""

from __future__ import annotations

import pytest

from millmark.services.network import Consensus, NodeProgramError, find_kind


@pytest.mark.parametrize(
    ("consensus", "validators", "quorum", "may_stop", "may_lie"),
    [
        (Consensus.QBFT, 1, 1, 0, 0),
        (Consensus.QBFT, 3, 2, 1, 0),
        (Consensus.QBFT, 4, 3, 1, 1),
        (Consensus.QBFT, 5, 4, 1, 1),
        (Consensus.QBFT, 6, 4, 2, 1),  # two may be down, but only one may lie: quorums of 4 share 2
        (Consensus.QBFT, 7, 5, 2, 2),
        (Consensus.CLIQUE, 4, 3, 1, 0),
        (Consensus.CLIQUE, 5, 3, 2, 0),
        (Consensus.CLIQUE, 7, 4, 3, 0),
    ],
)
def test_tolerance(consensus: Consensus, validators: int, quorum: int, may_stop: int, may_lie: int) -> None:
    assert consensus.quorum(validators) == quorum
    assert consensus.may_stop(validators) == may_stop
    assert consensus.may_lie(validators) == may_lie


@pytest.mark.parametrize("validators", range(1, 101))
def test_two_quorums_of_qbft_share_an_honest_validator(validators: int) -> None:
    quorum, liars = Consensus.QBFT.quorum(validators), Consensus.QBFT.may_lie(validators)
    assert 2 * quorum - validators > liars


def test_an_unknown_program_is_refused() -> None:
    with pytest.raises(NodeProgramError, match="besu, geth"):
        find_kind("nethermind")


@pytest.mark.parametrize(
    ("consensus", "validators", "tolerated"),
    [
        (Consensus.QBFT, 4, 1),
        (Consensus.QBFT, 7, 2),
        (Consensus.CLIQUE, 3, 0),
        (Consensus.CLIQUE, 4, 0),
        (Consensus.CLIQUE, 5, 1),  # three of five may wait for each other for good
        (Consensus.CLIQUE, 7, 2),
        (Consensus.CLIQUE, 1, 0),
    ],
)
def test_blocks_are_sure_to_come(consensus: Consensus, validators: int, tolerated: int) -> None:
    assert consensus.tolerates(validators) == tolerated
