"""Drift: no alarm for unchanged data, an alarm for data that have changed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from millmark.quality.drift import ALARM_PSI, GROUP, Histogram, Reference, build_reference, parse_reference, watch
from millmark.quality.errors import InputError

Integers = NDArray[np.int64]


def draw_series(rng: np.random.Generator, rows: int) -> tuple[NDArray[np.int8], Integers]:
    """Noise on a tone of random phase (rows, 100) as words, and a margin that depends on it."""
    phase = rng.uniform(0, 6, size=(rows, 1))
    wave = 40 * np.sin(np.arange(100) / 5 + phase) + rng.normal(0, 12, size=(rows, 100))
    words = np.clip(np.rint(wave), -127, 127).astype(np.int8)
    return words, (words[:, :10].astype(np.int64).sum(axis=1) + rng.integers(-50, 50, size=rows)).astype(np.int64)


def draw_table(rng: np.random.Generator, rows: int) -> tuple[NDArray[np.int32], Integers]:
    """Six columns (rows, 6): normal, skewed, two-valued, constant; and a margin."""
    columns = (
        rng.normal(0, 1000, rows),
        rng.exponential(500, rows),
        rng.integers(0, 2, rows),
        np.full(rows, 7),
        rng.uniform(-9, 9, rows),
        rng.poisson(3, rows),
    )
    table = np.stack(columns, axis=1).astype(np.int32)
    return table, (table[:, 0].astype(np.int64) + table[:, 1]).astype(np.int64)


DRAW: dict[str, Callable[[np.random.Generator, int], tuple[NDArray[np.signedinteger], Integers]]] = {
    "series": draw_series,
    "table": draw_table,
}


@pytest.mark.parametrize("kind", DRAW)
def test_unchanged_data_raise_no_alarm(kind: str) -> None:
    """100 references with twice 200 inspections each; the largest index is far below the alarm's."""
    largest = 0.0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        drift = watch(build_reference(*DRAW[kind](rng, 700)), *DRAW[kind](rng, 2 * GROUP))
        assert drift.alarms == ()
        largest = max(largest, *drift.latest.values())
    assert largest < ALARM_PSI


CHANGES: dict[str, tuple[str, Callable[[NDArray[np.int8]], NDArray[np.int64]]]] = {
    "an offset": ("sum", lambda words: words.astype(np.int64) + 15),
    "half the gain": ("sum of magnitudes", lambda words: words.astype(np.int64) // 2),
    "a stuck sensor": ("sum of steps", lambda words: np.repeat(words[:, :1].astype(np.int64), 100, axis=1)),
    "a louder sensor": ("highest", lambda words: np.clip(words.astype(np.int64) * 2, -127, 127)),
    "a smoother signal": (
        "sum of steps",
        lambda words: np.apply_along_axis(np.convolve, 1, words.astype(np.int64), [1, 1, 1], "same") // 3,
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_the_signal_is_named(name: str) -> None:
    statistic, change = CHANGES[name]
    rng = np.random.default_rng(1)
    reference = build_reference(*draw_series(rng, 700))
    words, margins = draw_series(rng, 2 * GROUP)
    assert statistic in watch(reference, change(words), margins).alarms


def test_one_changed_column_of_a_table_is_named_and_the_others_are_not() -> None:
    rng = np.random.default_rng(2)
    reference = build_reference(*draw_table(rng, 700))
    table, margins = draw_table(rng, 2 * GROUP)
    table[:, 3] = 8
    assert watch(reference, table, margins).alarms == ("column 3",)


def test_changed_margins_are_named() -> None:
    rng = np.random.default_rng(3)
    reference = build_reference(*draw_series(rng, 700))
    words, margins = draw_series(rng, 2 * GROUP)
    assert watch(reference, words, margins + 400).alarms == ("margin",)


def test_one_odd_group_is_no_alarm_and_two_are() -> None:
    rng = np.random.default_rng(4)
    reference = build_reference(*draw_series(rng, 700))
    words, margins = draw_series(rng, 3 * GROUP)
    margins[2 * GROUP :] += 400
    odd = watch(reference, words, margins)
    assert odd.latest["margin"] > ALARM_PSI
    assert odd.alarms == ()
    margins[GROUP:] += 400
    assert watch(reference, words, margins).alarms == ("margin",)


@pytest.mark.parametrize(("rows", "groups"), [(0, 0), (GROUP - 1, 0), (GROUP, 1), (3 * GROUP - 1, 2)])
def test_rows_after_the_last_whole_group_wait(rows: int, groups: int) -> None:
    rng = np.random.default_rng(5)
    drift = watch(build_reference(*draw_series(rng, 700)), *draw_series(rng, rows))
    assert (drift.inspections, drift.groups, bool(drift.latest)) == (rows, groups, groups > 0)


def a_reference() -> Reference:
    return build_reference(*draw_table(np.random.default_rng(6), 100))


def test_a_reference_survives_its_card() -> None:
    reference = a_reference()
    assert parse_reference(json.loads(json.dumps(reference.describe()))) == reference


def test_another_models_reference_is_refused() -> None:
    with pytest.raises(InputError, match="belongs to another model"):
        watch(a_reference(), *draw_series(np.random.default_rng(7), 10))


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(InputError, match="19 rows"):
        build_reference(*draw_table(np.random.default_rng(8), 19))


BROKEN: dict[str, object] = {
    "nothing": None,
    "no statistics": {"rows": 5, "statistics": {}},
    "too many statistics": {
        "rows": 5,
        "statistics": {str(n): {"edges": [1, 2], "counts": [1, 1, 1]} for n in range(66)},
    },
    "a field too many": {"rows": 5, "statistics": {}, "more": 1},
    "no edges": {"rows": 5, "statistics": {"margin": {"counts": [1, 1, 1]}}},
    "a statistic that is a list": {"rows": 5, "statistics": {"margin": [1]}},
}
CHANGED: dict[str, tuple[str, object]] = {
    "edges that do not ascend": ("edges", [2, 2]),
    "one edge": ("edges", [2]),
    "a fraction": ("edges", [1.5, 2]),
    "a truth": ("edges", [True, 2]),
    "a huge edge": ("edges", [1, 2**62]),
    "a count too few": ("counts", [1, 1]),
    "a negative count": ("counts", [3, -1, 1]),
    "nothing counted": ("counts", [0, 0, 0]),
}
for _name, (_field, _value) in CHANGED.items():
    _fields: dict[str, object] = {"edges": [1, 2], "counts": [1, 1, 1]}
    BROKEN[_name] = {"rows": 5, "statistics": {"margin": {**copy.copy(_fields), _field: _value}}}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_reference_is_refused(name: str) -> None:
    with pytest.raises(InputError):
        parse_reference(BROKEN[name])


def test_the_index_is_zero_for_equal_shares_and_grows_with_the_shift() -> None:
    histogram = Histogram((0, 10, 20), (0, 100, 100, 0))
    same = np.array([5, 15] * 100)
    indexes = [histogram.stability(np.concatenate([same[moved:], np.full(moved, 25)])) for moved in (0, 10, 50, 150)]
    assert indexes[0] == pytest.approx(0, abs=1e-12)
    assert indexes == sorted(indexes)
