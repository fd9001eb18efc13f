"""The benchmark of setpoints in its quick form."""

from __future__ import annotations

from typing import cast

from tests.bench.quality.process import run_control, run_process


def test_random_states_settle_inside_from_both_ends() -> None:
    found = run_process(1)
    assert found.passed
    settling = cast("dict[str, object]", found.answer["settling"])
    assert settling["states"] == 10_000
    assert settling["inside"] is True


def test_disturbed_runs_leave_no_limit() -> None:
    _, answer, _ = run_control(3)
    assert answer["violated"] == 0
    assert int(str(answer["proposed"])) >= 30
