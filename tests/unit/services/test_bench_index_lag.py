"""How far an index is behind what is final, as the network comparison counts it."""

from __future__ import annotations

from pathlib import Path

from millmark.ledger.chain.deploying import ask_until
from millmark.ledger.errors import ChainUnreachableError
from millmark.ledger.index import Follower
from tests.bench.network import MOST_BEHIND, IndexLag, NetworkRates, Side
from tests.support.fake_ledger import FakeChain
from tests.support.stores import new_store


def test_counts_final_blocks_that_are_not_in_the_index(tmp_path: Path) -> None:
    chain, lag = FakeChain(finality_depth=3), IndexLag()
    chain.mine(10)
    with new_store(tmp_path) as store:
        assert lag.look(chain, store) == chain.final_number() - chain.first_block + 1, "nothing is indexed yet"
        Follower(chain, store).follow()
        lag = IndexLag()
        assert lag.look(chain, store) == -3, "blocks that are not final are indexed too"
        chain.mine(5)
        assert lag.look(chain, store) == 2
        chain.mine(1)
        assert lag.look(chain, store) == 3
        Follower(chain, store).follow()
        lag.look(chain, store)
    assert (lag.most, lag.looks) == (3, 4)


def test_a_block_that_is_gone_for_a_moment_is_asked_for_again() -> None:
    answers: list[int | None] = [None, None, 21_000]

    def gas_used() -> int:
        found = answers.pop(0)
        if found is None:
            raise ChainUnreachableError("the node's answer to eth_getBlockByNumber cannot be used", hint="try again")
        return found

    assert ask_until(gas_used, 60) == 21_000
    assert not answers


def test_an_index_further_behind_than_the_bar_is_not_enough() -> None:
    sides = (Side(records=100, wall_s=1.0), Side(records=200, wall_s=1.0))
    assert NetworkRates("", *sides, IndexLag(most=MOST_BEHIND, looks=1)).is_enough
    assert not NetworkRates("", *sides, IndexLag(most=MOST_BEHIND + 1, looks=1)).is_enough
    assert not NetworkRates("", *sides, IndexLag()).is_enough, "nobody looked"
