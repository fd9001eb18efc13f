"""Content of evidence rows in files, for a company whose measurements outgrow its database.

    FOLDER/millmark-evidence                         which database the folder belongs to
    FOLDER/<stream, 64 digits>/2026-11/3f/3f9a...    salts of a row's entries (32 bytes each), then the entries

A file's name is the SHA-256 of its content, and its month that in which it was written: a month that is over gets no
further file. Rows name their file; hashes of leaves stay in the database, so that proofs need no file but the one with
the entry that they show.

A file is on the disk before the transaction commits in which a row names it. Whoever writes files or removes them
holds the database's write lock, so that nobody removes what another is writing.
"""

from __future__ import annotations

import math
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, select

from millmark.ledger.canonical import sha256
from millmark.ledger.errors import SettingsError, StoreDamagedError, StoreError
from millmark.ledger.files import replace_file, sync_folder, write_new
from millmark.ledger.store.repository import Rows
from millmark.ledger.store.rows import EvidenceFolderRow
from millmark.ledger.store.schema import evidence

_Transactions = Callable[[], AbstractContextManager[Connection]]
OPTION = "millmark_evidence"
"""Execution option of a connection: the EvidenceFiles of its store, if it has a folder for them."""
MARKER = "millmark-evidence"
"""File in the folder with the name that its database gave it (EvidenceFolderRow)."""
_NOT_OURS = frozenset({"lost+found"})
"""What a new file system has."""
_NAME = re.compile(r"\d{4}-\d{2}/[0-9a-f]{2}/[0-9a-f]{64}")


