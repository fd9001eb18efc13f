"""FordA out of its cache. tests/integration/test_quality_download.py downloads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from millmark.quality import DataError, data
from tests.support.quality_samples import ford_a_rows as rows
from tests.support.quality_samples import load_corpus, needs_ford_a
from tests.support.quality_samples import pin_ford_a as pin


def test_a_changed_cache_is_refused(tmp_path: Path) -> None:
    for part in (data.TRAIN, data.TEST):
        (tmp_path / part.name).write_bytes(rows(2, 1))
    with pytest.raises(DataError, match=r"FordA_TRAIN.tsv has SHA-256 .*; delete it, and it will be downloaded again"):
        data.load_ford_a(tmp_path)


@pytest.mark.parametrize("content", [rows(1, 2), rows(2, 1, width=499)], ids=["classes", "width"])
def test_wrong_pins_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    pin(monkeypatch, "", content, content)
    for part in (data.TRAIN, data.TEST):
        (tmp_path / part.name).write_bytes(content)
    with pytest.raises(DataError, match="the pins disagree"):
        data.load_ford_a(tmp_path)


def test_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data.default_cache() == tmp_path / "millmark"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert data.default_cache() == Path.home() / ".cache" / "millmark"


@needs_ford_a
def test_the_pinned_class_counts_are_those_of_the_corpus() -> None:
    for part, names in ((data.TEST, ["FordA_TEST"]), (data.TRAIN, ["FordA_TRAIN_0", "FordA_TRAIN_1"])):
        table = load_corpus(*(f"{name}.npy.gz" for name in names))
        assert table.values.shape[1] == data.WIDTH
        counts = (int(np.sum(table.labels == "-1")), int(np.sum(table.labels == "1")))
        assert counts == (part.negatives, part.positives)
