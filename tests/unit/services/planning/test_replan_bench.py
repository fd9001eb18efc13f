"""The benchmark of replans: what it counts is what moved."""

from __future__ import annotations

from tests.bench.replanning import compare_replans


def test_what_was_on_the_failed_machine_moves_and_what_had_started_does_not() -> None:
    [found] = compare_replans([8], [0], 0.4, 0.4, 5.0)
    assert found.accepted == 24
    assert found.moved is not None
    assert found.least is not None
    assert found.lost <= found.least == found.moved <= found.open
