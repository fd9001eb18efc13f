"""A block is final by the blocks on top of it, not by the number of the latest block that some node shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from millmark.ledger.canonical import sha256
from millmark.ledger.chain import Chain, Head, Sight
from millmark.ledger.errors import ChainError, ChainUnreachableError
from millmark.ledger.events import Header
from millmark.ledger.submit.tracker import find_settled

DEPTH = 3


def hash_of(number: int, name: str = "chain") -> bytes:
    return sha256(f"{name}/{number}".encode())


def header(number: int, name: str = "chain") -> Header:
    return Header(number, hash_of(number, name), hash_of(number - 1, name), 0, bytes(256), bytes(32))


class Shown:
    """A node that shows some headers; in place of a chain, since nothing else of it is asked."""

    def __init__(self, headers: dict[int, Header | ChainError]) -> None:
        self.headers = headers
        self.asked: list[Sequence[int]] = []

    @property
    def node(self) -> Shown:
        return self

    def find_headers(self, numbers: Sequence[int]) -> list[Header | ChainError | None]:
        self.asked.append(numbers)
        return [self.headers.get(number) for number in numbers]


def find(shown: Shown, blocks: list[tuple[int, bytes]], head: int = 13, depth: int = DEPTH) -> set[bytes]:
    sight = Sight(Head(head, hash_of(head), 0), 0, head - depth)
    return find_settled(cast("Chain", shown), blocks, sight)


@pytest.fixture
def shown() -> Shown:
    return Shown({number: header(number) for number in range(14)})


def test_a_block_with_enough_others_on_top_is_final(shown: Shown) -> None:
    blocks = [(number, hash_of(number)) for number in (4, 9, 10, 11)]
    assert find(shown, blocks) == {hash_of(4), hash_of(9), hash_of(10)}
    assert shown.asked == [[5, 6, 7, 10, 11, 12, 13]], "all in one question, each block once"


def test_a_block_of_a_fork_is_not(shown: Shown) -> None:
    """Neither with the chain's blocks on top of it, nor with fewer of its own than it takes."""
    assert find(shown, [(9, hash_of(9, "fork")), (9, hash_of(9))]) == {hash_of(9)}
    shown.headers |= {number: header(number, "fork") for number in (9, 10, 11)}
    assert find(shown, [(9, hash_of(9, "fork"))]) == set()


def test_a_header_that_is_not_shown_makes_nothing_final(shown: Shown) -> None:
    del shown.headers[12]
    assert find(shown, [(9, hash_of(9)), (8, hash_of(8))]) == {hash_of(8)}
    shown.headers[11] = ChainUnreachableError("the line is cut")
    assert find(shown, [(8, hash_of(8)), (7, hash_of(7))]) == {hash_of(7)}


def test_where_blocks_are_final_at_once_nothing_is_asked(shown: Shown) -> None:
    assert find(shown, [(13, hash_of(13)), (14, hash_of(14))], depth=0) == {hash_of(13)}
    assert find(shown, [(12, hash_of(12))]) == set()
    assert shown.asked == []


def test_where_one_block_on_top_suffices_it_has_to_name_the_one_below(shown: Shown) -> None:
    assert find(shown, [(12, hash_of(12, "fork")), (11, hash_of(11))], depth=1) == {hash_of(11)}
