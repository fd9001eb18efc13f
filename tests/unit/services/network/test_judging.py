"""What is said about a network: each kind of trouble, and that none is claimed where there is none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from millmark.ledger.signatures import to_checksum
from millmark.services.network import Consensus
from millmark.services.network.observing import Level, State, Vote, judge, state_of
from tests.support.recorded_node import VALIDATORS, healthy, without

_NAMES = dict(zip(VALIDATORS, ["Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Gean"], strict=True))
_OWN = VALIDATORS[0]


def _name(address: bytes) -> str:
    return _NAMES.get(address, to_checksum(address))


def test_nothing_is_said_about_a_healthy_network() -> None:
    for seen in (healthy(4), healthy(7), healthy(5, Consensus.CLIQUE)):
        assert judge(seen, _OWN, _name) == []
        assert {state_of(one, seen, _OWN) for one in seen.validators} == {State.SEALS}


def test_one_of_seven_silent_leaves_one_to_fail() -> None:
    (found,) = judge(without(healthy(7), VALIDATORS[6]), _OWN, _name)
    assert found.level is Level.WARNING
    assert "1 of 7 validators is silent for 14 blocks: Gean; 1 more may fail" in found.text


@pytest.mark.parametrize(
    ("count", "consensus", "gone", "said"),
    [
        (4, Consensus.QBFT, 1, "with one more, the chain stands still"),
        (7, Consensus.QBFT, 2, "with one more, the chain stands still"),
        (5, Consensus.CLIQUE, 1, "with one more, the chain may stand still"),
        (5, Consensus.CLIQUE, 2, "the chain may stand still at any block"),
    ],
)
def test_as_many_silent_as_may_be_is_said(count: int, consensus: Consensus, gone: int, said: str) -> None:
    seen = without(healthy(count, consensus), *VALIDATORS[count - gone : count])
    assert any(said in found.text and found.level is Level.WARNING for found in judge(seen, _OWN, _name))


def test_one_more_and_the_chain_is_halted() -> None:
    seen = replace(without(healthy(4), *VALIDATORS[2:4]), head_age_s=20)
    (found,) = judge(seen, _OWN, _name)
    assert found.level is Level.ALARM
    assert "no block for 20 s: the chain is HALTED: this node reaches 2 of 4 validators, 3 are needed" in found.text
    assert "not connected: Cedar, Dogwood" in found.text
    assert found.remedy.startswith("get 1 more of them to run and connect; blocks come again by themselves, within")
    assert state_of(VALIDATORS[3], seen, _OWN) is State.NOT_CONNECTED


def test_a_network_that_began_slowly_and_stands_still_is_halted() -> None:
    """Its first signers had waited half a minute for each other's connections."""
    lost = without(healthy(5, Consensus.CLIQUE), *VALIDATORS[2:5])
    first, second = lost.window[:2]
    window = (replace(first, number=2), replace(second, number=1, timestamp=first.timestamp - 30))
    seen = replace(lost, number=2, window=window, head_age_s=20)
    assert judge(seen, _OWN, _name) == []  # whose genesis is not known
    (found,) = judge(replace(seen, period_s=1), _OWN, _name)
    assert (
        "no block for 20 s: HALTED as far as this node sees: it reaches 2 of 5 validators, 3 are needed" in found.text
    )


def test_a_new_network_that_stands_still_is_to_begin_again() -> None:
    """Clique's signers may each have made a first block before they were connected."""
    for number, said in ((1, "the network is new, and its signers wait"), (300, "start the validators that are down")):
        seen = replace(healthy(5, Consensus.CLIQUE), head_age_s=40, number=number)
        (found,) = judge(seen, _OWN, _name)
        assert "HALTED, though 5 of 5 validators are connected" in found.text
        assert found.remedy.startswith(said)


def test_a_node_without_peers_is_not_taken_for_a_halted_chain() -> None:
    seen = healthy(4, head_age_s=20, peers=0, connected=frozenset())
    (found,) = judge(seen, _OWN, _name)
    assert "connected to nobody (net_peerCount 0): it is cut off, or all others are down" in found.text
    assert "HALTED" not in found.text


def test_the_smaller_side_of_a_cut_does_not_claim_that_the_others_stand() -> None:
    seen = healthy(7, head_age_s=20, peers=1, connected=frozenset(VALIDATORS[1:2]))
    (found,) = judge(seen, _OWN, _name)
    assert "HALTED as far as this node sees: it reaches 2 of 7 validators, 5 are needed" in found.text
    assert found.text.endswith("they may go on without it")


def test_nodes_that_are_known_to_be_down_do_not_go_on_without_this_one() -> None:
    seen = healthy(7, head_age_s=20, peers=1, connected=frozenset(VALIDATORS[1:2]))
    (found,) = judge(seen, _OWN, _name, down=frozenset(VALIDATORS[2:7]))
    assert "the chain is HALTED: this node reaches 2 of 7" in found.text


