"""Outbox, chain and index together, as Hypothesis drives them; many more runs with `scripts/prove joined`."""

from __future__ import annotations

from hypothesis import settings

from tests.proofs.joined_model import JoinedModel

TestJoined = JoinedModel.TestCase
TestJoined.settings = settings(max_examples=30, stateful_step_count=40)


def test_a_repeated_request_is_answered_with_the_record_that_the_backup_lacks() -> None:
    model = JoinedModel()
    try:
        model.found(seed=5, most=3)
        model.submit(1, [0])
        model.back_up()
        model.restore(1, [1, 0])
        assert len(model.node.blocks[-1].made) == 3
    finally:
        model.teardown()
