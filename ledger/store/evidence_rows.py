"""Reads and writes the rows of streams' logs, whose content is in the row or in a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, case, func, or_, select, update

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import SettingsError, StoreDamagedError
from millmark.ledger.evidence import SALT_BYTES
from millmark.ledger.store.book_rows import EvidenceRow
from millmark.ledger.store.evidence_files import files_of, month_of
from millmark.ledger.store.partitions import prepare_partition
from millmark.ledger.store.repository import Rows
from millmark.ledger.store.tables import evidence

_FILES_AT_ONCE = 16
"""Files that are written between two statements: PostgreSQL ends the session of a writer that pauses for long."""


class EvidenceRows:
    """The rows of evidence within one transaction. Raises StoreError if database or disk fails, StoreDamagedError for
    a file that was changed, and SettingsError if content is in files and the store was opened without their folder."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows = Rows(connection)
        self._files = files_of(connection)
        self._is_planned = connection.dialect.name != "postgresql"

    def insert(self, rows: Sequence[EvidenceRow]) -> None:
        """Add consecutive rows of a stream, with their content; it goes into files if the store has a folder for them.
        Raises StoreError if one is stored already."""
        if not rows:
            return
        if self._connection.dialect.name == "postgresql":
            prepare_partition(self._connection, rows[0].stream, rows[0].index, month_of(datetime.now(UTC)))
        if self._files is None:
            self._rows.insert(rows)
            return
        self._files.verify_named(self._connection)
        for start in range(0, len(rows), _FILES_AT_ONCE):
            self._rows.insert([self.moved_out(row) for row in rows[start : start + _FILES_AT_ONCE]])

    def size(self, stream: bytes) -> int:
        """Number of stored entries of a stream. The log has no gaps, so it ends where its last row does."""
        row = select(evidence.c.index + evidence.c.count).where(evidence.c.stream == stream)
        return self._planned().execute(row.order_by(evidence.c.index.desc()).limit(1)).scalar() or 0

    def counts(self) -> Iterator[tuple[bytes, int, int, int]]:
        """Each stream, with the number of its entries, of those that were dropped, and of those in files."""
        in_file = evidence.c.file != ""
        gone = and_(func.length(evidence.c.salts) == 0, evidence.c.file == "")
        sums = (func.sum(case((which, evidence.c.count), else_=0)) for which in (gone, in_file))
        query = select(evidence.c.stream, func.sum(evidence.c.count), *sums).group_by(evidence.c.stream)
        for stream, entries, dropped, filed in self._planned().execute(query.order_by(evidence.c.stream)):
            yield bytes(stream), int(entries), int(dropped), int(filed)

    def hashes(self, stream: bytes, size: int) -> Iterator[tuple[int, bytes]]:
        """Index of the first entry and joined leaf hashes of each row that begins below index `size`, in order."""
        query = select(evidence.c.index, evidence.c.leaf_hashes)
        query = query.where(evidence.c.stream == stream, evidence.c.index < size).order_by(evidence.c.index)
        yield from map(tuple, self._planned().execute(query))

    def holding(self, stream: bytes, index: int) -> EvidenceRow | None:
        """The row that has the entry at an index, or, beyond the log's end, its last one; without what is in a file."""
        query = select(evidence).where(evidence.c.stream == stream, evidence.c.index <= index)
        found = self._planned().execute(query.order_by(evidence.c.index.desc()).limit(1)).one_or_none()
        return None if found is None else EvidenceRow(*found)

    def of(self, stream: bytes) -> Iterator[EvidenceRow]:
        """The rows of a stream in order, without what is in files. Only some are in memory at a time: a log may have a
        GB a day."""
        return self._each(select(evidence).where(evidence.c.stream == stream).order_by(evidence.c.index))

    def within(self, stream: bytes, size: int) -> Iterator[EvidenceRow]:
        """Like `of`, the rows with entries that lie within a stream's first `size` ones."""
        end = evidence.c.index + evidence.c.count
        return self._each(select(evidence).where(evidence.c.stream == stream, end <= size).order_by(evidence.c.index))

    def elsewhere(self, *, into_files: bool) -> dict[bytes, list[int]]:
        """First index of each row whose content is not in files or, with False, not in the row, by stream; rows without
        content are left out."""
        outside = evidence.c.file == "" if into_files else evidence.c.file != ""
        query = select(evidence.c.stream, evidence.c.index).where(outside)
        if into_files:
            query = query.where(func.length(evidence.c.salts) > 0)
        found: dict[bytes, list[int]] = {}
        for stream, index in self._planned().execute(query.order_by(evidence.c.stream, evidence.c.index)):
            found.setdefault(bytes(stream), []).append(index)
        return found

    def every(self) -> Iterator[EvidenceRow]:
        """The rows of all streams, without what is in files."""
        return self._rows.scan(EvidenceRow)

    def containing(self, stream: bytes, text: str, first: int = 0) -> Iterator[EvidenceRow]:
        """The rows of a stream, with their content, that have a text in it, and an entry from index `first` on."""
        here = or_(evidence.c.entries.contains(text, autoescape=True), evidence.c.file != "")
        query = select(evidence).where(evidence.c.stream == stream, evidence.c.index + evidence.c.count > first, here)
        for row in self._each(query.order_by(evidence.c.index)):
            if text in (full := self.with_content(row)).entries:
                yield full

    def beginning(self, stream: bytes, firsts: Iterable[int]) -> list[EvidenceRow]:
        """The rows of a stream that begin at these indexes, without what is in files."""
        self._planned()
        return self._rows.among(EvidenceRow, "index", firsts, stream=stream)

    def with_content(self, row: EvidenceRow) -> EvidenceRow:
        """The row with what is in its file."""
        if not row.file:
            return row
        if self._files is None:
            raise SettingsError(
                f"entries of stream {to_hex(row.stream)} are in files", hint="set evidence_folder to their folder"
            )
        content, salts = self._files.read(row.stream, row.file), row.count * SALT_BYTES
        try:
            return replace(row, salts=content[:salts], entries=content[salts:].decode(), file="")
        except UnicodeDecodeError:
            raise StoreDamagedError(
                f"the file {row.file} of stream {to_hex(row.stream)} is not one of its row",
                hint="restore evidence_folder from a backup",
            ) from None

    def moved_out(self, row: EvidenceRow) -> EvidenceRow:
        """The row with its content in a file, which is on the disk on return."""
        if self._files is None:
            raise SettingsError("there is no folder for evidence", hint="set evidence_folder")
        name = self._files.write(row.stream, row.salts + row.entries.encode())
        return replace(row, salts=b"", entries="", file=name)

    def drop(self, stream: bytes, firsts: Sequence[int]) -> None:
        """Drop salts and entries of the rows that begin at these indexes; their leaf hashes stay. Their files are to be
        removed after the commit, with `millmark.ledger.store.evidence_moves.remove_files`."""
        self._change(stream, [{"first": first, "salts": b"", "entries": "", "file": ""} for first in firsts])

    def update(self, rows: Sequence[EvidenceRow]) -> None:
        """Put the content of a stream's rows elsewhere: into the row, or into its file."""
        if self._files is not None:
            self._files.verify_named(self._connection)
        changed = [{"first": row.index, "salts": row.salts, "entries": row.entries, "file": row.file} for row in rows]
        self._change(rows[0].stream, changed) if rows else None

    def named(self, stream: bytes, month: str) -> set[str]:
        """The files of a month that rows of a stream name."""
        query = select(evidence.c.file).where(evidence.c.stream == stream, evidence.c.file.startswith(month))
        return set(self._planned().execute(query).scalars())

    def _planned(self) -> Connection:
        """The connection; PostgreSQL plans its statements for their values from now on. A plan that fits every stream,
        which it makes of a statement that comes often, would lock the partitions of all of them."""
        if not self._is_planned:
            self._connection.exec_driver_sql("SET LOCAL plan_cache_mode = force_custom_plan")
            self._is_planned = True
        return self._connection

    def _change(self, stream: bytes, changed: Sequence[dict[str, object]]) -> None:
        that: ColumnElement[bool] = and_(evidence.c.stream == stream, evidence.c.index == bindparam("first"))
        names = ("salts", "entries", "file")
        statement = update(evidence).where(that).values({name: bindparam(name) for name in names})
        if changed:
            self._planned().execute(statement, list(changed))

    def _each(self, query: Select[Any]) -> Iterator[EvidenceRow]:
        for row in self._planned().execute(query.execution_options(yield_per=100)):
            yield EvidenceRow(*row)
