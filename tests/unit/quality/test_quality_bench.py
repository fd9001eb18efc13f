"""The benchmarks print a table and JSON, and their exit code says whether a bar was missed."""

from __future__ import annotations

import gzip
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from millmark.quality import InputError, Inspector, build_model, combine_digests
from millmark.quality.evaluate import load_evaluator
from millmark.quality.fitting import silent
from tests.bench.quality import digest, forda, speed
from tests.bench.quality.commands import main
from tests.bench.quality.speed import build_random_mlp, build_random_windows
from tests.bench.quality.tables import Bench, show
from tests.support.quality_samples import build_random_rocket, tiny_network, tones

Capture = pytest.CaptureFixture[str]


def write_split(folder: Path) -> Path:
    """A data set in the archive's format, with its training rows in two files, one of them compressed."""
    rows = []
    for seed in (1, 2, 3):
        problem = tones(60, 2, seed)
        rows.append(np.concatenate([problem.classes[:, np.newaxis] * 2 - 1, problem.values], axis=1))
    np.save(folder / "Tones_TRAIN_0.npy", rows[0])
    np.save(folder / "scratch.npy", rows[1])
    (folder / "Tones_TRAIN_1.npy.gz").write_bytes(gzip.compress((folder / "scratch.npy").read_bytes()))
    np.save(folder / "Tones_TEST.npy", rows[2])
    return folder


def test_forda_trains_a_model_per_seed_and_judges_it_on_test_rows(tmp_path: Path, capsys: Capture) -> None:
    folder = write_split(tmp_path)
    assert main(["forda", "--data", str(folder), "--seeds", "2"]) in (0, 1)
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert (answer["training_rows"], answer["test_rows"], answer["seeds"]) == (120, 60, [0, 1])
    assert answer["mean"]["accuracy"] == np.mean([run["accuracy"] for run in answer["per_seed"]]) > 0.8
    assert answer["passed"] == (answer["mean"]["accuracy"] >= 0.94 and answer["mean"]["agreement"] >= 0.995)
    printed = err.splitlines()
    shown = printed[printed.index("FordA, rocket: 120 training rows, 60 test rows") + 1 :]  # what is before is progress
    assert [line.split()[0] for line in shown] == ["seed", "0", "1", "mean", "spread"]


def test_forda_does_not_learn_from_test_rows(tmp_path: Path) -> None:
    """With inverted test labels, the same model is right wherever it was wrong."""
    split = forda.load_split(write_split(tmp_path))
    wrong = replace(split.test, labels=np.where(split.test.labels == "1", "-1", "1"))
    right, opposite = (
        forda.run_forda(replace(split, test=test), "rocket", [0], silent).answer["per_seed"]
        for test in (split.test, wrong)
    )
    assert isinstance(right, list)
    assert isinstance(opposite, list)
    assert right[0]["accuracy"] + opposite[0]["accuracy"] == pytest.approx(1)


def test_a_folder_without_the_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no file named \*TRAIN\*"):
        forda.load_split(tmp_path)


@pytest.mark.parametrize("model", [build_random_rocket(3), tiny_network()], ids=["rocket", "network"])
def test_all_settings_of_one_process_give_one_digest(model: object, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(build_model(model))  # type: ignore[arg-type]  # parameters have no common type
    digests = dict(digest.evaluate_all(path, 20, with_python=True))
    assert len(digests) == 4 + 2 * 2 * 4 + 2
    assert len(set(digests.values())) == 1  # 20 rows are fewer than python's part, so that is the whole


def test_the_digest_bench_reads_windows_from_a_file(tmp_path: Path, capsys: Capture) -> None:
    model, rows = tmp_path / "model.bin", tmp_path / "x.csv"
    model.write_bytes(build_model(tiny_network()))
    rows.write_text("5,2\n1,1\n-3,4\n")
    inspector = Inspector(model.read_bytes())
    assert digest.build_windows(inspector, 2, rows).tolist() == [[5, 2], [1, 1]]
    assert set(dict(digest.evaluate_all(model, 3, rows, with_python=False)).values()) == {
        combine_digests(inspector.inspect_all(np.array([[5, 2], [1, 1], [-3, 4]]))).hex()
    }
    rows.write_text("5,2,1\n")
    assert main(["digest", "--model", str(model), "--inputs", str(rows)]) == 2
    assert "the model reads (n, 2)" in capsys.readouterr().err


@pytest.mark.parametrize("cut", [b"", b'["numpy, ba'])
def test_a_digest_run_that_takes_too_long_counts_as_far_as_it_got(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: bytes
) -> None:
    def stop(command: list[str], **_options: object) -> None:
        raise subprocess.TimeoutExpired(
            command, 1, output=b'["numpy, batch 1", "11"]\n["numpy, batch 7", "11"]\n' + cut
        )

    monkeypatch.setattr(subprocess, "run", stop)
    bench = digest.run_digest(tmp_path / "model.bin", 8, None, lambda *_told: None)
    assert not bench.passed
    assert (bench.answer["settings"], bench.answer["settings_planned"]) == (10, 102)
    assert bench.answer["distinct_digests"] == 1
    assert bench.rows[-2] == ["all", "10 of 102", "1"]


def test_speed_prints_medians_and_their_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    """The values depend on the machine and are not checked here."""
    monkeypatch.setattr(speed, "REPEATS", 3)
    bench = speed.run_speed()
    assert len(bench.rows) == 5
    medians = bench.answer["medians_us"]
    assert isinstance(medians, dict)
    assert bench.answer["ratio"] == (medians["torch integers, batch of 1024"] / medians["torch float32, batch of 1024"])


def test_the_random_network_is_a_lively_one() -> None:
    network = build_random_mlp((152, 32, 16, 2), seed=1)
    inputs = np.random.default_rng(0).integers(-127, 128, (200, 152), dtype=np.int8)
    logits = load_evaluator("numpy")(network)(inputs)
    assert len(np.unique(logits[:, 0])) > 190
    assert build_random_windows(3, 5, seed=1).tolist() == build_random_windows(3, 5, seed=1).tolist()


def test_tables_are_aligned() -> None:
    bench = Bench("title", ["a", "bb"], [["long", "1"], ["x", "22"]], {}, passed=True)
    assert show(bench) == "title\na     bb\nlong   1\nx     22\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["digest", "--model", "absent.bin"], "absent.bin cannot be read"),
        (["steel"], "bench steel needs its data; pass the folder with --data"),
        (["forda", "--data", "absent"], "absent has no file named *TRAIN*"),
    ],
)
def test_unusable_arguments(capsys: Capture, arguments: list[str], says: str) -> None:
    assert main(arguments) == 2
    assert says in capsys.readouterr().err
