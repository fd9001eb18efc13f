"""A database file of SQLite under a running process: still the one that was opened, or another in its place.

SQLite itself does not notice: it goes on in a file that was moved away, and mixes pages of its cache and its log with
those of a file that was copied over.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from urllib.parse import quote

from sqlalchemy import Connection

from millmark.ledger.errors import StoreError
from millmark.ledger.store.failures import missing


class DatabaseFile:
    """The file that a process opened. Creates a missing one for its owner alone. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        # SQLite would create it by the umask, and it holds the salts that hide identifiers. Its log files get the same
        # mode as the database itself. A file that is there is not opened: closing it would drop the locks of other
        # connections of this process (fcntl(2)), and another process would then remove the log that they write.
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._opened = path.stat()
        self._looked_at: tuple[int, int] | None = None
        self._identity = 0
        self._progress = (0, 0)

    def verify_same(self, connection: Connection) -> None:
        """Raises StoreDamagedError if the path now stands for another file, or for other contents: those of a backup or
        of an earlier copy. Not noticed is a copy of this file as it was after its latest growth.

        Whatever was written to such a file would be gone with the process, or spoil what was put there.
        """
        # In every transaction: the file is looked at once, and the URL is put together only where it is told.
        try:
            found = self._path.stat()
        except FileNotFoundError:
            raise missing(_url(connection)) from None
        except OSError as error:
            raise StoreError(
                f"{_url(connection)} cannot be looked at: {error.strerror}", hint="check its folder and disk"
            ) from error
        if not os.path.samestat(found, self._opened):
            raise missing(_url(connection))
        stamp = found.st_mtime_ns, found.st_size
        if stamp != self._looked_at:
            self._compare(stamp, connection)

    def _compare(self, stamp: tuple[int, int], connection: Connection) -> None:
        # Commits go to the log; the file changes only now and then, when somebody moves the log's pages into it.
        try:
            identity, *progress = _read_header(self._path)
        except sqlite3.Error:
            return  # read while pages were being moved: looked at again next time
        if not self._identity:  # a new database, whose header may be in the log alone
            self._identity = int(connection.exec_driver_sql("PRAGMA application_id").scalar_one())
        grown = progress[0], progress[1]
        if identity not in (0, self._identity) or grown < self._progress:
            raise missing(_url(connection))
        self._progress, self._looked_at = grown, stamp


def _url(connection: Connection) -> str:
    """What is withheld from others, unlike the path."""
    return str(connection.engine.url)


def _read_header(path: Path) -> tuple[int, int, int]:
    # By SQLite, which does not drop the locks of the process' other connections, and without the log. A smaller file is
    # an older one unless it was rewritten (VACUUM), which raises the version of its schema.
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)) as file:
        names = ("application_id", "schema_version", "page_count")
        identity, schema, pages = (int(file.execute(f"PRAGMA {name}").fetchone()[0]) for name in names)
        return identity, schema, pages


def give_identity(connection: SqliteConnection | Connection) -> None:
    """Gives a database a new random number in its header, which tells it from its copies."""
    statement = f"PRAGMA application_id = {secrets.randbelow(2**31 - 1) + 1}"
    if isinstance(connection, SqliteConnection):
        connection.execute(statement).close()
    else:
        connection.exec_driver_sql(statement)
