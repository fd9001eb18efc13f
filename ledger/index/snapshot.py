"""Snapshot of an index: its records, from which another index is derived without asking the chain for every block.

A file has what the chain has logged, and nothing else: no derived row, no name, no salt. Whoever imports it derives the
rows itself, so that only records can be forged in it; `import_index` holds those against the chain.

Format: lines of JSON, compressed with gzip; bytes are in base64. The first line names the ledger. Each block with
records has a line: number, hash, parent's hash, time, and its records in log order. The last line has the last block,
the numbers of records, and the digest of the index. Only final blocks are in it.
"""

from __future__ import annotations

import gzip
import itertools
import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from millmark.ledger.canonical import to_hex
from millmark.ledger.chain import Chain, fetch_proofs
from millmark.ledger.errors import ChainError, ChainUnreachableError, InputError, NotFoundError, StoreError
from millmark.ledger.events import Event, Header, Recorded, decode, find_event
from millmark.ledger.index.follower import Follower, may_contain, verify_identity
from millmark.ledger.index.state import ONLY
from millmark.ledger.index.writer import Block, extend_digest, inner_of_record, start_digest
from millmark.ledger.records import Contract
from millmark.ledger.slots import decode_sequence, head_slot, link, sequence_slot, start_of
from millmark.ledger.store import Connection, Rows, Store
from millmark.ledger.store.repository import Undo
from millmark.ledger.store.rows import BlockRow, ChainIdentityRow, CursorRow, RecordRow

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")
_FORMAT, _VERSION = "millmark-index", 1
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
        return ChainIdentityRow(ONLY, self.chain_id, self.genesis_hash, self.registry, self.ledger, self.ledger_id)


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
            header = Header(found.number, found.hash, found.parent_hash, found.timestamp, b"", b"")
            try:
                yield Block(header, tuple(_recorded(one, header) for one in found.records))
            except (ValueError, InputError) as error:
                raise _wrong(self.path, f"block {found.number} has a malformed record: {error}") from None
        raise _wrong(self.path, "its end is missing")


def export_index(store: Store, path: Path) -> End:
    """Write the records of all final blocks to a new file. The index may be followed meanwhile. Raises NotFoundError if
    nothing is indexed yet, InputError if the file exists or cannot be written."""
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
    identity, cursor = rows.get(ChainIdentityRow, ONLY), _final_cursor(connection, rows)
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
            logged.append(_fill(_Logged, record))
            record = next(records, None)
        _write(file, _Block(block.number, block.hash, block.parent_hash, block.timestamp, logged))
    # What the follower added up record by record: a damaged row must not be handed to others.
    if digest != cursor.digest:
        raise InputError("the index is damaged: its records are not those of its digest", hint="see `millmark status`")
    end = _fill(End, cursor)
    _write(file, end)
    return end


def _final_cursor(connection: Connection, rows: Rows) -> CursorRow | None:
    """The cursor as it was at the last final block; later blocks may still be undone."""
    undo = Undo(connection)
    first = undo.first()
    cursor = rows.get(CursorRow, ONLY) if first is None else undo.cursor_before(first)
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


def _fill(kind: type[S], row: object) -> S:
    """A part of a line, whose members are a row's of the same names."""
    return kind(*(getattr(row, name) for name in kind.__struct_fields__))


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


# Import of a snapshot into an empty index: what it says is held against the chain first, then its rows are derived.
#
# Two ways. Without a digest from elsewhere, every block that the snapshot says has records is fetched from the chain,
# and its records must be those in the file: all that a rebuild checks, without the blocks that have none. With the
# digest of an index that is trusted (another gateway's `millmark status`), no block is fetched: the digest covers each
# record's content and place. Both ways, the last block and its time must be the chain's, and final, and the numbers of
# records and a sample of the histories' heads are compared with storage proofs at that block: only they show that no
# block with records was left out. Where the node no longer has the state of that block, the blocks after it are read,
# up to the last final one, whose state has to have all those records and the file's together; a digest makes that
# needless.
#
# Nothing is written before all of that has passed. Rows are then committed batch by batch, each as it was checked, so
# that a crash leaves an index that ends early, from which following goes on.

_SAMPLE = 1_000
"""Heads that are compared with storage proofs, of some 3 kB each."""
_BATCH_RECORDS = 2_000
_HEADERS = 100
"""Blocks after the end that are asked for at once."""
_HINT = "do not use the file; export another from a gateway that you trust, or run `millmark rebuild`"


@dataclass(frozen=True, slots=True)
class Imported:
    """What was imported, and how it was checked."""

    block_number: int
    records: int
    digest: bytes
    blocks: int
    """Blocks that were fetched and compared; 0 where a digest was given."""
    heads: int
    """Heads that were compared; 0 where a digest was given, and the node no longer has the state of the last block."""
    compared_at: int
    """Block whose state the numbers of records and the heads were compared with."""


