"""`millmark evidence`: where the content of logs is, and moving it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from millmark.services.audit.entries import list_files
from millmark.services.store import open_store
from tests.support.command_line import Runner
from tests.unit.ledger.test_evidence_files import _STREAM, add, files_in

_NAME = "0x" + _STREAM.hex()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Runner:
    with open_store(f"sqlite:///{tmp_path / 'millmark.sqlite'}") as store:
        add(store, count=300)
    return Runner(tmp_path, monkeypatch, capsys)


def test_content_is_moved_into_files_and_back(run: Runner, tmp_path: Path) -> None:
    folder = tmp_path / "measured"
    assert run("evidence", "status")[1] == f"{_NAME}: 300 entries, 0 without content\n"
    code, err = run.refused("evidence", "move", "files")
    assert (code, err) == (2, "millmark: there is no folder for evidence; set evidence_folder\n")
    run.settings('evidence_folder = "measured"\n')
    code, err = run.refused("evidence", "move", "files")
    assert "is not a folder; mount its disk, or make it: mkdir -m 700" in err
    folder.mkdir(mode=0o700)
    assert run("evidence", "move", "files")[1] == "300 entries moved into files\n"
    assert len(files_in(folder)) == 2
    assert run("evidence", "status")[1] == f"{_NAME}: 300 entries, 300 in files, 0 without content\n"
    assert json.loads(run("evidence", "status", "--json")[1])["streams"][0]["in_files"] == 300
    assert json.loads(run("evidence", "move", "database", "--json")[1])["entries"] == 300
    assert files_in(folder) == []
    run.settings("")
    assert run("evidence", "status")[1] == f"{_NAME}: 300 entries, 0 without content\n"


def test_files_that_no_row_names_are_removed_by_a_command_of_its_own(run: Runner, tmp_path: Path) -> None:
    folder = tmp_path / "measured"
    folder.mkdir()
    run.settings('evidence_folder = "measured"\n')
    run("evidence", "move", "files")
    kept = files_in(folder)
    (kept[0].parent / ("0" * 64)).write_text("left")
    os.utime(kept[0].parent / ("0" * 64), (1, 1))
    assert run("evidence", "prune")[1] == "1 files removed\n"
    assert json.loads(run("evidence", "prune", "--json")[1])["files"] == 0
    assert files_in(folder) == kept


def test_a_move_is_in_the_audit_log(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "measured").mkdir()
    run.settings('evidence_folder = "measured"\n')
    run("evidence", "move", "files")
    assert "evidence move" in "".join(path.read_text() for path in list_files(tmp_path / "audit"))
