from __future__ import annotations

from pathlib import Path

import pytest

from ledger.errors import InputError
from services.backup import copy_sqlite
from services.evidence_copies import DATABASE, EVIDENCE, copy_evidence, verify_evidence
from services.store import open_store
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