@dataclass(slots=True)
class _Read:
    """What one pass over the file found."""

    digest: bytes
    sequences: dict[Contract, int] = field(default_factory=lambda: dict.fromkeys(Contract, 0))
    heads: dict[bytes, bytes] = field(default_factory=dict)
    batches: list[bytes] = field(default_factory=list)
    """The digest after each batch, by which the second pass sees that the file is still the same."""
    blocks: int = 0

    def count(self, record: Recorded[Event], chain: Chain) -> None:
        """Count the next record of its contract, and extend its histories. Raises InputError if it is another one."""
        self.sequences[record.contract] += 1
        if record.sequence != self.sequences[record.contract]:
            raise _out_of_order(record)
        inner = inner_of_record(record)
        for subject in record.histories:
            head = self.heads.get(subject) or start_of(chain.chain_id, chain.ledger, chain.ledger_id, subject)
            self.heads[subject] = link(head, record.topic, inner)


def import_index(
    store: Store,
    chain: Chain,
    snapshot: Snapshot,
    digest: bytes | None = None,
    tell: Callable[[int], None] = lambda _: None,
) -> Imported:
    """Check a snapshot against the chain and derive the index from it. `tell` is called with the number of records that
    were checked so far.

    Raises InputError with the reason if the file is malformed, or says what the chain or `digest` does not;
    WrongChainError or WrongContractError if it is of another ledger, StoreError if there is an index already,
    ChainError if the node fails.
    """
    identity = ChainIdentityRow(
        ONLY, chain.chain_id, chain.genesis_hash(), chain.registry, chain.ledger, chain.ledger_id
    )
    verify_identity(identity, snapshot.start.identity(), "the snapshot", "use a snapshot of this ledger")
    _verify_empty(store)
    found, end = _check(chain, snapshot, digest, tell)
    heads, compared_at = _compare_state(chain, found, end, is_trusted=digest is not None)
    Follower(chain, store).derive(_batches(snapshot, found, end))
    store.analyse()
    records = sum(found.sequences.values())
    return Imported(end.block_number, records, end.digest, 0 if digest else found.blocks, heads, compared_at)


def _verify_empty(store: Store) -> None:
    with store.reading() as connection:
        cursor = Rows(connection).get(CursorRow, ONLY)
    if cursor is not None and cursor.registry_sequence + cursor.ledger_sequence:
        raise StoreError(
            f"this database has an index already, up to block {cursor.block_number}",
            hint="it needs no snapshot; to begin anew, use a new database",
        )


def _check(chain: Chain, snapshot: Snapshot, digest: bytes | None, tell: Callable[[int], None]) -> tuple[_Read, End]:
    found = _Read(start_digest(snapshot.start.identity()))
    ends: list[End] = []
    pending, last = 0, chain.first_block - 1
    for block in snapshot.blocks(ends.append):
        if block.header.number <= last or not block.records:
            raise _forged(f"block {block.header.number} is out of order, or without records")
        last = block.header.number
        if digest is None:
            _compare_block(chain, block)
        place = -1
        for record in block.records:
            found.count(record, chain)
            if record.log_index <= place:
                raise _out_of_order(record)
            place = record.log_index
            found.digest = extend_digest(found.digest, record.contract, record)
        found.blocks += 1
        pending += len(block.records)
        if pending >= _BATCH_RECORDS:
            found.batches.append(found.digest)
            tell(sum(found.sequences.values()))
            pending = 0
    [end] = ends
    _verify_end(chain, found, end, digest, last)
    return found, end


def _compare_block(chain: Chain, block: Block) -> None:
    number, header = block.header.number, chain.header(block.header.number)
    named = block.header.hash, block.header.parent_hash, block.header.timestamp
    if (header.hash, header.parent_hash, header.timestamp) != named:
        raise _forged(f"block {number} is another one on the chain")
    if chain.recorded(header) != block.records:
        raise _forged(f"block {number} has other records on the chain")


def _verify_end(chain: Chain, found: _Read, end: End, digest: bytes | None, last: int) -> None:
    stated = (end.digest, end.registry_sequence, end.ledger_sequence)
    if (found.digest, *(found.sequences[contract] for contract in (Contract.REGISTRY, Contract.LEDGER))) != stated:
        raise _forged("its records are not those of the digest and the numbers at its end")
    if digest is not None and digest != end.digest:
        raise _forged(f"its digest is {to_hex(end.digest)}, not the one that you gave")
    if end.block_number < last or end.block_number > chain.final_number():
        raise _forged(f"block {end.block_number}, where it ends, is not final on the chain, or before its records")
    header = chain.header(end.block_number)
    if (header.hash, header.timestamp) != (end.block_hash, end.block_time):
        raise _forged(f"block {end.block_number}, where it ends, is another one on the chain")