class EvidenceFiles:
    """The files of one database. Threads may share it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._name = ""
        self._ready: set[Path] = set()
        """Folders whose names this process has brought to the disk: that they exist does not say so."""

    def claim(self, reading: _Transactions, transaction: _Transactions) -> None:
        """Makes an empty folder this database's, once; to be called before any other. `reading` and `transaction` begin
        the database's own.

        Raises SettingsError if it is another database's folder or has other things in it, and StoreError if it is
        missing, or the empty place of a disk that is not mounted: that may be over when the program is started again.
        """
        with reading() as connection:
            row = Rows(connection).get(EvidenceFolderRow, 1)
            if row is not None and self._read_marker() == row.name.hex():
                self._name = row.name.hex()
                return
            is_used = _is_used(connection)
        with transaction() as connection:
            row, marker = Rows(connection).get(EvidenceFolderRow, 1), self._read_marker()
            if row is None or marker != row.name.hex():
                # Again, under the write lock: another program may have written since to the folder that the database
                # has. Not if it has none, since reading all rows may take long.
                is_used = is_used or (row is not None and _is_used(connection))
                self._verify_new(marker, is_known=row is not None, is_used=is_used)
                # A new name for each folder: an earlier one is refused from then on, as files would be in both.
                row = EvidenceFolderRow(1, secrets.token_bytes(16))
                Rows(connection).put(row)
                self._write_marker(row.name.hex())
            self._name = row.name.hex()

    def verify_named(self, connection: Connection) -> None:
        """Raises StoreError if the database has another folder by now, as another program with other settings gives it
        one."""
        row = Rows(connection).get(EvidenceFolderRow, 1)
        if row is None or row.name.hex() != self._name:
            raise StoreError(
                f"evidence_folder {self.folder} is no longer that of the database",
                hint="name one folder, as an absolute path, in the settings of all programs with this database",
            )

    def _verify_new(self, marker: str, *, is_known: bool, is_used: bool) -> None:
        if marker and is_known:
            raise SettingsError(
                f"evidence_folder {self.folder} belongs to another database, or is one that this one left",
                hint="name that one, as an absolute path, in the settings of all programs with this database",
            )
        if marker:
            raise SettingsError(
                f"evidence_folder {self.folder} belongs to another database",
                hint=f"name a folder for this one alone; if a first start was cut off here, remove {MARKER} from it",
            )
        if is_used:
            raise StoreError(
                f"evidence_folder {self.folder} is not the one with this database's files: it has no {MARKER}",
                hint="mount its disk, or name the folder that has them",
            )
        if any(one.name not in _NOT_OURS and not one.name.startswith(f".{MARKER}") for one in self.folder.iterdir()):
            raise SettingsError(f"evidence_folder {self.folder} is not empty", hint="name a new folder: mkdir -m 700")

    def _read_marker(self) -> str:
        """What the marker says; empty if there is none."""
        try:
            if not self.folder.is_dir():
                raise StoreError(
                    f"evidence_folder {self.folder} is not a folder", hint="mount its disk, or make it: mkdir -m 700"
                )
            # As people write it, too, who make the folder again: databases print hexadecimal digits in either case.
            return (self.folder / MARKER).read_text().strip().lower()
        except FileNotFoundError:
            return ""
        except (OSError, ValueError) as error:
            raise StoreError(
                f"{self.folder / MARKER} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}",
                hint="check the folder's permissions",
            ) from None

    def _write_marker(self, name: str) -> None:
        draft = self.folder / f".{MARKER}.{secrets.token_hex(8)}"
        try:
            write_new(draft, name.encode(), 0o600)
            try:
                os.link(draft, self.folder / MARKER)  # unlike a rename, this fails if another database has just done so
            finally:
                draft.unlink()
            sync_folder(self.folder)
        except FileExistsError:
            raise SettingsError(
                f"evidence_folder {self.folder} belongs to another database", hint="name a folder for this one alone"
            ) from None
        except OSError as error:
            raise _cannot("written", self.folder / MARKER, error) from error

    def write(self, stream: bytes, content: bytes) -> str:
        """Writes a file and brings it to the disk, within a transaction that holds the write lock; returns its name.
        Raises StoreError if the disk fails, is full, or is no longer mounted."""
        digest = sha256(content).hex()
        name = f"{month_of(datetime.now(UTC))}/{digest[:2]}/{digest}"
        self._verify_mounted()
        path = self._path(stream, name)
        try:
            try:
                self._put(path, content)
            except FileNotFoundError:  # somebody removed an empty folder
                self._ready.clear()
                self._put(path, content)
        except OSError as error:
            raise _cannot("written", path, error) from error
        return name

    def _put(self, path: Path, content: bytes) -> None:
        self._make(path.parent)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        write_new(draft, content, 0o600)
        try:
            replace_file(draft, path)
        finally:
            draft.unlink(missing_ok=True)

    def _verify_mounted(self) -> None:
        if not self._name or self._read_marker() != self._name:
            raise StoreError(
                f"evidence_folder {self.folder} was unmounted or replaced", hint="mount its disk; nothing is recorded"
            )

    def read(self, stream: bytes, name: str) -> bytes:
        """The content of a file. Raises StoreError if it is missing, StoreDamagedError if it is not what was
        written."""
        if not _NAME.fullmatch(name):
            raise StoreDamagedError(f"{name[:80]!r} is no file of evidence", hint="restore the database from a backup")
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
        """The streams that have files. Raises StoreError if the folder cannot be read."""
        try:
            names = sorted(one.name for one in self.folder.iterdir())
        except OSError as error:
            raise _cannot("read", self.folder, error) from error
        for name in names:
            if re.fullmatch("[0-9a-f]{64}", name):
                yield bytes.fromhex(name)

    def names(self, stream: bytes, before_s: float = math.inf) -> Iterator[str]:
        """The files of a stream that were written before a moment, in seconds since 1970, with drafts that a crash
        left."""
        folder = self.folder / stream.hex()
        for path in folder.glob("*/*/*"):
            try:
                if path.stat().st_mtime < before_s:
                    yield path.relative_to(folder).as_posix()
            except FileNotFoundError:
                continue  # removed, or a draft that has its name by now
            except OSError as error:
                raise _cannot("read", path, error) from error

    def remove(self, stream: bytes, names: Iterable[str], before_s: float | None = None) -> int:
        """Removes files, if they are there and were written before a moment; returns their number. The caller holds the
        write lock, and has made sure that no row names them. Raises StoreError."""
        self._verify_mounted()
        removed = 0
        for path in (self._path(stream, name) for name in names):
            try:
                if before_s is None or path.stat().st_mtime < before_s:
                    path.unlink()
                    removed += 1
            except FileNotFoundError:
                continue
            except OSError as error:
                raise _cannot("removed", path, error) from error
        return removed

    def _path(self, stream: bytes, name: str) -> Path:
        return self.folder / stream.hex() / name

    def _make(self, folder: Path) -> None:
        if folder not in self._ready and folder != self.folder:
            self._make(folder.parent)
            folder.mkdir(mode=0o700, exist_ok=True)
            sync_folder(folder.parent)
            self._ready.add(folder)


def _is_used(connection: Connection) -> bool:
    """Whether a row names a file."""
    return connection.execute(select(evidence.c.stream).where(evidence.c.file != "").limit(1)).first() is not None


def _cannot(done: str, path: Path, error: OSError) -> StoreError:
    return StoreError(f"{path} cannot be {done}: {error.strerror}", hint="check the disk of evidence_folder")


def files_of(connection: Connection) -> EvidenceFiles | None:
    """The files of a connection's store; None if it keeps content in its rows."""
    found: EvidenceFiles | None = connection.get_execution_options().get(OPTION)
    return found


def month_of(moment: datetime) -> str:
    return moment.strftime("%Y-%m")
