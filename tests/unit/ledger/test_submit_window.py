"""How many transactions are pending: two blocks' worth, whatever the block time, and what a node's pool takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.chain import Head
from millmark.ledger.submit.sender import MAX_PENDING, Window

GAS = 30_000_000


def head(number: int = 1, gas_limit: int = GAS) -> Head:
    return Head(number, bytes(32), gas_limit)


def test_few_are_started_before_the_gas_of_one_is_known() -> None:
    assert Window().room(head(), 0) == 16
    assert Window(4).room(head(), 1) == 3


@given(gas=st.integers(21_000, GAS), records=st.integers(1, 250), pending=st.integers(0, 100))
def test_two_blocks_are_filled_within_the_bounds(gas: int, records: int, pending: int) -> None:
    window = Window()
    window.note_started(gas, records)
    room = window.room(head(), pending)
    assert room == max(min(max(-(-2 * GAS // gas), 16), MAX_PENDING) - pending, 0)


@given(gas_limit=st.integers(1_000_000, 10**9), gas_of_record=st.integers(5_000, 300_000))
def test_where_the_window_does_not_suffice_batches_grow(gas_limit: int, gas_of_record: int) -> None:
    """So that large blocks are full too; but a transaction fits into a block beside others."""
    window = Window()
    window.note_started(50 * gas_of_record, 50)
    size = window.batch_size(head(gas_limit=gas_limit))
    assert 1 <= size <= 250
    assert size == 1 or size * gas_of_record <= gas_limit // 4
    assert size == 250 or size * gas_of_record > gas_limit // 4 - gas_of_record or size >= 50


@pytest.mark.parametrize(
    ("gas_of_record", "size"), [(40_000, 50), (10_000, 93), (9_374, 100), (4_000, 234), (3_000, 250), (240_000, 31)]
)
def test_a_batch_has_the_records_with_which_all_pending_ones_fill_two_blocks(gas_of_record: int, size: int) -> None:
    window = Window()
    window.note_started(50 * gas_of_record, 50)
    assert window.batch_size(head()) == size


def test_a_record_takes_some_gas_at_least() -> None:
    window = Window()
    for gas, records in ((10, 10), (5, 10), (0, 3)):
        window.note_started(gas, records)
        assert window.batch_size(head(gas_limit=160)) == 40, "a quarter of the block's gas"


def test_fifty_records_are_in_a_transaction_before_the_gas_of_one_is_known() -> None:
    assert Window().batch_size(head()) == 50


def test_a_given_batch_size_stays() -> None:
    window = Window(batch_size=7)
    window.note_started(50_000, 50)
    assert window.batch_size(head(gas_limit=10**9)) == 7


def test_a_full_pool_halves_the_window_which_grows_with_each_block() -> None:
    window = Window()
    window.note_started(GAS // 30, 50)
    assert window.room(head(1), 0) == 60
    window.note_full(head(1), 40)
    assert window.is_full(head(1))
    assert window.room(head(1), 0) == 0, "until the next block"
    assert window.room(head(2), 0) == 21
    assert window.room(head(2), 0) == 21, "once for each block"
    assert window.room(head(3), 0) == 22
    window.note_full(head(3), 22)
    window.note_full(head(3), 22)
    assert window.room(head(4), 0) == 12, "halved once for each block"


def test_a_pool_that_has_room_for_none_is_asked_for_one_in_the_next_block() -> None:
    window = Window()
    window.note_full(head(1), 1)
    assert [window.room(head(number), 0) for number in (1, 2, 3)] == [0, 2, 3]


def test_it_grows_with_the_first_blocks_of_a_chain_too() -> None:
    window = Window()
    window.note_started(GAS // 30, 50)
    assert window.room(head(0), 0) == 60
    window.note_full(head(0), 40)
    assert window.room(head(1), 0) == 21


def test_no_more_are_pending_than_geth_keeps_of_a_sender() -> None:
    """Its setting `txpool.accountqueue`."""
    window = Window()
    window.note_started(21_000, 1)
    assert window.room(head(), 0) == 64


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 64)), max_size=60))
def test_there_is_always_room_for_one_in_the_end(moves: list[tuple[int, bool, int]]) -> None:
    window, number = Window(), 0
    window.note_started(GAS // 10, 50)
    for blocks, is_full, pending in moves:
        number += blocks
        window.room(head(number), pending)
        if is_full:
            window.note_full(head(number), pending)
    assert 1 <= window.room(head(number + 1), 0) <= MAX_PENDING
