"""Files of evidence in backups: of a gateway's home, and of a node."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from millmark.ledger.errors import InputError, SettingsError
from millmark.ledger.store.evidence_files import MARKER

DATABASE, EVIDENCE = "millmark.sqlite", "evidence"
"""Names in a backup: the copy of a SQLite database, and that of `evidence_folder`."""
_FILES, _DEPTH = "*/*/*/*", 3
"""Where files are in the folder: in folders of streams, months and digits."""
_STREAM = re.compile("[0-9a-f]{64}")


def copy_evidence(source: Path, target: Path) -> None:
    """Copies the folder, after the database was copied: it then has at least what the copy refers to, unless something
    was removed meanwhile, or its disk is not mounted, which `verify_evidence` finds.

    Raises SettingsError if nothing can be found so, since the database is not copied, and the folder is not there, or
    if a folder in it cannot be read; OSError.
    """
    if not (source / MARKER).is_file():
        if not (target.parent / DATABASE).exists():
            raise SettingsError(f"evidence_folder {source} has no {MARKER}", hint="mount its disk")
        return
    target.mkdir(mode=0o700)
    for path in [source / MARKER, *_files_in(source)]:
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


def _files_in(source: Path) -> Iterator[Path]:
    # `glob` would leave out what another user's command made, and that is not found where the database is not copied.
    for place, folders, names in os.walk(source, onerror=_refuse):
        depth = len(Path(place).relative_to(source).parts)
        if depth == 0:
            folders[:] = [name for name in folders if _STREAM.fullmatch(name)]
        elif depth == _DEPTH:
            folders.clear()
            yield from (Path(place) / name for name in names)


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # removed since the folder around it was listed
        raise SettingsError(
            f"{error.filename} cannot be read: {error.strerror}",
            hint="let the user of gateway and node own all of evidence_folder, and back up as that user",
        ) from error


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
