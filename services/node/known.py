"""Which events a stream's log has, by id: so that one sent again is answered as a duplicate.

An index beside the log, rebuilt from it whenever there is doubt. It is written without synchronisation, after the log
is durable: a killed process leaves it behind the log at most, never ahead; after another boot it is not trusted.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ledger.errors import StoreDamagedError, StoreError
from services.node.streamlog import Place, StreamLog

__all__ = ["Known", "KnownEvents", "content_digest"]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_CACHE_KIB = 512
"""Ids come in no order, so that a larger cache would fill for hours, and find little more than the system's does."""
_AT_ONCE = 500
"""Parameters of one query."""


@dataclass(frozen=True, slots=True)
class Known:
    leaf: int
    """Index in the stream's tree."""
    content: bytes
    """Digest of the event's canonical JSON, 16 bytes."""


def content_digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


class KnownEvents:
    """Of one thread at a time; the log's writer."""

    def __init__(self, path: Path, log: StreamLog) -> None:
        """Opens the index and brings it up to the log's end. Raises StoreDamagedError when it knows entries that the
        log does not have: those were acknowledged; StoreError when it cannot be written."""
        self._path = path
        self._log = log
        self._database = sqlite3.connect(self._path, check_same_thread=False)
        try:
            self._set_up()
            place = self._place()
        except sqlite3.Error:
            place = None
        if place is not None and place.index > log.end.index:
            raise StoreDamagedError(
                f"{log.path} has {log.end.index} entries, of {place.index} that were acknowledged",
                mend="restore the log from the latest backup, or its .torn file; or remove "
                f"{path} to go on without them",
            )
        self._behind = log.start if place is None else place
        try:
            if place is None:
                self._begin_anew()
            self.catch_up()
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{path} cannot be written: {error}", mend="see to the data folder's disk") from error

    def find(self, ids: Sequence[str]) -> Mapping[str, Known]:
        """Those of `ids` that are known. Raises sqlite3.Error."""
        self.catch_up()
        hashed = {_id_digest(identity): identity for identity in ids}
        keys, found = list(hashed), {}
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            query = f"SELECT id, leaf, content FROM known WHERE id IN ({marks})"  # noqa: S608 - question marks only
            for key, leaf, content in self._database.execute(query, some):
                found[hashed[key]] = Known(leaf, content)
        return found

    def catch_up(self) -> None:
        """Takes in what the log has and the index has not. Raises sqlite3.Error, and then knows no less than before."""
        if self._behind.offset == self._log.end.offset:
            return
        place = self._behind
        for frame in self._log.frames(place):
            rows = [
                (_id_digest(json.loads(entry.content)["id"]), frame.first + number, content_digest(entry.content))
                for number, entry in enumerate(frame.entries)
            ]
            place = Place(place.offset + frame.size, place.index + len(rows), frame.digest)
            self._put(rows, place)
            self._behind = place

    def close(self) -> None:
        self._database.close()

    def add(self, events: Iterable[tuple[str, int, bytes]], place: Place) -> None:
        """What was just appended, up to `place`: (id, leaf, digest of the content). Raises sqlite3.Error; then the next
        `find` reads it from the log."""
        self._put([(_id_digest(identity), leaf, content) for identity, leaf, content in events], place)
        self._behind = place

    def _put(self, rows: list[tuple[bytes, int, bytes]], place: Place) -> None:
        with self._database:
            self._database.executemany("INSERT OR IGNORE INTO known VALUES (?, ?, ?)", rows)
            values = (place.offset, place.index, place.digest, _boot_id(), self._log.start.digest)
            self._database.execute("INSERT OR REPLACE INTO place VALUES (1, ?, ?, ?, ?, ?)", values)

    def _set_up(self) -> None:
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")

    def _place(self) -> Place | None:
        """Up to where the index is sound; None when it is new, of another log, or of another boot."""
        query = "SELECT offset, leaves, digest, boot, log FROM place"
        row = self._database.execute(query).fetchone()
        if row is None or row[4] != self._log.start.digest:
            return None
        place = Place(*row[:3])
        return place if row[3] == _boot_id() or place.index > self._log.end.index else None

    def _begin_anew(self) -> None:
        self._database.close()
        for end in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + end).unlink(missing_ok=True)
        self._database = sqlite3.connect(self._path, check_same_thread=False)
        self._set_up()
        with self._database:
            self._database.execute("CREATE TABLE known (id BLOB PRIMARY KEY, leaf INTEGER, content BLOB) WITHOUT ROWID")
            self._database.execute(
                "CREATE TABLE place (one INTEGER PRIMARY KEY, offset INTEGER, leaves INTEGER, digest BLOB, boot TEXT, "
                "log BLOB)"
            )


def _id_digest(identity: str) -> bytes:
    return hashlib.blake2b(identity.encode(), digest_size=16).digest()


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
