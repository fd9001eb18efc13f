"""Snapshot of an index: its records, from which another index is derived without asking the chain for every block.

A file has what the chain has logged, and nothing else: no derived row, no name, no salt. Whoever imports it derives the
rows itself, so that only records can be forged in it; millmark.ledger.index.snapshot_import holds those against the
chain.

Format: lines of JSON, compressed with gzip; bytes are in base64. The first line names the ledger. Each block with
records has a line: number, hash, parent's hash, time, and its records in log order. The last line has the last block,
the numbers of records, and the digest of the index. Only final blocks are in it.
"""

from __future__ import annotations

import gzip
import itertools
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.events import Event, Header, Recorded, decode, find_event
from millmark.ledger.index.digest import extend_digest, start_digest
from millmark.ledger.index.writer import Block
from millmark.ledger.records import Contract
from millmark.ledger.store import Connection, Rows, Store
from millmark.ledger.store.rows import BlockRow, ChainIdentityRow, CursorRow, RecordRow
from millmark.ledger.store.undo import Undo

T = TypeVar("T")
_FORMAT, _VERSION = "millmark-index", 1
_ONLY = 1
"""Primary key in tables with one row."""
_MAX_LINE_BYTES = 1 << 26
"""Longest line: a block of 64 MiB of records would need more gas than any chain allows."""
_LEVEL = 1
"""Gzip's level: the next ones are slower than the rest of an export, and save a tenth."""


class Start(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line: the ledger."""

    format: str
    version: int
    chain_id: int
    genesis_hash: bytes
    registry: bytes
    ledger: bytes
    ledger_id: bytes

    def identity(self) -> ChainIdentityRow:
        return ChainIdentityRow(_ONLY, self.chain_id, self.genesis_hash, self.registry, self.ledger, self.ledger_id)


class _Logged(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A record, as the chain logged it."""

    contract: str
    sequence: int
    topic: bytes
    participant: int
    subject: bytes
    transaction_hash: bytes
    log_index: int
    data: bytes


class _Block(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A block with records."""

    number: int
    hash: bytes
    parent_hash: bytes
    timestamp: int
    records: list[_Logged]


class End(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last line: how far it reaches."""

    block_number: int
    block_hash: bytes
    block_time: int
    registry_sequence: int
    ledger_sequence: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A file that can be read as often as needed."""

    path: Path
    start: Start

    def blocks(self, ended: Callable[[End], None]) -> Iterator[Block]:
        """The blocks with records, in order. `ended` is called with the last line. Raises InputError where the file is
        not a snapshot or is cut off."""
        for line in itertools.islice(_lines(self.path), 1, None):
            if not line.startswith(b"["):
                ended(_parse(self.path, line, End))
                return
            found = _parse(self.path, line, _Block)
            try:
                yield _block(found)
            except (ValueError, InputError) as error:
                raise _wrong(self.path, f"block {found.number} has a malformed record: {error}") from None
        raise _wrong(self.path, "its end is missing")


def export_index(store: Store, path: Path) -> End:
    """Write the records of all final blocks to a new file. The index may be followed meanwhile.

    Raises NotFoundError if nothing is indexed yet, InputError if the file exists or cannot be written.
    """
    try:
        # One read transaction for all of it: what a follower commits meanwhile is not in the file.
        with store.reading() as connection, gzip.open(path, "xb", _LEVEL) as file:
            try:
                return _export(connection, file)
            except BaseException:
                # Nobody could import it without its last line, and the next attempt would refuse to overwrite it.
                path.unlink()
                raise
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror}", hint="name a file that does not exist"
        ) from error


def _export(connection: Connection, file: gzip.GzipFile) -> End:
    rows = Rows(connection)
    identity, cursor = rows.get(ChainIdentityRow, _ONLY), _final_cursor(connection, rows)
    if identity is None or cursor is None:
        raise NotFoundError("nothing is indexed yet", hint="run `millmark status` with the chain at hand, then again")
    names = (identity.chain_id, identity.genesis_hash, identity.registry, identity.ledger, identity.ledger_id)
    _write(file, Start(_FORMAT, _VERSION, *names))
    # Two scans side by side, neither of which is ever whole in memory, in place of a query for each block.
    digest, records = start_digest(identity), rows.scan(RecordRow, "block_number", "log_index")
    record = next(records, None)
    for block in rows.scan(BlockRow):
        if block.number > cursor.block_number:
            break
        logged = []
        while record is not None and record.block_number == block.number:
            digest = extend_digest(digest, Contract(record.contract), record)
            logged.append(_logged(record))
            record = next(records, None)
        _write(file, _Block(block.number, block.hash, block.parent_hash, block.timestamp, logged))
    # What the follower added up record by record: a damaged row must not be handed to others.
    if digest != cursor.digest:
        raise InputError("the index is damaged: its records are not those of its digest", hint="see `millmark status`")
    end = End(
        cursor.block_number,
        cursor.block_hash,
        cursor.block_time,
        cursor.registry_sequence,
        cursor.ledger_sequence,
        digest,
    )
    _write(file, end)
    return end


def _final_cursor(connection: Connection, rows: Rows) -> CursorRow | None:
    """The cursor as it was at the last final block; later blocks may still be undone."""
    undo = Undo(connection)
    first = undo.first()
    cursor = rows.get(CursorRow, _ONLY) if first is None else undo.cursor_before(first)
    return None if cursor is None or not cursor.ledger_sequence + cursor.registry_sequence else cursor


def read_snapshot(path: Path) -> Snapshot:
    """Open a file that `export_index` has written. Raises InputError if it is none."""
    start = _parse(path, next(_lines(path), b""), Start)
    if (start.format, start.version) != (_FORMAT, _VERSION):
        raise _wrong(path, f"it has format {start.format!r} {start.version}")
    return Snapshot(path, start)


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path) as file:
            while line := file.readline(_MAX_LINE_BYTES):
                if not line.endswith(b"\n"):
                    raise _wrong(path, "a line is too long, or the file is cut off")
                yield line
    except (OSError, EOFError, zlib.error) as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else "it is damaged or cut off"
        raise _wrong(path, str(cause)) from None


def _parse(path: Path, line: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(line, type=kind)
    except msgspec.DecodeError:
        raise _wrong(path, "a line is not what it should be") from None


def _write(file: gzip.GzipFile, line: msgspec.Struct) -> None:
    file.write(msgspec.json.encode(line) + b"\n")


def _logged(row: RecordRow) -> _Logged:
    return _Logged(
        row.contract,
        row.sequence,
        row.topic,
        row.participant,
        row.subject,
        row.transaction_hash,
        row.log_index,
        row.data,
    )


def _block(found: _Block) -> Block:
    header = Header(found.number, found.hash, found.parent_hash, found.timestamp, b"", b"")
    return Block(header, tuple(_recorded(one, header) for one in found.records))


def _recorded(logged: _Logged, header: Header) -> Recorded[Event]:
    kind = find_event(Contract(logged.contract), logged.topic)
    if kind is None:
        raise ValueError(f"record {logged.sequence} has an unknown kind")
    key, histories, event = decode(kind, logged.data)
    return Recorded(
        event=event,
        sequence=logged.sequence,
        participant=logged.participant,
        subject=logged.subject,
        key=key,
        histories=histories,
        data=logged.data,
        block_number=header.number,
        block_hash=header.hash,
        block_time=header.timestamp,
        transaction_hash=logged.transaction_hash,
        log_index=logged.log_index,
    )


def _wrong(path: Path, cause: str) -> InputError:
    return InputError(f"{path} is not a snapshot of an index: {cause}", hint="export it again: `millmark index export`")