def _compare_state(chain: Chain, found: _Read, end: End, *, is_trusted: bool) -> tuple[int, int]:
    """Compare the numbers of records, and a sample of the heads, with the state at the last block, or at a later one if
    the node no longer has that. Returns how many heads, and the block; 0 heads if there is nothing to compare with, and
    the digest `is_trusted`. Raises ChainUnreachableError if it is not."""
    try:
        return _compare_at(chain, found, end.block_number), end.block_number
    except ChainUnreachableError:
        chain.header(end.block_number)  # a node that does not answer at all raises again
        if is_trusted:
            return 0, end.block_number
    counted, last = _read_on(chain, found, end)
    try:
        return _compare_at(chain, counted, last), last
    except ChainUnreachableError as error:
        raise ChainUnreachableError(
            f"that the file has all records cannot be shown: {error.cause}",
            hint="use a node that proves the state of the last final block (eth_getProof), or give --digest",
        ) from error


def _read_on(chain: Chain, found: _Read, end: End) -> tuple[_Read, int]:
    """What was found, with the records of the blocks after the file's end up to the last final one, and that block.
    Raises InputError if a record does not follow the file's."""
    counted = _Read(b"", dict(found.sequences), dict(found.heads))
    last, parent = chain.final_number(), end.block_hash
    addresses = (chain.registry, chain.ledger)
    for start in range(end.block_number + 1, last + 1, _HEADERS):
        numbers = range(start, min(start + _HEADERS, last + 1))
        for number, header in zip(numbers, chain.node.find_headers(numbers), strict=True):
            if isinstance(header, ChainError):
                raise header
            if header is None or header.parent_hash != parent:
                raise ChainUnreachableError(f"block {number} is not one that follows the file's", hint="try again")
            parent = header.hash
            if any(may_contain(header.logs_bloom, address) for address in addresses):
                for record in chain.recorded(header):
                    counted.count(record, chain)
    return counted, last


def _compare_at(chain: Chain, found: _Read, number: int) -> int:
    """Compare with the state at a block; returns how many heads. Raises ChainUnreachableError if the node lacks it."""
    subjects = sorted(found.heads)
    sample = random.SystemRandom().sample(subjects, min(_SAMPLE, len(subjects)))
    slots = {subject: head_slot(subject) for subject in sample}
    counters = {contract: sequence_slot(contract) for contract in Contract}
    wanted: dict[bytes, list[bytes]] = {chain.address(contract): [slot] for contract, slot in counters.items()}
    wanted[chain.ledger] += slots.values()
    words = fetch_proofs(chain.node, wanted, number).words
    for contract, slot in counters.items():
        made = decode_sequence(contract, words[chain.address(contract), slot])
        if made != found.sequences[contract]:
            raise _forged(
                f"the {contract.value} has {made} records on the chain, {found.sequences[contract]} in the file"
                f"{' and the blocks after it' if not found.digest else ''}"
            )
    for subject, slot in slots.items():
        if words[chain.ledger, slot] != found.heads[subject]:
            raise _forged(f"the history of {to_hex(subject)} has another head on the chain")
    return len(slots)


def _batches(snapshot: Snapshot, checked: _Read, end: End) -> Iterator[list[Block]]:
    """The blocks again, in batches, each verified to be as it was checked; then the last block, without records."""
    digests = iter(checked.batches)
    digest, batch, pending = start_digest(snapshot.start.identity()), list[Block](), 0
    last = -1
    for block in snapshot.blocks(lambda _: None):
        for record in block.records:
            digest = extend_digest(digest, record.contract, record)
        batch.append(block)
        last = block.header.number
        pending += len(block.records)
        if pending >= _BATCH_RECORDS:
            _verify_same(digest, next(digests, b""))
            yield batch
            batch, pending = [], 0
    _verify_same(digest, checked.digest)
    if last < end.block_number:
        batch.append(Block(Header(end.block_number, end.block_hash, b"", end.block_time, b"", b""), ()))
    yield batch


def _verify_same(digest: bytes, checked: bytes) -> None:
    if digest != checked:
        raise InputError("the file was changed while it was imported", hint="run `millmark rebuild`")


def _out_of_order(record: Recorded[Event]) -> InputError:
    return _forged(f"record {record.sequence} of the {record.contract.value} is out of order")


def _forged(cause: str) -> InputError:
    return InputError(f"the snapshot is refused: {cause}", hint=_HINT)
