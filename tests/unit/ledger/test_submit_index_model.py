"""Outbox, chain and index together, as Hypothesis drives them; many more runs with `scripts/prove joined`."""

from __future__ import annotations

from hypothesis import settings

from tests.support.joined_model import JoinedModel

TestJoined = JoinedModel.TestCase
TestJoined.settings = settings(max_examples=30, stateful_step_count=40)
