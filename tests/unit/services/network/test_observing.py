"""What is read from a node's answers: recorded from real networks with one validator down and two votes cast."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from millmark.ledger.errors import ChainUnreachableError
from millmark.services.network import Consensus, NetworkError
from millmark.services.network.observing import Vote, observe
from tests.support.local_network import unsafe_test_key
from tests.support.recorded_node import RecordedNode, recorded

_URL = "http://127.0.0.1:8545"
_ADDRESSES = [unsafe_test_key(number).address for number in range(5)]
_CANDIDATE = unsafe_test_key(99).address


def test_seals_of_qbft_tell_who_is_at_work() -> None:
    node, now_s = recorded("qbft")
    seen = observe(node, _URL, now_s, vote_blocks=24)
    assert (seen.consensus, seen.validators) == (Consensus.QBFT, tuple(sorted(_ADDRESSES[:4])))
    assert (seen.head_age_s, seen.peers, len(seen.window)) == (1, 2, 8)
    assert seen.last_sealed(_ADDRESSES[3]) is None  # it was killed
    assert all(seen.last_sealed(one) is not None for one in _ADDRESSES[:3])
    assert all(len(block.sealers) >= 3 for block in seen.window)
    assert max(block.round for block in seen.window) == 1  # its turns end without a block


def test_votes_are_found_in_the_headers_of_qbft() -> None:
    node, now_s = recorded("qbft")
    seen = observe(node, _URL, now_s, vote_blocks=24)
    assert seen.votes == (Vote(_CANDIDATE, True, tuple(sorted(_ADDRESSES[:2]))),)
    assert seen.votes_since == 1


def test_signers_of_clique_are_recovered_from_the_headers() -> None:
    node, now_s = recorded("clique")
    seen = observe(node, _URL, now_s)
    assert (seen.consensus, seen.validators) == (Consensus.CLIQUE, tuple(sorted(_ADDRESSES)))
    assert seen.last_sealed(_ADDRESSES[4]) is None
    assert all(seen.last_sealed(one) is not None for one in _ADDRESSES[:4])
    assert seen.connected == frozenset(_ADDRESSES[1:4])


def test_clique_counts_its_votes_itself() -> None:
    node, now_s = recorded("clique")
    seen = observe(node, _URL, now_s)
    assert seen.votes == (Vote(_CANDIDATE, True, tuple(sorted(_ADDRESSES[:2]))),)
    assert seen.votes_since is None


def test_a_changed_header_has_no_validators_seal() -> None:
    node, now_s = recorded("clique")
    answers = copy.deepcopy(node.answers)
    head = answers['eth_getBlockByNumber ["latest", false]']
    head["gasUsed"] = "0x1"  # a node that makes the signer of one block that of another
    seen = observe(RecordedNode(answers), _URL, now_s)
    assert seen.window[0].proposer not in _ADDRESSES


def test_a_proposer_that_no_quorum_of_seals_names_is_not_at_work() -> None:
    """A node that puts the validator that was killed in the place of each block's proposer."""
    node, now_s = recorded("qbft")
    answers = copy.deepcopy(node.answers)
    for key, block in answers.items():
        if key.startswith("eth_getBlockByNumber"):
            block["miner"] = "0x" + _ADDRESSES[3].hex()
    seen = observe(RecordedNode(answers), _URL, now_s, vote_blocks=24)
    assert all(block.proposer == _ADDRESSES[3] for block in seen.window)
    assert seen.last_sealed(_ADDRESSES[3]) is None
    assert not any(seen.is_proposed(block, _ADDRESSES[3]) for block in seen.window)


def test_a_header_that_lists_the_keys_of_its_maker_puts_nobody_to_work() -> None:
    """One seal is a quorum of the only one that it lists: of a stranger, or of one that would speak for another."""
    node, now_s = recorded("qbft")
    seen = observe(node, _URL, now_s, vote_blocks=24)
    head = seen.window[0]
    for maker in (_CANDIDATE, _ADDRESSES[0]):
        made = replace(head, proposer=_ADDRESSES[3], validators=(maker,), sealers=(maker,))
        assert replace(seen, window=(made,)).last_sealed(_ADDRESSES[3]) is None
    before = replace(head, proposer=_ADDRESSES[2], validators=tuple(_ADDRESSES[:3]), sealers=tuple(_ADDRESSES[:2]))
    assert seen.is_proposed(before, _ADDRESSES[2]), "a block of a smaller set, before one was voted in"


def test_a_node_that_does_not_say_who_is_connected_is_asked_no_more() -> None:
    node, now_s = recorded("qbft")
    answers = {**node.answers, "admin_peers []": {"error": {"code": -32604, "message": "Method not enabled"}}}
    assert observe(RecordedNode(answers), _URL, now_s, vote_blocks=24).connected is None


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        ("eth_chainId []", "4711"),
        ("net_peerCount []", None),
        ("clique_getSigners []", ["0x12"]),
        ("admin_peers []", [{"id": "0x12"}]),
        ('eth_getBlockByNumber ["latest", false]', {"extraData": "0x"}),
    ],
)
def test_an_answer_that_makes_no_sense_is_one_error(key: str, answer: object) -> None:
    node, now_s = recorded("clique")
    if key == "eth_chainId []":
        answer = "0xzz"
    with pytest.raises(ChainUnreachableError, match="makes no sense"):
        observe(RecordedNode({**node.answers, key: answer}), _URL, now_s)


def test_a_chain_without_validators_is_refused() -> None:
    node, now_s = recorded("clique")
    answers = copy.deepcopy(node.answers)
    answers['eth_getBlockByNumber ["latest", false]']["extraData"] = "0x"
    with pytest.raises(NetworkError, match="name no validators"):
        observe(RecordedNode(answers), _URL, now_s)
