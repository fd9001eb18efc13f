from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.errors import InputError, SettingsError
from millmark.services.backup import DATABASE, EVIDENCE, copy_evidence, copy_sqlite, verify_evidence
from millmark.services.store import open_store
from tests.unit.ledger.test_evidence_files import add, files_in


@pytest.mark.parametrize("name", ["monday", "plant #2", "100%25"])
def test_a_file_that_is_missing_in_a_backup_is_found_whatever_that_is_called(tmp_path: Path, name: str) -> None:
    backup, folder = tmp_path / name, tmp_path / "evidence"
    folder.mkdir()
    backup.mkdir()
    with open_store(f"sqlite:///{tmp_path / 'ledger.db'}", folder) as store:
        add(store, count=1)
    copy_sqlite(tmp_path / "ledger.db", backup / DATABASE)
    copy_evidence(folder, backup / EVIDENCE)
    verify_evidence(backup)
    [file] = files_in(backup / EVIDENCE)
    file.unlink()
    with pytest.raises(InputError, match="is missing"):
        verify_evidence(backup)


def test_a_folder_that_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As another user's command makes it. Where the database is not SQLite, nothing else tells what is missing."""
    folder, scan = tmp_path / "evidence", os.scandir
    (folder / "lost+found").mkdir(parents=True)
    with open_store(f"sqlite:///{tmp_path / 'ledger.db'}", folder) as store:
        add(store, count=1)
    [file] = files_in(folder)
    shut: Path = folder / "lost+found"

    def refuse(path: Any) -> Any:
        if Path(path) == shut:
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    copy_evidence(folder, tmp_path / "monday")
    assert len(files_in(tmp_path / "monday")) == 1, "the top of a disk has a folder that is nobody's"
    shut = file.parent
    with pytest.raises(SettingsError, match="cannot be read: Permission denied; let the user of gateway and node own"):
        copy_evidence(folder, tmp_path / "tuesday")
