"""From logits to verdict, and which decisions are canonical."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.quality import Decision, ModelError, Verdict


def test_one_logit_fails_from_the_threshold_on() -> None:
    decision = Decision(outputs=1, rejects=1, threshold=10)
    assert [decision.judge([logit]) for logit in (9, 10, 11)] == [Verdict.PASS, Verdict.FAIL, Verdict.FAIL]
    assert [decision.classify([logit]) for logit in (9, 10)] == [0, 1]
    assert (Verdict.PASS, Verdict.FAIL) == (1, 2)


@pytest.mark.parametrize(
    ("logits", "margin", "verdict", "shown"),
    [
        ([5, 1, 2], -3, Verdict.PASS, 0),
        ([5, 8, 2], 3, Verdict.FAIL, 1),
        ([5, 5, 5], 0, Verdict.FAIL, 0),
        ([5, 1, 4], -1, Verdict.PASS, 0),
        ([-(2**31), 0, 2**31 - 1], 2**32 - 1, Verdict.FAIL, 2),
    ],
)
def test_several_logits(logits: list[int], margin: int, verdict: Verdict, shown: int) -> None:
    decision = Decision(outputs=3, rejects=0b110, threshold=0)
    assert decision.margin(logits) == margin
    assert decision.judge(logits) is verdict
    assert decision.classify(logits) == shown


def test_the_threshold_can_disagree_with_the_class_that_is_shown() -> None:
    decision = Decision(outputs=2, rejects=0b10, threshold=-100)
    assert decision.judge([50, 0]) is Verdict.FAIL
    assert decision.classify([50, 0]) == 0


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=2, max_size=32))
def test_where_all_are_rejected_everything_fails(logits: list[int]) -> None:
    decision = Decision(len(logits), 2 ** len(logits) - 1, 0)
    assert decision.judge(logits) is Verdict.FAIL
    assert decision.accepted == ()


@given(st.data(), st.integers(2, 32))
def test_margin_and_class_agree_at_threshold_zero_unless_they_tie(data: st.DataObject, outputs: int) -> None:
    rejects = data.draw(st.integers(1, 2**outputs - 2))
    logits = data.draw(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=outputs, max_size=outputs, unique=True))
    decision = Decision(outputs, rejects, 0)
    assert sorted(decision.rejected + decision.accepted) == list(range(outputs))
    assert (decision.judge(logits) is Verdict.FAIL) == bool(rejects >> decision.classify(logits) & 1)


@pytest.mark.parametrize(
    ("outputs", "rejects", "threshold"),
    [
        (0, 1, 0),
        (33, 1, 0),
        (1, 0, 0),
        (1, 2, 0),
        (1, 3, 0),
        (2, 0, 0),
        (2, 4, 0),
        (2, 5, 0),
        (2, 3, 1),
        (2, 3, -1),
        (32, 2**32 - 1, 7),
        (32, 2**32, 0),
        (1, 1, 2**31),
        (1, 1, -(2**31)),
    ],
)
def test_other_decisions_are_refused(outputs: int, rejects: int, threshold: int) -> None:
    with pytest.raises(ModelError):
        Decision(outputs, rejects, threshold)
