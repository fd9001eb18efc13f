"""Setpoints that are proposed, and the reasons for which none are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millmark.quality.errors import InputError
from millmark.quality.process import (
    Bound,
    MachineState,
    Prices,
    ProcessModel,
    Proposal,
    Reason,
    Refusal,
    Role,
    Step,
    propose_setpoint,
)
from millmark.quality.process.floats import Box, Floats, Limits, Search, build_objective, descend, project
from millmark.quality.process.proposals import parse_terms
from tests.unit.quality.process.samples import BOUNDS, LIMITS, PRICES, moulder, state_at, telemetry_rows


def propose(
    state: MachineState,
    *,
    model: ProcessModel | None = None,
    bounds: Mapping[str, Bound] = BOUNDS,
    limits: Mapping[str, tuple[int, int]] = LIMITS,
    prices: Prices = PRICES,
) -> Proposal | Refusal:
    return propose_setpoint(model or moulder(), state, bounds, limits, prices)


@pytest.mark.parametrize("minute", [60, 100, 150, 200])
def test_a_proposal_costs_less_within_bounds_rates_and_limits(minute: int) -> None:
    found = propose(state_at(minute))
    assert isinstance(found, Proposal)
    assert found.expected.cost < found.kept.cost
    assert found.expected.outside == 0
    before = found.present
    for move in (found.setpoints, *found.later):
        for name, bound in BOUNDS.items():
            assert bound.low <= move[name] <= bound.high
            assert abs(move[name] - before[name]) <= bound.rate
        before = move


def test_a_proposal_has_integers_alone_and_is_the_same_again() -> None:
    found, again = propose(state_at(100)), propose(state_at(100))
    assert found == again
    assert isinstance(found, Proposal)
    numbers = [*found.setpoints.values(), *found.expected.states.values(), found.expected.cost, found.expected.oee_ppm]
    assert all(type(number) is int for number in numbers)
    assert 0 <= found.expected.oee_ppm <= 1_000_000


def test_a_setpoint_without_bounds_stays() -> None:
    found = propose(state_at(100), bounds={"speed_set": BOUNDS["speed_set"]})
    assert isinstance(found, Proposal)
    assert found.setpoints["temperature_set"] == found.present["temperature_set"]
    assert found.setpoints["speed_set"] != found.present["speed_set"]


def _with(minute: int, name: str, value: float | None, back: int = 0) -> MachineState:
    state = state_at(minute)
    rows = [list(row) for row in state.rows]
    place = [column.name for column in moulder().columns].index(name)
    rows[-1 - back][place] = value
    return replace(state, rows=rows)


@pytest.mark.parametrize("value", [None, math.nan, math.inf, 1.5, 2**53])
def test_a_missing_value_is_refused(value: float | None) -> None:
    found = propose(_with(100, "pressure", value, back=1))
    assert isinstance(found, Refusal)
    assert found.reason is Reason.SENSOR_MISSING
    assert "pressure" in found.cause


def test_a_row_that_is_too_short_is_a_missing_value() -> None:
    state = state_at(100)
    found = propose(replace(state, rows=[*state.rows[:-1], state.rows[-1][:3]]))
    assert isinstance(found, Refusal)
    assert found.reason is Reason.SENSOR_MISSING


def test_a_stuck_sensor_is_refused() -> None:
    rows = telemetry_rows()[70:100].copy()
    rows[-8:, 0] = rows[-8, 0]
    found = propose(MachineState(rows.tolist(), 8000))
    assert isinstance(found, Refusal)
    assert found.reason is Reason.SENSOR_STUCK


def test_one_row_is_too_short() -> None:
    found = propose(replace(state_at(100), rows=state_at(100).rows[-1:]))
    assert isinstance(found, Refusal)
    assert found.reason is Reason.TOO_SHORT


@pytest.mark.parametrize(("name", "value"), [("temperature", 4_000_000), ("pressure", 0), ("energy", 900_000)])
def test_an_unseen_value_is_refused(name: str, value: int) -> None:
    found = propose(_with(100, name, value))
    assert isinstance(found, Refusal)
    assert found.reason is Reason.UNSEEN_REGIME


def test_values_that_never_met_are_an_unseen_regime() -> None:
    model = moulder()
    rows = telemetry_rows()[70:100].copy()
    # Each within its own range: a fast machine that draws no more than a slow one.
    rows[-1, 2], rows[-1, 3] = model.columns[2].high, model.columns[3].low
    rows[-1, 1] = model.columns[1].high
    found = propose(MachineState(rows.tolist(), 8000))
    assert isinstance(found, Refusal)
    assert found.reason is Reason.UNSEEN_REGIME
    assert "squared" in found.cause


def test_a_model_older_than_the_overhaul_is_refused() -> None:
    until = moulder().trained_until
    found = propose(replace(state_at(100), overhauled_at=until + 1))
    assert isinstance(found, Refusal)
    assert found.reason is Reason.OVERHAULED
    assert isinstance(propose(replace(state_at(100), overhauled_at=until)), Proposal)


def test_an_unstable_rollout_is_refused() -> None:
    model = moulder()
    wild = tuple(
        replace(system, linear=system.linear + 3 * 65536 * np.eye(*system.linear.shape, dtype=np.int64))
        for system in model.systems
    )
    found = propose(state_at(100), model=replace(model, systems=wild))
    assert isinstance(found, Refusal)
    assert found.reason is Reason.UNSTABLE


def test_a_present_setpoint_out_of_bounds_is_refused() -> None:
    found = propose(_with(100, "speed_set", 450_000))
    assert isinstance(found, Refusal)
    assert found.reason is Reason.LIMITS


def test_limits_that_nothing_keeps_are_refused() -> None:
    found = propose(state_at(100), limits={"temperature": (100_000, 200_000)})
    # Far above its limit, whatever is set: less of it may be proposed, but never more.
    assert isinstance(found, Proposal | Refusal)
    if isinstance(found, Proposal):
        assert found.expected.outside < found.kept.outside
    else:
        assert found.reason is Reason.LIMITS


def test_nothing_is_proposed_where_nothing_costs() -> None:
    found = propose(state_at(100), prices=Prices(), limits={})
    assert isinstance(found, Refusal)
    assert found.reason is Reason.NO_GAIN


@pytest.mark.parametrize(
    "changes",
    [
        {"bounds": {}},
        {"bounds": {"temperature": Bound(0, 1, 1)}},
        {"limits": {"speed_set": (0, 1)}},
        {"limits": {"speed": (1, 0)}},
    ],
)
def test_columns_that_are_not_there_are_errors(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        propose(state_at(100), **changes)


@pytest.mark.parametrize(
    "make", [lambda: Bound(2, 1, 1), lambda: Bound(1, 2, 0), lambda: Step(0, 1), lambda: Prices(-1)]
)
def test_terms_out_of_range_are_errors(make: Callable[[], object]) -> None:
    with pytest.raises(InputError):
        make()


def _search() -> tuple[Search, Floats]:
    model = moulder()
    n = model.predicted
    objective = build_objective(model, PRICES, Limits(np.full(n, -0.5), np.full(n, 0.5)), 50.0)
    search = Search(model, telemetry_rows()[90:100], 8000, 12, objective)
    return search, np.random.default_rng(2).normal(0, 0.7, (3, 12, 3))


def test_the_gradient_is_that_of_small_changes() -> None:
    search, moves = _search()
    _, slopes = search.evaluate(moves)
    draw = np.random.default_rng(5)
    for _ in range(12):
        change = draw.normal(0, 1, moves.shape) * 1e-6
        above, below = search.evaluate(moves + change)[0], search.evaluate(moves - change)[0]
        assert np.allclose(above - below, 2 * (slopes * change).sum(axis=(1, 2)), rtol=1e-3, atol=1e-9)


def test_torch_and_numpy_agree() -> None:
    from tests.unit.quality.process.gradient import cost_and_gradient  # noqa: PLC0415 - loads torch

    search, moves = _search()
    costs, slopes = search.evaluate(moves)
    for place in range(len(moves)):
        cost, slope = cost_and_gradient(moulder(), telemetry_rows()[90:100], 8000, search.objective, moves[place])
        assert math.isclose(cost, costs[place], rel_tol=1e-9)
        assert np.allclose(slope, slopes[place], rtol=1e-7, atol=1e-9)


def test_floats_follow_the_exact_rollout() -> None:
    from millmark.quality.process.arrays import (  # noqa: PLC0415 - used here only
        Simulator,
        cost_of,
        from_words,
    )

    model, rows = moulder(), telemetry_rows()
    n = model.predicted
    free = Limits(np.full(n, -np.inf), np.full(n, np.inf))
    search = Search(model, rows[90:100], 8000, 12, build_objective(model, PRICES, free, 0.0))
    moves = np.random.default_rng(2).normal(0, 0.7, (1, 12, 3))
    inputs = np.repeat(rows[99:100, n:], 12, axis=0)[np.newaxis].copy()
    places = model.find(Role.SETPOINT)
    columns = tuple(model.columns[place] for place in places)
    inputs[:, :, np.array(places) - n] = from_words(columns, np.rint(moves * 65536).astype(np.int64))
    exact = Simulator(model).roll(rows[np.newaxis, 90:100], inputs, np.full((1, 12), 8000))
    assert math.isclose(cost_of(model, exact, 0, PRICES), float(search.evaluate(moves)[0][0]), rel_tol=2e-3)


numbers = st.floats(-3, 3, allow_nan=False)


@settings(max_examples=60, deadline=None)
@given(st.lists(numbers, min_size=5, max_size=5), st.floats(0.05, 2), st.floats(-1, 1))
def test_projected_moves_are_within_bounds_and_rates_and_no_nearer_ones_are(
    moves: list[float], rate: float, present: float
) -> None:
    box = Box(np.array([-1.0]), np.array([1.0]), np.array([rate]), np.array([present]))
    wanted = np.array(moves)[np.newaxis, :, np.newaxis]
    found = project(wanted, box)[0, :, 0]
    path = np.concatenate([[present], found])
    assert (np.abs(np.diff(path)) <= rate + 1e-9).all()
    assert (np.abs(found) <= 1 + 1e-9).all()
    # Any feasible path is at least nearly as far: constant ones, and the same one moved towards what is wanted.
    for other in (np.full(5, present), np.clip(found * 0.9 + present * 0.1, -1, 1)):
        assert np.linalg.norm(found - moves) <= np.linalg.norm(other - np.array(moves)) + 0.02


def test_the_search_finds_the_least_of_a_bowl() -> None:
    aim = np.array([[0.3, -0.2], [0.5, 0.1]])
    weigh = np.array([1.0, 300.0])

    def bowl(moves: Floats) -> tuple[Floats, Floats]:
        return ((moves - aim) ** 2 * weigh).sum(axis=(1, 2)), 2 * (moves - aim) * weigh

    box = Box(np.full(2, -1.0), np.full(2, 1.0), np.full(2, 0.6), np.zeros(2))
    assert np.allclose(descend(bowl, box, np.zeros((2, 2))), aim, atol=1e-3)


TERMS = """[prices]
rate_per_hour = 6000
[horizon]
moves = 2
arrivals = 8
[setpoint.speed_set]
low = 22
high = 43.5
rate = 0.25
[limit.temperature]
low = 192
high = 224
"""


def test_terms_are_read_in_exact_decimals() -> None:
    terms = parse_terms(TERMS.encode(), moulder())
    assert terms.bounds == {"speed_set": Bound(220_000, 435_000, 2_500)}
    assert terms.limits == {"temperature": (1_920_000, 2_240_000)}
    assert terms.arrivals == 8000
    assert terms.step == Step(moves=2, hold=4)
    assert terms.prices == Prices(rate_per_hour=6000)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[prices]", "[price]"),
        ("rate_per_hour = 6000", "rate_per_hour = 60.5"),
        ("rate_per_hour = 6000", "rate = 1"),
        ("moves = 2", "moves = true"),
        ("speed_set", "other_set"),
        ("rate = 0.25", ""),
        ("rate = 0.25", "rate = nan"),
        ("rate = 0.25", "rate = 0.00001"),
        ("arrivals = 8", "arrivals = -1"),
        ("low = 22", 'low = "22"'),
        ("high = 224", "high = 1e400"),
        ("[limit.temperature]", "[limit.temperature"),
    ],
)
def test_terms_are_read_strictly(old: str, new: str) -> None:
    with pytest.raises(InputError):
        parse_terms(TERMS.replace(old, new, 1).encode(), moulder())
