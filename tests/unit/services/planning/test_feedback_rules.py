"""The rule table: what a cause leads to, from every place on the ladder."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.errors import PlanError
from millmark.ledger.plans.plan import CauseKind
from millmark.services.planning.feedback.causes import (
    LADDER,
    RECOVERY,
    RULES,
    Condition,
    MachineCause,
    Outcome,
    Step,
    judge,
    judge_elsewhere,
)


def cause(kind: CauseKind, since_s: int, record: int = 1, at_s: int | None = None) -> MachineCause:
    return MachineCause(kind, 17, "it happened", since_s, since_s if at_s is None else at_s, record)


def climb(condition: Condition, kinds: list[CauseKind]) -> tuple[Condition, list[Step]]:
    taken: list[Step] = []
    for number, kind in enumerate(kinds):
        judged = judge(condition, cause(kind, condition.since_s + 1, number))
        condition, taken = judged.condition, [*taken, *judged.steps]
    return condition, taken


def test_drift_leads_to_settings_first_then_derating_then_withdrawal_then_another_plan() -> None:
    condition, steps = climb(Condition(), [CauseKind.DRIFT] * 4)
    assert steps == [Step.SETPOINT, Step.DERATE, Step.DERATE, Step.WITHDRAW, Step.REPLAN]
    assert condition.efficiency_per_mille == 0
    assert judge(condition, cause(CauseKind.DRIFT, condition.since_s + 1)).outcome is Outcome.EXHAUSTED


def test_every_kind_about_a_machine_has_a_rule_and_ends_where_it_says() -> None:
    assert RULES.keys() == set(CauseKind) - {CauseKind.CALL}
    for kind, rule in RULES.items():
        condition, steps = climb(Condition(), [kind] * 3 * (len(LADDER) + 1))
        assert condition.rung == rule.last, kind
        assert (Step.WITHDRAW in steps) == (rule.last == len(LADDER))


def test_one_failing_certificate_is_chance_and_two_are_not() -> None:
    first = judge(Condition(), cause(CauseKind.CERTIFICATE, 1))
    assert (first.outcome, first.steps) == (Outcome.COUNTED, ())
    assert judge(first.condition, cause(CauseKind.CERTIFICATE, 2, 2)).steps == (Step.SETPOINT,)


def test_what_was_measured_before_a_step_does_not_count_against_it() -> None:
    condition = judge(Condition(), cause(CauseKind.DRIFT, 10, at_s=50)).condition
    assert judge(condition, cause(CauseKind.DRIFT, 49, 2)).outcome is Outcome.EARLIER
    assert judge(condition, cause(CauseKind.DRIFT, 51, 3)).steps == (Step.DERATE,)


def test_work_that_began_in_the_very_second_of_a_step_says_nothing_about_it() -> None:
    condition = judge(Condition(), cause(CauseKind.DRIFT, 10, at_s=50)).condition
    assert judge(condition, cause(CauseKind.DRIFT, 50, 2, at_s=70)).outcome is Outcome.EARLIER
    assert condition.observe(good=True, since_s=50, at_s=70) == (condition, False)
    assert condition.observe(good=False, since_s=50, at_s=70) == (condition, False)
    late = judge_elsewhere(judge_elsewhere(Condition(), cause(CauseKind.LATE, 5)).condition, cause(CauseKind.LATE, 6))
    assert judge_elsewhere(late.condition, cause(CauseKind.LATE, 6, 2, at_s=9)).outcome is Outcome.EARLIER


def test_what_is_said_in_the_very_second_of_a_step_was_said_after_it() -> None:
    condition = judge(Condition(), cause(CauseKind.DRIFT, 50)).condition
    assert judge(condition, cause(CauseKind.MACHINE_DOWN, 50, 2)).steps == (Step.WITHDRAW, Step.REPLAN)
    mended, _ = judge(condition, cause(CauseKind.MACHINE_DOWN, 50, 2)).condition.lift(60)
    assert judge(mended, cause(CauseKind.MACHINE_DOWN, 60, 3)).steps == (Step.WITHDRAW, Step.REPLAN)
    assert judge_elsewhere(condition, cause(CauseKind.DECLINED, 50)).steps == (Step.REPLAN,)


def test_recovered_verdicts_take_back_one_step_at_a_time() -> None:
    condition, _ = climb(Condition(), [CauseKind.DRIFT] * 3)
    efficiencies = []
    while condition.rung:
        for number in range(RECOVERY):
            at_s = condition.since_s + 1
            condition, lifted = condition.observe(good=True, since_s=at_s, at_s=at_s)
            assert lifted == (number == RECOVERY - 1)
        efficiencies.append(condition.efficiency_per_mille)
    assert efficiencies == [950, 1000, 1000]


def test_a_bad_verdict_begins_the_count_anew_and_old_work_does_not_count() -> None:
    condition, _ = climb(Condition(), [CauseKind.DRIFT, CauseKind.DRIFT])
    for _ in range(RECOVERY - 1):
        condition, _ = condition.observe(good=True, since_s=condition.since_s + 1, at_s=100)
    condition, lifted = condition.observe(good=True, since_s=condition.since_s - 1, at_s=100)
    assert not lifted
    assert condition.good == RECOVERY - 1
    condition, _ = condition.observe(good=False, since_s=condition.since_s + 1, at_s=100)
    assert condition.good == 0
    assert condition.rung == 2


def test_a_machine_that_failed_is_as_good_as_before_once_it_is_mended() -> None:
    judged = judge(Condition(), cause(CauseKind.MACHINE_DOWN, 5))
    assert judged.steps == (Step.WITHDRAW, Step.REPLAN)
    assert judged.condition.lift(9)[0].efficiency_per_mille == 1000
    drifted, _ = climb(Condition(), [CauseKind.DRIFT] * 4)
    assert drifted.lift(9)[0].efficiency_per_mille == LADDER[2].efficiency_per_mille


def test_nothing_is_held_against_a_machine_that_was_overhauled() -> None:
    drifted, _ = climb(Condition(), [CauseKind.DRIFT] * 3)
    renewed, was_held = judge(drifted, cause(CauseKind.CERTIFICATE, 40)).condition.renew(50)
    assert (was_held, renewed) == (True, Condition(since_s=50))
    assert renewed.renew(60) == (Condition(since_s=60), False)
    # What was measured before says nothing about it, and what is measured now begins on the first rung.
    assert judge(renewed, cause(CauseKind.DRIFT, 50, 9, at_s=70)).outcome is Outcome.EARLIER
    assert judge(renewed, cause(CauseKind.DRIFT, 51, 9)).steps == (Step.SETPOINT,)


def test_refused_settings_lead_to_the_next_rung_at_once() -> None:
    condition = judge(Condition(), cause(CauseKind.DRIFT, 5)).condition
    assert condition.pass_over(CauseKind.DRIFT, 6).steps == (Step.DERATE,)
    assert condition.pass_over(CauseKind.ENERGY, 6).steps == (Step.DERATE,)


def test_another_company_asks_only_whether_the_plan_is_replaced() -> None:
    assert judge_elsewhere(Condition(), cause(CauseKind.DRIFT, 5)).outcome is Outcome.ELSEWHERE
    assert judge_elsewhere(Condition(), cause(CauseKind.DECLINED, 5)).steps == (Step.REPLAN,)
    late = judge_elsewhere(Condition(), cause(CauseKind.LATE, 5))
    assert (late.outcome, late.steps) == (Outcome.COUNTED, ())
    assert judge_elsewhere(late.condition, cause(CauseKind.LATE, 6)).steps == (Step.REPLAN,)
    assert judge_elsewhere(late.condition, cause(CauseKind.LATE, 6)).condition.rung == 0


KINDS = st.sampled_from(sorted(RULES))


@given(st.lists(st.tuples(st.booleans(), KINDS, st.integers(-5, 5)), max_size=60))
def test_wherever_it_stands_a_machine_moves_by_one_rung_and_within_its_rule(
    happened: list[tuple[bool, CauseKind, int]],
) -> None:
    condition, at_s = Condition(), 100
    for number, (is_cause, kind, offset) in enumerate(happened):
        at_s += 3
        before = condition
        if is_cause:
            judged = judge(before, cause(kind, at_s + min(offset, 0), number, at_s))
            condition, rule = judged.condition, RULES[kind]
            assert condition.rung in (before.rung, max(before.rung + 1, rule.first))
            assert condition.rung <= max(before.rung, rule.last)
            assert (judged.outcome is Outcome.ACTED) == (condition.rung > before.rung or not rule.first)
            assert (Step.WITHDRAW in judged.steps) == (before.rung < condition.rung == len(LADDER))
        else:
            condition, lifted = before.observe(good=offset > 0, since_s=at_s, at_s=at_s)
            assert lifted == (condition.rung < before.rung)
        assert 0 <= condition.rung <= len(LADDER)
        assert condition.below <= max(condition.rung - 1, 0)


def test_causes_are_named_by_their_evidence_alone() -> None:
    first = MachineCause(CauseKind.DRIFT, 17, "a", 1, 2, None, b"\1" * 32, 3, b"\2" * 32)
    assert first.id == MachineCause(CauseKind.DRIFT, 17, "told otherwise", 0, 9, None, b"\1" * 32, 3, b"\2" * 32).id
    others = {
        MachineCause(CauseKind.DRIFT, 18, "a", 1, 2, None, b"\1" * 32, 3, b"\2" * 32).id,
        MachineCause(CauseKind.DRIFT, 17, "a", 1, 2, None, b"\1" * 32, 4, b"\2" * 32).id,
        MachineCause(CauseKind.MACHINE_DOWN, 17, "a", 1, 2, None, b"\1" * 32, 3, b"\2" * 32).id,
        MachineCause(CauseKind.DRIFT, 17, "a", 1, 2, 3).id,
    }
    assert first.id not in others
    assert len(others) == 4


@pytest.mark.parametrize(
    "fields",
    [
        (CauseKind.CALL, 17, "", 1, 1, 3),
        (CauseKind.DRIFT, 0, "", 1, 1, 3),
        (CauseKind.DRIFT, 17, "", 2, 1, 3),
        (CauseKind.DRIFT, 17, "", 1, 1),
        (CauseKind.DRIFT, 17, "", 1, 1, 3, b"\1" * 32, 4),
        (CauseKind.DRIFT, 17, "", 1, 1, None, b"\1" * 31, 4),
    ],
)
def test_causes_without_evidence_or_machine_or_sense_are_refused(fields: tuple[object, ...]) -> None:
    with pytest.raises(PlanError):
        MachineCause(*fields)  # type: ignore[arg-type]  # that is the point


def test_the_page_has_the_rules_as_they_are() -> None:
    page = (files("millmark.services.planning") / "FEEDBACK.md").read_text("utf-8")
    for kind, rule in RULES.items():
        places = (str(rule.first), str(rule.last)) if rule.first else ("-", "-")
        again = "yes" if rule.replans else "no"
        assert f"| `{kind}` | {' | '.join(places)} | {rule.least} | {again} |" in page
    for number, rung in enumerate(LADDER, 1):
        share = f"{rung.efficiency_per_mille // 10} % of its speed" if rung.efficiency_per_mille else "nothing"
        assert re.search(rf"^\| {number} \|[^|]*\| {share} \|$", page, re.MULTILINE)
    assert f"- {RECOVERY} passing certificates in a row" in page
