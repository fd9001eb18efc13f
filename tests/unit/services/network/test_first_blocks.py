"""Validators of a new network are started together until blocks come, however often they stand still at first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from millmark.services.network import NodeProgramError
from millmark.services.network.processes import FIRST_BLOCKS, start_together


@dataclass
class _Signer:
    """A signer's process. `numbers`: its latest block after each start."""

    url: str
    numbers: Sequence[int]
    has_data: bool = False
    is_running: bool = False
    done: list[str] = field(default_factory=list)

    def start(self) -> None:
        assert not self.is_running
        self.is_running = self.has_data = True
        self.done.append("start")

    def wait_ready(self, timeout_s: float = 1.0) -> None:
        assert self.is_running
        assert timeout_s == 7.0

    def stop(self) -> None:
        self.is_running = False

    def erase(self) -> None:
        assert not self.is_running
        self.has_data = False
        self.done.append("erase")

    @property
    def number(self) -> int:
        return self.numbers[self.done.count("start") - 1]


def _start(signers: Sequence[_Signer]) -> int:
    found = {one.url: one for one in signers}
    return start_together(signers, 7.0, wait_s=0, number_of=lambda url: found[url].number)


def _signers(*numbers: Sequence[int], has_data: bool = False) -> list[_Signer]:
    return [_Signer(str(place), each, has_data) for place, each in enumerate(numbers)]


def test_a_network_whose_blocks_come_is_started_once() -> None:
    signers = _signers([FIRST_BLOCKS], [FIRST_BLOCKS + 4])
    assert _start(signers) == 1
    assert all(one.done == ["start"] for one in signers)


def test_a_new_network_that_stands_still_begins_again() -> None:
    """One signer that is left behind alone is enough: it has a fork of its own."""
    signers = _signers([1, 1, FIRST_BLOCKS], [FIRST_BLOCKS, 1, FIRST_BLOCKS])
    assert _start(signers) == 3
    assert all(one.done == ["start", "erase", "start", "erase", "start"] for one in signers)
    assert all(one.is_running for one in signers)


def test_one_that_stands_still_each_time_is_given_up() -> None:
    signers = _signers([1, -1, 0], [1, 1, 1])
    with pytest.raises(NodeProgramError, match="a new network of 2 validators stood still 3 times"):
        _start(signers)
    assert not any(one.is_running for one in signers)


def test_data_that_were_there_before_are_never_erased() -> None:
    """A chain that is halted may have years of blocks."""
    signers = [*_signers([1]), *_signers([1], has_data=True)]
    assert _start(signers) == 1
    assert all(one.done == ["start"] and one.has_data for one in signers)
