"""Training on telemetry: what is learned from the example's line, and telemetry that cannot be used."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from millmark.quality.__main__ import main
from millmark.quality.errors import InputError
from millmark.quality.process import build_process_model, parse_process_model
from millmark.quality.process.dynamics import fit_arx
from millmark.quality.process.records import ONE, Role
from millmark.quality.process.telemetry import (
    CAPACITY,
    SETPOINTS,
    STEP_S,
    Layout,
    Telemetry,
    load_telemetry,
    run_line,
    split_runs,
)
from millmark.quality.process.training import Recipe, TrainedProcess, build_process_card, train_process

LAYOUT = Layout(
    states=("temperature", "pressure", "speed"),
    setpoints=SETPOINTS,
    energy="energy",
    backlog="backlog",
    eta="eta",
    e="e",
    capacity=CAPACITY,
)
SMALL = Recipe(horizon=8, history=3, hidden=6, rounds=40, anchored=False)


@pytest.fixture(scope="module")
def line() -> tuple[Telemetry, Telemetry]:
    return run_line(500, 3)


@pytest.fixture(scope="module")
def trained(line: tuple[Telemetry, Telemetry]) -> TrainedProcess:
    return train_process(line[0], LAYOUT, SMALL)


def test_both_machines_of_the_line_are_learned_better_than_standing_still(
    line: tuple[Telemetry, Telemetry], trained: TrainedProcess
) -> None:
    for found in (trained, train_process(line[1], LAYOUT, SMALL)):
        assert found.errors["model"].mean() < 0.5 * found.errors["persistence"].mean()


def test_the_gate_keeps_the_better_of_network_and_arx_column_by_column(trained: TrainedProcess) -> None:
    errors = trained.errors
    assert (errors["model"] == np.minimum(errors["network"], errors["arx"])).all()
    if len(trained.model.systems) == 2:
        assert [one == 1 for one in trained.model.gate] == (errors["arx"] < errors["network"]).tolist()


def test_work_is_conserved_along_the_line(line: tuple[Telemetry, Telemetry]) -> None:
    """What the second machine has is what the first one made: the plant invents no work either."""
    backlog = line[1].select(("backlog",))[:, 0]
    assert (backlog >= 0).all()
    for telemetry in line:
        shares = telemetry.select(("eta", "e"))
        assert ((shares >= 0) & (shares <= 1)).all()


def test_the_same_seed_trains_the_same_bytes(line: tuple[Telemetry, Telemetry], trained: TrainedProcess) -> None:
    again = train_process(line[0], LAYOUT, SMALL)
    assert build_process_model(again.model) == build_process_model(trained.model)


def test_the_card_has_hash_errors_and_no_floats(line: tuple[Telemetry, Telemetry], trained: TrainedProcess) -> None:
    content = build_process_card(trained, line[0], LAYOUT, "moulder.csv")

    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is a float")

    card = json.loads(content, parse_float=refuse)
    assert content == json.dumps(card, sort_keys=True, separators=(",", ":")).encode()
    assert set(card["validation"]) == {"model", "network", "arx", "persistence"}
    assert card["model"]["bytes"] == len(build_process_model(trained.model))
    assert max(card["model"]["slopes_ppm"]) <= 800_000


def test_folds_hold_each_part_of_the_runs_out(line: tuple[Telemetry, Telemetry]) -> None:
    parts = np.repeat(np.arange(4), 125)
    telemetry = replace(line[0], run=parts)
    splits = split_runs(telemetry, 20, 4)
    assert sorted(int(parts[held[0]]) for _, held in splits) == [0, 1, 2, 3]
    for rows, held in splits:
        assert not set(rows.tolist()) & set(held.tolist())
    found = train_process(telemetry, LAYOUT, replace(SMALL, folds=2, rounds=10))
    assert len(found.training) == 500
    with pytest.raises(InputError, match="too few for 5 folds"):
        split_runs(telemetry, 20, 5)


def test_an_arx_finds_the_system_that_made_the_data() -> None:
    draw = np.random.default_rng(1)
    rows = np.zeros((400, 3))
    rows[:, 2] = draw.normal(size=400)
    for at in range(1, 400):
        rows[at, 0] = 0.7 * rows[at - 1, 0] - 0.2 * rows[at - 1, 1] + 0.5 * rows[at - 1, 2]
        rows[at, 1] = 0.1 * rows[at - 1, 0] + 0.9 * rows[at - 1, 1]
    system = fit_arx([rows], [np.zeros((400, 0))], 2, 1, 0.0)
    expected = np.array([[-0.3, -0.2, 0.5], [0.1, -0.1, 0.0]])
    assert np.abs(system.linear / ONE - expected).max() < 1e-3


# Telemetry that cannot be used


def _changed(telemetry: Telemetry, name: str, value: float, rows: slice = slice(None)) -> Telemetry:
    values = telemetry.values.copy()
    values[rows, telemetry.names.index(name)] = value
    return replace(telemetry, values=values)


def test_a_constant_sensor_is_refused(line: tuple[Telemetry, Telemetry]) -> None:
    with pytest.raises(InputError, match="pressure is 80 in all rows"):
        train_process(_changed(line[0], "pressure", 80), LAYOUT, SMALL)


@pytest.mark.parametrize(("name", "value"), [("eta", 1.01), ("eta", -0.1), ("e", 2.0)])
def test_shares_outside_0_and_1_are_refused(line: tuple[Telemetry, Telemetry], name: str, value: float) -> None:
    with pytest.raises(InputError, match=r"outside 0\.\.1"):
        train_process(_changed(line[0], name, value, slice(7, 8)), LAYOUT, SMALL)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(line: tuple[Telemetry, Telemetry], value: float) -> None:
    with pytest.raises(InputError, match="not finite"):
        train_process(_changed(line[0], "speed", value, slice(7, 8)), LAYOUT, SMALL)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(InputError, match="too few"):
        train_process(run_line(14, 1)[0], LAYOUT, SMALL)


def test_a_constant_setpoint_is_kept_without_effect(line: tuple[Telemetry, Telemetry]) -> None:
    found = train_process(_changed(line[0], "pressure_set", 80), LAYOUT, replace(SMALL, rounds=5))
    place = [column.name for column in found.model.columns].index("pressure_set")
    assert found.model.columns[place].role is Role.SETPOINT


@pytest.mark.parametrize(
    "given",
    [
        {"states": ()},
        {"states": ("a", "a")},
        {"states": ("a",), "setpoints": ("a",)},
        {"states": ("a",), "backlog": "b"},
        {"states": ("a",), "backlog": "b", "eta": "c", "e": "d"},
        {"states": ("a",), "backlog": "b", "eta": "c", "e": "c", "capacity": 1.0},
    ],
)
def test_layouts_that_do_not_fit_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Layout(**given)


GOOD = "time,speed\n" + "".join(f"{60 * row},{row % 7}\n" for row in range(60))


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "is empty"),
        ("time,speed\n0,1\n", "1 rows of telemetry"),
        (GOOD.replace("time", "when"), "no column time"),
        (GOOD.replace("\n60,1\n", "\n60,\n"), "not a number"),
        (GOOD.replace("\n60,1\n", "\n60,nan\n"), "nan"),
        (GOOD.replace("\n60,1\n", "\n60,1,1\n"), "length 3"),
        (GOOD.replace("\n60,1\n", "\n0,1\n"), "time stands still"),
        (GOOD.replace("\n60,1\n", "\n6000000,1\n"), "time stands still"),
    ],
)
def test_files_that_cannot_be_read_are_refused(tmp_path: Path, text: str, cause: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=cause):
        load_telemetry([path], STEP_S)


def test_a_missing_row_ends_a_run(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(GOOD.replace("\n600,3\n", "\n"))
    found = load_telemetry([path, path], STEP_S)
    assert found.run.max() == 3
    with pytest.raises(InputError, match="no two rows are 7 s apart"):
        load_telemetry([path], 7)


# Commands


def test_the_commands_from_example_to_proposal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, model = str(tmp_path / "line"), str(Path(__file__).parents[4] / "quality" / "models" / "moulder.bin")
    assert main(["process", "example", "--out", out, "--minutes", "120", "--seed", "9"]) == 0
    inputs = ["--model", model, "--inputs", f"{out}/moulder.csv"]
    assert main(["process", "simulate", *inputs, "--rows", "20"]) == 0
    assert main(["process", "propose", *inputs, "--terms", f"{out}/terms.toml"]) == 0
    _, simulated, proposed = (json.loads(text) for text in capsys.readouterr().out.splitlines())
    assert len(simulated["predicted"]) == 20
    assert simulated["model"] == proposed["model"]
    assert proposed["proposed"] is True
    assert main(["process", "propose", *inputs, "--terms", f"{out}/none.toml"]) == 2
    assert main(["process", "simulate", *inputs, "--rows", "200"]) == 2


def test_the_model_that_is_shipped_is_the_one_of_its_card() -> None:
    folder = Path(__file__).parents[4] / "quality" / "models"
    card = json.loads((folder / "moulder.json").read_text())
    model = parse_process_model((folder / "moulder.bin").read_bytes())
    assert card["model"]["trained_until"] == model.trained_until
    assert card["model"]["bytes"] == len(build_process_model(model))
