"""The benchmark of setpoints in its quick form."""

from __future__ import annotations

from tests.bench.quality.process import run_control, run_settling


def test_random_states_settle_inside_from_both_ends() -> None:
    _, answer, passed = run_settling()
    assert passed
    assert answer["states"] == 10_000
    assert answer["inside"] is True


def test_disturbed_runs_leave_no_limit() -> None:
    _, answer, _ = run_control(3)
    assert answer["violated"] == 0
    assert int(str(answer["proposed"])) >= 30
