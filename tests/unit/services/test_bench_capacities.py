"""What private capacities cost: an instance with too few windows for a plan is a result, and stops nothing."""

from __future__ import annotations

from tests.bench.capacities import compare_capacities


def test_an_instance_without_a_plan_on_its_few_windows_is_counted() -> None:
    found = list(compare_capacities([8], [1, 2], cpu_s=0.2, windows=1))
    assert [one.private is None for one in found] == [False, True]
    assert [one.ratio is None for one in found] == [False, True]
    assert all(one.known > 0 and one.shown < one.free for one in found)
