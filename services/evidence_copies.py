"""Files of evidence in backups: of a gateway's home, and of a node."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from ledger.errors import InputError, SettingsError
from ledger.store.evidence_files import MARKER

__all__ = ["DATABASE", "EVIDENCE", "copy_evidence", "verify_evidence"]

DATABASE, EVIDENCE = "millmark.sqlite", "evidence"
"""Names in a backup: the copy of a SQLite database, and that of `evidence_folder`."""
_FILES = "*/*/*/*"


def copy_evidence(source: Path, target: Path) -> None:
    """Copies the folder, after the database was copied: it then has at least what the copy refers to, unless something
    was removed meanwhile, or its disk is not mounted, which `verify_evidence` finds.

    Raises SettingsError if nothing can be found so, since the database is not copied, and the folder is not there;
    OSError.
    """
    if not (source / MARKER).is_file():
        if not (target.parent / DATABASE).exists():
            raise SettingsError(f"evidence_folder {source} has no {MARKER}", hint="mount its disk")
        return
    target.mkdir(mode=0o700)
    for path in [source / MARKER, *source.glob(_FILES)]:
        if path.name.startswith("."):
            continue  # a draft
        copy = target / path.relative_to(source)
        for folder in reversed(copy.relative_to(target).parents[:-1]):
            # One by one: with `parents`, others could look into all but the last.
            (target / folder).mkdir(mode=0o700, exist_ok=True)
        try:
            shutil.copyfile(path, copy)
        except FileNotFoundError:
            continue  # removed since the folder was listed
        copy.chmod(0o600)


def verify_evidence(backup: Path) -> None:
    """Raises InputError if a file of evidence in a backup was changed, or one that its database names is missing."""
    folder = backup / EVIDENCE
    for path in folder.glob(_FILES):
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != path.name:
                raise InputError(f"{path} is not what was written", hint="take another backup")
    if not (backup / DATABASE).is_file():
        return
    # Immutable: nobody writes a backup, and SQLite would put files of its own beside the copy.
    place = quote(str(backup / DATABASE))
    with closing(sqlite3.connect(f"file:{place}?mode=ro&immutable=1", uri=True)) as database:
        columns = {row[1] for row in database.execute("PRAGMA table_info(evidence)")}
        if "file" not in columns:
            return  # of an earlier version
        for stream, name in database.execute("SELECT stream, file FROM evidence WHERE file <> ''"):
            if not (folder / bytes(stream).hex() / name).is_file():
                raise InputError(
                    f"{folder / bytes(stream).hex() / name} is missing",
                    hint="set evidence_folder, and mount its disk; if it was dropped or moved meanwhile, back up again",
                )