@pytest.mark.parametrize(("down", "halted"), [(VALIDATORS[2:4], True), (VALIDATORS[1:3], False)])
def test_whoever_is_reached_or_down_counts_once(down: tuple[bytes, ...], halted: bool) -> None:
    """Four of seven are needed. Beside the two that this node reaches and the two that are down, there are three; four
    if one of the two that are down is still connected."""
    seen = healthy(7, Consensus.CLIQUE, head_age_s=20, peers=1, connected=frozenset(VALIDATORS[1:2]))
    (found,) = judge(seen, _OWN, _name, down=frozenset(down))
    assert ("the chain is HALTED" in found.text) is halted


def test_enough_connected_and_no_block_is_another_trouble() -> None:
    (found,) = judge(healthy(4, head_age_s=20), _OWN, _name)
    assert "HALTED, though 4 of 4 validators are connected" in found.text
    assert "within about twice the time that the chain stood, or four times" in found.remedy
    just = replace(without(healthy(4), VALIDATORS[3]), head_age_s=20)
    assert "HALTED, though 3 of 4 validators are connected" in judge(just, _OWN, _name)[0].text
    (found,) = judge(healthy(5, Consensus.CLIQUE, head_age_s=20), _OWN, _name)
    assert "fork of equal weight" in found.remedy


def test_without_a_list_of_peers_their_number_has_to_do() -> None:
    seen = healthy(4, head_age_s=20, peers=1, connected=None)
    (found,) = judge(seen, _OWN, _name)
    assert "HALTED: this node reaches 2 of 4 validators, 3 are needed" in found.text
    assert state_of(VALIDATORS[3], seen, _OWN) is State.UNKNOWN


def test_slow_blocks_are_no_standstill() -> None:
    slow = tuple(replace(block, timestamp=10_000 - 60 * age) for age, block in enumerate(healthy(4).window))
    assert judge(healthy(4, head_age_s=70, window=slow), _OWN, _name) == []
    assert judge(healthy(4, head_age_s=600, window=slow), _OWN, _name) != []


def test_a_node_that_catches_up_says_so_and_not_that_the_chain_stands() -> None:
    found = judge(healthy(4, head_age_s=5_000, highest_block=5_000), _OWN, _name)
    assert [one.text for one in found] == ["this node is catching up: it has block 100 of 5000"]
    assert found[0].level is Level.ALARM


def test_a_young_chain_accuses_nobody() -> None:
    seen = without(healthy(4), VALIDATORS[3])
    young = replace(seen, window=seen.window[:7])
    assert judge(young, _OWN, _name) == []
    assert state_of(VALIDATORS[3], young, _OWN) is State.NEW


def test_a_validator_that_has_just_been_added_is_not_silent() -> None:
    seen = without(healthy(5), VALIDATORS[4])
    window = tuple(replace(b, validators=VALIDATORS[:4]) if b.number < 97 else b for b in seen.window)
    assert state_of(VALIDATORS[4], replace(seen, window=window), _OWN) is State.NEW


def test_the_own_validator_is_spoken_to() -> None:
    (found,) = judge(without(healthy(4), _OWN), _OWN, _name)
    assert "see the log of this node" in found.remedy


def test_late_rounds_and_missing_connections_are_noted() -> None:
    seen = healthy(4, connected=frozenset(VALIDATORS[1:3]))
    window = (replace(seen.window[0], round=2), *seen.window[1:])
    rounds, apart = judge(replace(seen, window=window), _OWN, _name)
    assert (rounds.level, apart.level) == (Level.NOTE, Level.NOTE)
    assert rounds.text == "1 of the last 8 blocks took more than one round, at most 3"
    assert "no connection to Dogwood" in apart.text


def test_votes_are_counted_with_the_next_step() -> None:
    vote = Vote(VALIDATORS[4], True, VALIDATORS[1:3])
    (found,) = judge(healthy(4, votes=(vote,)), _OWN, _name)
    assert found.text == "vote to add Elm: 2 of 3 needed (Birch, Cedar)"
    assert found.remedy == "who agrees runs `millmark network vote add Elm`: this company has not voted"


def test_few_and_even_numbers_are_noted() -> None:
    assert "none may be down" in judge(healthy(2), _OWN, _name)[0].text
    assert "an even number" in judge(healthy(6, Consensus.CLIQUE), _OWN, _name)[0].text


@pytest.mark.parametrize("consensus", list(Consensus))
def test_the_number_that_tolerates_one_is_that_of_the_consensus(consensus: Consensus) -> None:
    words = {"four": 4, "five": 5}
    for count in range(2, 5):
        few = judge(healthy(count, consensus), _OWN, _name)
        if consensus.tolerates(count) == 0:
            least = words[few[0].remedy.split()[2]]
            assert (consensus.tolerates(least), consensus.may_lie(least)) >= (1, 0), few[0].remedy
    both = judge(healthy(4, Consensus.CLIQUE), _OWN, _name)
    assert [one.text.partition(",")[0] for one in both] == ["with 4 validators", "with 4 signers"]
