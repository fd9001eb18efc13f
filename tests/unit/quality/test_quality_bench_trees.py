"""The benchmarks of trees: reading the public tables, judging folds, and the command's output."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from millmark.quality import InputError
from tests.bench.quality.commands import main
from tests.bench.quality.trees import TABLES, load_ai4i, load_steel

HEADER = (
    "UDI,Product ID,Type,Air temperature [K],Process temperature [K],Rotational speed [rpm],Torque [Nm],"
    "Tool wear [min],Machine failure,TWF,HDF,PWF,OSF,RNF"
)


def write_ai4i(folder: Path, rows: int = 120) -> None:
    """An invented table of that form: a machine fails if its torque exceeds a limit."""
    rng = np.random.default_rng(0)
    lines = [HEADER]
    for at in range(rows):
        torque = round(float(rng.uniform(10, 70)), 1)
        failure = int(torque > 50)
        speed = int(rng.integers(1200, 2800))
        # The mode flag gives the failure away; a bench that read it would be perfect.
        lines.append(
            f"{at},L{at},{'LMH'[at % 3]},298.1,308.{at % 10},{speed},{torque},{at},{failure},{failure},0,0,0,0"
        )
    (folder / "ai4i2020.csv").write_text("\ufeff" + "\n".join(lines) + "\n", encoding="utf-8")


def write_steel(folder: Path, rows: int = 140) -> None:
    """An invented table of that form: the class is the integer part of the first column."""
    rng = np.random.default_rng(0)
    lines = []
    for at in range(rows):
        flags = [int(column == at % 7) for column in range(7)]
        values = [at % 7 + float(rng.uniform(0, 0.9)), *rng.uniform(0, 1, 26)]
        lines.append('"' + "\t".join([*(f"{value:.4f}" for value in values), *map(str, flags)]) + '"')
    folder.mkdir(exist_ok=True)
    (folder / "Faults.NNA").write_text("\n".join(lines) + "\n")


def test_ai4i_keeps_what_a_sensor_knows(tmp_path: Path) -> None:
    write_ai4i(tmp_path)
    values, classes = load_ai4i(tmp_path)
    assert values.shape == (120, 6)
    assert values[1, 0] == 1
    assert values[1, 1] == 298.1
    assert np.array_equal(classes, values[:, 4] > 50)


def test_steel_reads_flags_as_classes(tmp_path: Path) -> None:
    write_steel(tmp_path / "steel_plates")
    values, classes = load_steel(tmp_path)
    assert values.shape == (140, 27)
    assert classes.tolist() == [at % 7 for at in range(140)]


@pytest.mark.parametrize(
    ("bench", "write", "figures"),
    [("ai4i", write_ai4i, {"f1", "average_precision"}), ("steel", write_steel, {"macro_f1"})],
)
def test_a_bench_prints_json_and_a_table(
    bench: str,
    write: object,
    figures: set[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert callable(write)
    monkeypatch.setitem(TABLES, bench, replace(TABLES[bench], folds=2))
    write(tmp_path)
    code = main([bench, "--data", str(tmp_path), "--seeds", "1"])
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert figures | {"agreement", "bytes", "accuracy"} <= answer["mean"].keys()
    assert all(0.8 < answer["mean"][figure] <= 1 for figure in figures)
    assert answer["seeds"] == [0]
    assert answer["mean"] == answer["per_seed"][0]
    assert sum(answer["class_rows"]) == answer["rows"]
    assert code == (0 if answer["passed"] else 1)
    assert f"{answer['rows']} rows" in printed.err
    assert "agreement" in printed.err


def refuse(capsys: pytest.CaptureFixture[str], bench: str, folder: Path, cause: str) -> None:
    assert main([bench, "--data", str(folder)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert cause in printed.err


def test_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refuse(capsys, "steel", tmp_path, "has no Faults.NNA")
    refuse(capsys, "ai4i", tmp_path, "has no ai4i2020.csv")
    (tmp_path / "Faults.NNA").write_text("1\t2\t3\n")
    refuse(capsys, "steel", tmp_path, "does not mark one of seven classes")
    (tmp_path / "Faults.NNA").write_text("\t".join(["1"] * 27 + ["1", "1", "0", "0", "0", "0", "0"]) + "\n")
    refuse(capsys, "steel", tmp_path, "does not mark one of seven classes")
    (tmp_path / "Faults.NNA").write_text("1\ttwo\n")
    refuse(capsys, "steel", tmp_path, "is not a table of numbers")
    (tmp_path / "Faults.NNA").write_text("1\t2\n1\n")
    refuse(capsys, "steel", tmp_path, "is not a table of numbers")
    (tmp_path / "ai4i2020.csv").write_text("")
    refuse(capsys, "ai4i", tmp_path, "a column of ai4i2020.csv is missing")
    (tmp_path / "ai4i2020.csv").write_text(HEADER.replace("Torque", "Twist") + "\n1,L1,L,1,1,1,1,1,0,0,0,0,0,0\n")
    refuse(capsys, "ai4i", tmp_path, "a column of ai4i2020.csv is missing")
    for cells in ("1,L1,X,1,1,1,1,1,0,0,0,0,0,0", "1,L1,L,1,1,x,1,1,0,0,0,0,0,0", "1,L1,L,1,1"):
        (tmp_path / "ai4i2020.csv").write_text(f"{HEADER}\n{cells}\n")
        refuse(capsys, "ai4i", tmp_path, "is not a table of numbers")


@pytest.mark.parametrize("seeds", ["0", "-1", "two"])
def test_an_impossible_number_of_seeds_is_refused(seeds: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as refusal:
        main(["steel", "--data", str(tmp_path), "--seeds", seeds])
    assert refusal.value.code == 2


def test_rows_too_few_for_the_folds_are_refused(tmp_path: Path) -> None:
    write_steel(tmp_path, rows=9)
    assert main(["steel", "--data", str(tmp_path)]) == 2
    with pytest.raises(InputError):
        load_steel(tmp_path / "nowhere")
