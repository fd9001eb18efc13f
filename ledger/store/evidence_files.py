"""Content of evidence rows in files, for a company whose measurements outgrow its database.

    FOLDER/.millmark-evidence                        which database the folder belongs to
    FOLDER/<stream, 64 digits>/2026-11/3f/3f9a...    salts of a row's entries (32 bytes each), then the entries

A file's name is the SHA-256 of its content, and its month that in which it was written: a month that is over gets no
further file. Rows name their file; hashes of leaves stay in the database, so that proofs need no file but the one with
the entry that they show.

A file is on the disk before the transaction commits in which a row names it. Whoever writes files or removes them
holds the database's write lock: so a file that no row names, as a crash leaves it, can be told from one that is being
written.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select

from ledger.canonical import sha256
from ledger.errors import SettingsError, StoreDamagedError, StoreError
from ledger.files import replace_file, sync_folder, write_new
from ledger.store.book_rows import EvidenceFolderRow
from ledger.store.repository import Rows
from ledger.store.tables import evidence

if TYPE_CHECKING:
    from ledger.store.database import Store

__all__ = ["OPTION", "EvidenceFiles", "files_of", "month_of"]

OPTION = "millmark_evidence"
"""Execution option of a connection: the EvidenceFiles of its store, if it has a folder for them."""
_MARKER = ".millmark-evidence"


class EvidenceFiles:
    """The files of one database. Threads may share it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def claim(self, store: Store) -> None:
        """Makes an empty folder this database's, once.

        Raises SettingsError if the folder is missing, or is not the one that this database keeps its files in: one of
        another database, or the empty place of a disk that is not mounted. Raises StoreError.
        """
        marker = self._read_marker()
        with store.reading() as connection:
            row = Rows(connection).get(EvidenceFolderRow, 1)
        if row is not None and marker == row.name.hex():
            return
        with store.transaction() as connection:
            row = Rows(connection).get(EvidenceFolderRow, 1)
            if marker and (row is None or marker != row.name.hex()):
                raise SettingsError(
                    f"evidence_folder {self.folder} belongs to another database",
                    hint="name a folder for this one alone",
                )
            if connection.execute(select(evidence.c.file).where(evidence.c.file != "").limit(1)).first() is not None:
                raise SettingsError(
                    f"evidence_folder {self.folder} is not the one with this database's files",
                    hint="mount its disk, or name the folder that has them",
                )
            row = row or EvidenceFolderRow(1, secrets.token_bytes(16))
            Rows(connection).put(row)
        # After the commit: a marker without its row would be that of another database.
        self._put(self.folder / _MARKER, row.name.hex().encode())

    def _read_marker(self) -> str:
        if not self.folder.is_dir():
            raise SettingsError(
                f"evidence_folder {self.folder} is not a folder", hint="mount its disk, or make it: mkdir -m 700"
            )
        try:
            return (self.folder / _MARKER).read_text()
        except FileNotFoundError:
            return ""
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"{self.folder / _MARKER} cannot be read: {error}", hint="check the folder's permissions"
            ) from None

    def write(self, stream: bytes, content: bytes) -> str:
        """Writes a file and brings it to the disk, within a transaction that holds the write lock; returns its name.

        Raises StoreError if the disk fails, is full, or is no longer mounted.
        """
        digest = sha256(content).hex()
        name = f"{month_of(datetime.now(UTC))}/{digest[:2]}/{digest}"
        if not (self.folder / _MARKER).exists():
            raise StoreError(f"{self.folder} was unmounted or emptied", hint="mount the disk of evidence_folder")
        self._put(self._path(stream, name), content)
        return name

    def read(self, stream: bytes, name: str) -> bytes:
        """The content of a file. Raises StoreError if it is missing, StoreDamagedError if it is not what was
        written."""
        path = self._path(stream, name)
        try:
            content = path.read_bytes()
        except OSError as error:
            # Not called damage, which stays: who began to read before old content was dropped meets this as well.
            raise StoreError(
                f"{path} cannot be read: {error.strerror}",
                hint="ask again; if it is still so, restore evidence_folder from a backup",
            ) from error
        if sha256(content).hex() != path.name:
            raise StoreDamagedError(f"{path} was changed", hint="restore evidence_folder from a backup")
        return content

    def streams(self) -> Iterator[bytes]:
        """The streams of which there are files. Raises StoreError if the folder cannot be read."""
        try:
            paths = sorted(self.folder.iterdir())
        except OSError as error:
            raise StoreError(
                f"{self.folder} cannot be read: {error.strerror}", hint="mount the disk of evidence_folder"
            ) from error
        for path in paths:
            if re.fullmatch("[0-9a-f]{64}", path.name) and path.is_dir():
                yield bytes.fromhex(path.name)

    def names(self, stream: bytes) -> Iterator[str]:
        """All files of a stream, drafts that a crash left among them."""
        folder = self.folder / stream.hex()
        for path in folder.glob("*/*/*"):
            yield path.relative_to(folder).as_posix()

    def remove(self, stream: bytes, names: Iterable[str]) -> None:
        """Removes files, if they are there. The caller holds the write lock, and has made sure that no row names
        them. Raises StoreError."""
        for path in (self._path(stream, name) for name in names):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise StoreError(f"{path} cannot be removed: {error.strerror}", hint="check its permissions") from error

    def _path(self, stream: bytes, name: str) -> Path:
        return self.folder / stream.hex() / name

    def _make(self, folder: Path) -> None:
        if not folder.exists():
            self._make(folder.parent)
            folder.mkdir(mode=0o700)
            sync_folder(folder.parent)

    def _put(self, path: Path, content: bytes) -> None:
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            self._make(path.parent)
            write_new(draft, content, 0o600)
            replace_file(draft, path)
        except OSError as error:
            raise StoreError(
                f"{path} cannot be written: {error.strerror}", hint="check the disk of evidence_folder"
            ) from error


def files_of(connection: Connection) -> EvidenceFiles | None:
    """The files of a connection's store; None if it keeps content in its rows."""
    found: EvidenceFiles | None = connection.get_execution_options().get(OPTION)
    return found


def month_of(moment: datetime) -> str:
    return moment.strftime("%Y-%m")
