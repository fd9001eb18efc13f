"""The bytes of a process model, and what is computed with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millmark.quality.errors import InferenceError, InputError, ModelError
from millmark.quality.process import build_process_model, parse_process_model
from millmark.quality.process.arrays import SETTLED, Simulator, from_words, logistic, settle, to_words
from millmark.quality.process.records import LIMIT, ONE, Pair, ProcessModel, Role, System
from tests.unit.quality.process.samples import MODEL, moulder, random_states, telemetry_rows


def test_bytes_and_model_are_one() -> None:
    content = MODEL.read_bytes()
    assert build_process_model(parse_process_model(content)) == content


def test_every_prefix_is_refused_and_so_is_what_follows() -> None:
    content = MODEL.read_bytes()
    for end in range(0, len(content), 97):
        with pytest.raises(ModelError):
            parse_process_model(content[:end])
    with pytest.raises(ModelError, match="follow the model"):
        parse_process_model(content + b"\0")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(MODEL.read_bytes()) - 1), st.integers(1, 255))
def test_a_changed_byte_makes_another_model_or_none(place: int, change: int) -> None:
    content = bytearray(MODEL.read_bytes())
    content[place] ^= change
    try:
        found = parse_process_model(bytes(content))
    except ModelError:
        return
    assert build_process_model(found) == bytes(content)


REFUSED = [
    ("the order of the columns", lambda m: replace(m, columns=(m.columns[-1], *m.columns[:-1]))),
    (
        "two columns of one name",
        lambda m: replace(m, columns=(m.columns[0], replace(m.columns[1], name="temperature"), *m.columns[2:])),
    ),
    ("a gate for another number of columns", lambda m: replace(m, gate=m.gate[:-1])),
    ("a gate that names no system", lambda m: replace(m, gate=b"\x02" + m.gate[1:])),
    ("no system", lambda m: replace(m, systems=())),
    ("a backlog without phi and psi", lambda m: replace(m, utilisation=None)),
    ("an error too few", lambda m: replace(m, errors=m.errors[1:])),
    ("seconds of 0", lambda m: replace(m, step_s=0)),
    ("a sum that can reach 2^53", lambda m: replace(m, systems=(_grown(m.systems[0]), *m.systems[1:]))),
    ("a name with capitals", lambda m: replace(m, columns=(replace(m.columns[0], name="Speed"), *m.columns[1:]))),
    ("a spread of 0", lambda m: replace(m, columns=(replace(m.columns[0], spread=0), *m.columns[1:]))),
]


def _grown(system: System) -> System:
    linear = system.linear.copy()
    linear[0] = 2**28
    return replace(system, linear=linear)


@pytest.mark.parametrize(("what", "change"), REFUSED, ids=[what for what, _ in REFUSED])
def test_refuses(what: str, change: Callable[[ProcessModel], object]) -> None:
    with pytest.raises(ModelError):
        change(moulder())


def test_phi_that_does_not_contract_is_refused() -> None:
    utilisation = moulder().utilisation
    assert utilisation is not None
    pair = utilisation.phi
    steep = pair.inner.copy()
    steep[:, -1] = 4 * ONE
    with pytest.raises(ModelError, match="may change by"):
        Pair(steep, pair.inner_bias, np.full_like(pair.outer, 4 * ONE), pair.bias)


def test_the_logistic_curve_is_within_a_thousandth_and_rises() -> None:
    logits = np.arange(-12 * ONE, 12 * ONE, 997)
    found = logistic(logits)
    exact = 65536 / (1 + np.exp(-np.clip(logits / ONE, -8, 8)))
    assert np.abs(found - exact).max() < 20
    assert (np.diff(found) >= 0).all()
    assert found.min() >= 0
    assert found.max() <= ONE


def test_values_return_from_their_words() -> None:
    columns = moulder().columns
    rows = telemetry_rows()
    back = from_words(columns, to_words(columns, rows))
    spreads = np.array([column.spread for column in columns])
    assert (np.abs(back - rows) <= spreads // ONE + 1).all()


def test_a_value_beyond_53_bits_is_refused() -> None:
    with pytest.raises(InputError, match="2\\^53"):
        to_words(moulder().columns[:1], np.array([[2**53]]))


def test_shares_settle_from_any_state_and_stay_within_0_and_1() -> None:
    states = random_states(500, 3)
    utilisation = moulder().utilisation
    assert utilisation is not None
    eta, e = settle(utilisation, states)
    assert ((eta >= 0) & (eta <= ONE) & (e >= 0) & (e <= ONE)).all()
    # From the other end, the same point: there is one.
    high = np.full(len(states), ONE)
    again = settle(utilisation, states, (high, high))
    assert max(np.abs(eta - again[0]).max(), np.abs(e - again[1]).max()) <= 10 * SETTLED


def test_shares_that_do_not_settle_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millmark.quality.process.arrays.MOST_ROUNDS", 1)
    with pytest.raises(InferenceError, match="do not settle"):
        settle(moulder().utilisation, random_states(5, 1))


def test_each_future_is_the_same_alone_and_beside_others() -> None:
    model, rows = moulder(), telemetry_rows()
    history = np.stack([rows[at : at + 10] for at in (20, 60, 100)])
    inputs = np.stack([rows[at + 9 : at + 24, model.predicted :] for at in (20, 60, 100)])
    arrivals = np.full((3, 15), 8000)
    together = Simulator(model).roll(history, inputs, arrivals)
    for place in range(3):
        alone = Simulator(model).roll(history[place : place + 1], inputs[place : place + 1], arrivals[:1])
        assert (alone.states[0] == together.states[place]).all()
        assert (alone.eta[0] == together.eta[place]).all()
        assert (alone.backlog[0] == together.backlog[place]).all()


def test_work_is_conserved() -> None:
    model, rows = moulder(), telemetry_rows()
    utilisation = model.utilisation
    assert utilisation is not None
    n = model.predicted
    found = Simulator(model).roll(rows[np.newaxis, :10], rows[np.newaxis, 9:39, n:], np.full((1, 30), 500))
    before = int(rows[9, model.find(Role.BACKLOG)[0]])
    for step in range(30):
        done = (utilisation.capacity * (int(found.eta[0, step] * found.effectiveness[0, step]) >> 16)) >> 16
        there = before + 500
        before = int(found.backlog[0, step])
        assert before == there - min(done, there)
        assert before >= 0


def test_an_anchored_machine_that_stands_still_stays_where_it_is() -> None:
    model = _anchored()
    row = telemetry_rows()[50:51]
    history = np.repeat(row, model.history, axis=0)[np.newaxis]
    inputs = np.repeat(row[:, model.predicted :], 40, axis=0)[np.newaxis]
    found = Simulator(model).roll(history, inputs)
    spread = np.array([column.spread for column in model.columns[: model.predicted]])
    assert (np.abs(found.states[0] - row[0, : model.predicted]) <= 1 + spread // ONE).all()


def _anchored() -> ProcessModel:
    model = moulder()
    system = replace(model.systems[0], anchored=True, bias=model.systems[0].bias * 0)
    return replace(model, systems=(system,), gate=bytes(model.predicted))


def test_a_state_that_runs_away_is_told() -> None:
    model = _anchored()
    system = model.systems[0]
    linear = system.linear + 0
    linear[:, : len(linear)] += 2 * ONE * np.eye(len(linear), dtype=np.int64)
    wild = replace(model, systems=(replace(system, anchored=False, linear=linear),))
    rows = telemetry_rows()
    found = Simulator(wild).roll(rows[np.newaxis, :10], rows[np.newaxis, 9:39, model.predicted :])
    assert found.ran_away.all()
    words = to_words(model.columns[: model.predicted], found.states)
    assert np.abs(words).max() <= LIMIT + 1


def test_too_short_a_history_is_refused() -> None:
    rows = telemetry_rows()
    with pytest.raises(InputError, match="rows of history"):
        Simulator(moulder()).roll(rows[np.newaxis, :1], rows[np.newaxis, 1:5, moulder().predicted :])
