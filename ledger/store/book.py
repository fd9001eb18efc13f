"""The private book: data that are not on the chain, and that only this database's owner has."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, case, delete, func, or_, select, update

from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json, canonical_json, sha256, to_hex
from millmark.ledger.errors import SettingsError, StoreDamagedError, StoreError
from millmark.ledger.evidence import SALT_BYTES, EvidenceEntry, EvidenceLog, LeafKind
from millmark.ledger.ids import Identity, SubjectKind, canonical_identifier, is_short_name
from millmark.ledger.names import NAME_PROOF_BYTES
from millmark.ledger.store import rows as tables
from millmark.ledger.store.database import Store
from millmark.ledger.store.evidence_files import files_of, month_of
from millmark.ledger.store.postgresql import prepare_partition
from millmark.ledger.store.repository import Rows
from millmark.ledger.store.schema import evidence, identities, participant_names

# Reads and writes the rows of streams' logs, whose content is in the row or in a file.

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

    def insert(self, rows: Sequence[tables.EvidenceRow]) -> None:
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

    def holding(self, stream: bytes, index: int) -> tables.EvidenceRow | None:
        """The row that has the entry at an index, or, beyond the log's end, its last one; without what is in a file."""
        query = select(evidence).where(evidence.c.stream == stream, evidence.c.index <= index)
        found = self._planned().execute(query.order_by(evidence.c.index.desc()).limit(1)).one_or_none()
        return None if found is None else tables.EvidenceRow(*found)

    def of(self, stream: bytes) -> Iterator[tables.EvidenceRow]:
        """The rows of a stream in order, without what is in files. Only some are in memory at a time: a log may have a
        GB a day."""
        return self._each(select(evidence).where(evidence.c.stream == stream).order_by(evidence.c.index))

    def within(self, stream: bytes, size: int) -> Iterator[tables.EvidenceRow]:
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

    def every(self) -> Iterator[tables.EvidenceRow]:
        """The rows of all streams, without what is in files."""
        return self._rows.scan(tables.EvidenceRow)

    def containing(self, stream: bytes, text: str, first: int = 0) -> Iterator[tables.EvidenceRow]:
        """The rows of a stream, with their content, that have a text in it, and an entry from index `first` on."""
        here = or_(evidence.c.entries.contains(text, autoescape=True), evidence.c.file != "")
        query = select(evidence).where(evidence.c.stream == stream, evidence.c.index + evidence.c.count > first, here)
        for row in self._each(query.order_by(evidence.c.index)):
            if text in (full := self.with_content(row)).entries:
                yield full

    def beginning(self, stream: bytes, firsts: Iterable[int]) -> list[tables.EvidenceRow]:
        """The rows of a stream that begin at these indexes, without what is in files."""
        self._planned()
        return self._rows.among(tables.EvidenceRow, "index", firsts, stream=stream)

    def with_content(self, row: tables.EvidenceRow) -> tables.EvidenceRow:
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

    def moved_out(self, row: tables.EvidenceRow) -> tables.EvidenceRow:
        """The row with its content in a file, which is on the disk on return."""
        if self._files is None:
            raise SettingsError("there is no folder for evidence", hint="set evidence_folder")
        name = self._files.write(row.stream, row.salts + row.entries.encode())
        return replace(row, salts=b"", entries="", file=name)

    def drop(self, stream: bytes, firsts: Sequence[int]) -> None:
        """Drop salts and entries of the rows that begin at these indexes; their leaf hashes stay. Their files are to be
        removed after the commit, with `millmark.ledger.store.book.remove_files`."""
        self._change(stream, [{"first": first, "salts": b"", "entries": "", "file": ""} for first in firsts])

    def update(self, rows: Sequence[tables.EvidenceRow]) -> None:
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

    def _each(self, query: Select[Any]) -> Iterator[tables.EvidenceRow]:
        for row in self._planned().execute(query.execution_options(yield_per=100)):
            yield tables.EvidenceRow(*row)


_RUN = 256
"""Maximum number of log entries in one row: enough to make a row's overhead small, few enough to read a single one."""


class Book:
    """Repository of the private book, within one transaction. Raises StoreError if the database fails."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows = Rows(connection)
        self._evidence = EvidenceRows(connection)

    def add_identity(self, identity: Identity) -> None:
        """Store a subject's identifier, salt and proofs. Idempotent: the subject is a hash of the first two, so they
        never change; proofs are added if they were missing."""
        row = tables.IdentityRow(
            subject=identity.subject,
            kind=int(identity.kind),
            creator=identity.creator,
            identifier=identity.identifier,
            salt=identity.salt,
            proofs=b"".join(identity.proofs),
        )
        # Only a new identity is a new revision, which invalidates cached answers.
        known = self._rows.get(tables.IdentityRow, row.subject)
        if known is None or (not known.proofs and row.proofs):
            self._rows.put(row)
            self._revise()

    def identity(self, subject: bytes) -> Identity | None:
        row = self._rows.get(tables.IdentityRow, subject)
        return None if row is None else _identity(row)

    def identities(self, identifier: str) -> list[Identity]:
        """All subjects whose identifier is `identifier`, given in any spelling, or ends in it as its last part; several
        if companies use the same one.

        Raises IdentifierError if it is neither the last part of an identifier nor has a canonical form.
        """
        if is_short_name(identifier):
            return self._ending_in(identifier)
        return [
            _identity(row) for row in self._rows.find(tables.IdentityRow, identifier=canonical_identifier(identifier))
        ]

    def _ending_in(self, name: str) -> list[Identity]:
        ends = ("/" + name, ":" + name)
        column = identities.c.identifier
        query = select(identities).where(or_(*(column.endswith(end, autoescape=True) for end in ends)))
        rows = (tables.IdentityRow(*row) for row in self._connection.execute(query.order_by(identities.c.subject)))
        # SQLite's LIKE ignores case, which PostgreSQL's and identifiers do not.
        return [_identity(row) for row in rows if row.identifier.endswith(ends)]

    def stand_ins(self, identifier: str, kind: SubjectKind) -> list[Identity]:
        """Any one thing of the book, always the same for an identifier and one book; none if it has none of the kind.
        It is judged in place of one that the book does not know, so that the time taken does not tell which it is."""
        mark = sha256(identifier.encode())
        query = select(identities).where(identities.c.kind == int(kind)).order_by(identities.c.subject).limit(1)
        row = self._connection.execute(query.where(identities.c.subject >= mark)).first()
        row = row or self._connection.execute(query).first()
        return [] if row is None else [_identity(tables.IdentityRow(*row))]

    def identifiers(self, subjects: Iterable[bytes]) -> dict[bytes, str]:
        """The known identifiers, by subject."""
        return {row.subject: row.identifier for row in self._rows.among(tables.IdentityRow, "subject", subjects)}

    def put_document(self, root: bytes, document: str) -> None:
        """Store the document behind a claims root. Replaces an earlier one, as is needed when fields are erased."""
        self._rows.put(tables.DocumentRow(root, document))

    def document(self, root: bytes) -> str | None:
        found = self._rows.get(tables.DocumentRow, root)
        return None if found is None else found.document

    def documents(self, roots: Iterable[bytes]) -> dict[bytes, str]:
        """The documents with these claims roots, by root; roots whose document is not stored are left out."""
        return {row.root: row.document for row in self._rows.among(tables.DocumentRow, "root", roots)}

    def add_evidence(self, stream: bytes, entries: Sequence[EvidenceEntry]) -> None:
        """Store consecutive entries of a stream's log. Raises StoreError if one is stored already."""
        if entries:
            texts = [canonical_json(entry.entry) for entry in entries]
            salts, leaves = [entry.salt for entry in entries], [entry.leaf_hash for entry in entries]
            kinds = bytes(entry.kind for entry in entries)
            self.add_evidence_run(stream, entries[0].index, salts, texts, leaves, kinds)

    def add_evidence_run(
        self,
        stream: bytes,
        first: int,
        salts: Sequence[bytes],
        texts: Sequence[bytes],
        leaves: Sequence[bytes],
        kinds: bytes,
    ) -> None:
        """Like `add_evidence`, for entries from index `first` on that are canonical JSON already, as UTF-8."""
        # Canonical JSON has no line breaks, so that texts joined by them can be taken apart without parsing.
        self._evidence.insert(
            [
                tables.EvidenceRow(
                    stream,
                    first + start,
                    len(texts[start : start + _RUN]),
                    b"".join(salts[start : start + _RUN]),
                    b"\n".join(texts[start : start + _RUN]).decode(),
                    b"".join(leaves[start : start + _RUN]),
                    kinds[start : start + _RUN],
                )
                for start in range(0, len(texts), _RUN)
            ]
        )

    def evidence_size(self, stream: bytes) -> int:
        """Number of stored entries of a stream. The log has no gaps, so it ends where its last row does."""
        return self._evidence.size(stream)

    def latest_evidence(self, stream: bytes) -> Json:
        """A stream's last stored entry; None if there is none."""
        found = self._evidence.holding(stream, MAX_SAFE_INTEGER)
        return None if found is None or found.is_dropped else self._entries(found)[-1].entry

    def leaves(self, stream: bytes, size: int) -> list[bytes]:
        """Hashes of a stream's first `size` leaves, 32 bytes each; fewer if the book does not have them all."""
        leaves: list[bytes] = []
        for index, hashes in self._evidence.hashes(stream, size):
            # A gap: the book knows the log only in part.
            if index != len(leaves):
                break
            leaves += _parts(hashes)
        return leaves[:size]

    def evidence(self, stream: bytes) -> EvidenceLog:
        """A stream's log from its beginning, as far as it is stored. Loads all of it into memory. Ends before the first
        entry that retention has dropped."""
        log = EvidenceLog()
        for row in self._evidence.of(stream):
            if row.index != len(log.entries) or row.is_dropped:
                break
            for entry in self._entries(row):
                log.append(entry.entry, entry.salt, entry.kind)
        return log

    def evidence_entry(self, stream: bytes, index: int) -> EvidenceEntry | None:
        """The entry of a stream's log at an index; None if it is not stored, or was dropped."""
        row = self._evidence.holding(stream, index)
        if row is None or index >= row.index + row.count or row.is_dropped:
            return None
        return self._entries(row)[index - row.index]

    def leaf(self, stream: bytes, index: int) -> bytes | None:
        """The leaf hash of an entry, which stays when the entry is dropped; None if it is not stored."""
        row = self._evidence.holding(stream, index)
        return None if row is None or index >= row.index + row.count else _parts(row.leaf_hashes)[index - row.index]

    def evidence_counts(self) -> dict[bytes, tuple[int, int, int]]:
        """Number of entries of each stream's log, of those among them that were dropped, and of those whose content is
        in files."""
        return {stream: (entries, dropped, filed) for stream, entries, dropped, filed in self._evidence.counts()}

    def runs(self, stream: bytes, size: int) -> Iterator[tables.EvidenceRow]:
        """The rows with entries of a stream that lie within its first `size` ones, but for the log's last row; without
        what is in files."""
        end = self.evidence_size(stream)
        return (row for row in self._evidence.within(stream, size) if row.index + row.count < end)

    def runs_from(self, stream: bytes, firsts: Iterable[int]) -> list[tables.EvidenceRow]:
        """The rows of a stream that begin at these indexes; without what is in files."""
        return self._evidence.beginning(stream, firsts)

    def with_content(self, row: tables.EvidenceRow) -> tables.EvidenceRow:
        """The row with what is in its file."""
        return self._evidence.with_content(row)

    def drop(self, stream: bytes, firsts: Sequence[int]) -> None:
        """Drop salts and entries of the rows that begin at these indexes; their leaf hashes stay. Their files are to be
        removed after the commit, with `millmark.ledger.store.book.remove_files`."""
        self._evidence.drop(stream, firsts)

    def evidence_runs(self) -> Iterator[tuple[tables.EvidenceRow, list[EvidenceEntry] | None]]:
        """All rows of all logs with the entries in them; None for a row that cannot be read. A row whose entries were
        dropped has none."""
        for row in self._evidence.every():
            try:
                yield row, _dropped(row) if row.is_dropped else self._entries(row)
            except (StoreError, ValueError):
                yield row, None

    def evidence_texts(self, stream: bytes, indexes: Iterable[int]) -> dict[int, str]:
        """The entries at these indexes, as canonical JSON, by index; entries that are not stored are left out."""
        found: dict[int, str] = {}
        first, texts = 0, list[str]()
        for index in sorted(set(indexes)):  # ascending, so that each row is read once
            if index >= first + len(texts):
                row = self._evidence.holding(stream, index)
                kept = None if row is None or row.is_dropped else self._evidence.with_content(row)
                first, texts = (0, []) if kept is None else (kept.index, kept.entries.split("\n"))
            if index < first + len(texts):
                found[index] = texts[index - first]
        return found

    def find_event(self, stream: bytes, identity: str, first: int = 0) -> int | None:
        """Index of the event with an id, among the entries of a stream from index `first` on; None if it is not stored.
        Reads the text of those entries, since ids are not indexed: the log keeps them, and asks are rare."""
        text = f'"id":{canonical_json(identity).decode()}'
        for row in self._evidence.containing(stream, text, first):
            for index, entry in enumerate(row.entries.split("\n"), row.index):
                # Parsed as well: an event's data may have members of that name, too.
                if index >= first and text in entry and _names(json.loads(entry), identity):
                    return index
        return None

    def entries_with(self, stream: bytes, text: str) -> Iterator[tuple[int, str, bytes]]:
        """The entries of a stream whose canonical JSON contains a text: index, JSON and leaf hash, in the stream's
        order. Reads the text of all entries."""
        for row in self._evidence.containing(stream, text):
            for place, entry in enumerate(row.entries.split("\n")):
                if text in entry:
                    yield row.index + place, entry, row.leaf_hashes[32 * place : 32 * place + 32]

    def _entries(self, row: tables.EvidenceRow) -> list[EvidenceEntry]:
        return _entries(self._evidence.with_content(row))

    def put_opened(self, stream: bytes, entry: EvidenceEntry) -> None:
        """Store an entry of a stream whose log is kept elsewhere, as its owner showed it. The caller has compared it
        with the leaf hash that a record names, or another entry that was."""
        text = canonical_json(entry.entry).decode()
        self._rows.put(tables.OpenedEntryRow(stream, entry.index, int(entry.kind), entry.salt, text, entry.leaf_hash))

    def opened(self, stream: bytes, index: int) -> EvidenceEntry | None:
        """An entry that another company showed; None if it did not."""
        row = self._rows.get(tables.OpenedEntryRow, stream, index)
        if row is None:
            return None
        return EvidenceEntry(index, row.salt, json.loads(row.entry), row.leaf_hash, LeafKind(row.kind))

    def put_certified_entry(
        self, certificate: int, kind: LeafKind, salt: bytes, entry: Json, inclusion: Sequence[bytes]
    ) -> None:
        """Store the entry of another company's log that a certificate names, with its proof under that certificate's
        anchor. It must have been verified."""
        text = canonical_json(entry).decode()
        self._rows.put(tables.CertifiedEntryRow(certificate, int(kind), salt, text, b"".join(inclusion)))

    def certified_entry(self, certificate: int) -> tables.CertifiedEntryRow | None:
        return self._rows.get(tables.CertifiedEntryRow, certificate)

    def put_inference(self, certificate: int, salt: bytes, window: bytes, logits: Sequence[int]) -> None:
        """Store the private inputs of a certificate's inference digest; `window` has 8 bytes for each integer."""
        self._rows.put(tables.InferenceRow(certificate, salt, window, json.dumps(list(logits))))

    def inference(self, certificate: int) -> tables.InferenceRow | None:
        return self._rows.get(tables.InferenceRow, certificate)

    def put_model(self, digest: bytes, content: bytes, card: str = "") -> None:
        """Store a model's canonical bytes under their SHA-256, with the card (JSON) that training wrote."""
        self._rows.put(tables.ModelFileRow(digest, content, card))

    def model(self, digest: bytes) -> tables.ModelFileRow | None:
        return self._rows.get(tables.ModelFileRow, digest)

    def put_finding(self, certificate: int, defect: bool, found_at: int) -> None:
        """Store whether a certified part turned out defective. A later finding replaces an earlier one. `found_at` is
        in seconds since 1970."""
        self._rows.put(tables.FindingRow(certificate, defect, found_at))

    def findings(self, certificates: Iterable[int]) -> dict[int, bool]:
        """Whether certified parts had the defect, by certificate; only those with a finding."""
        return {row.certificate: row.defect for row in self._rows.among(tables.FindingRow, "certificate", certificates)}

    def inferences(self, certificates: Iterable[int]) -> dict[int, tables.InferenceRow]:
        """The stored inputs of these certificates' inference digests, by certificate."""
        return {row.certificate: row for row in self._rows.among(tables.InferenceRow, "certificate", certificates)}

    def set_names(self, names: Mapping[int, str]) -> None:
        """Replace all participant names by those of the configuration."""
        self._connection.execute(delete(participant_names))
        self._rows.insert([tables.ParticipantNameRow(number, name) for number, name in sorted(names.items())])
        self._revise()

    def revision(self) -> int:
        """A number that grows with each change of identifiers and participant names, and with each rebuild of the
        index, for use in cache keys."""
        return sum(row.number for row in self._rows.find(tables.BookRevisionRow))

    def _revise(self) -> None:
        found = self._rows.get(tables.BookRevisionRow, tables.CHANGES)
        self._rows.put(tables.BookRevisionRow(tables.CHANGES, 1 if found is None else found.number + 1))

    def names(self) -> dict[int, str]:
        return {row.number: row.name for row in self._rows.find(tables.ParticipantNameRow)}


def _entries(row: tables.EvidenceRow) -> list[EvidenceEntry]:
    """Decode the entries of a row. Raises StoreDamagedError if salts, texts, leaf hashes and kinds differ in number."""
    salts, texts, leaves = _parts(row.salts), row.entries.split("\n"), _parts(row.leaf_hashes)
    if not len(salts) == len(texts) == len(leaves) == len(row.kinds) == row.count:
        raise StoreDamagedError(
            f"the evidence of stream {to_hex(row.stream)} is damaged from entry {row.index} on",
            hint="restore the private book from a backup",
        )
    return [
        EvidenceEntry(index, salt, json.loads(text), leaf, LeafKind(kind))
        for index, (salt, text, leaf, kind) in enumerate(zip(salts, texts, leaves, row.kinds, strict=True), row.index)
    ]


def _dropped(row: tables.EvidenceRow) -> list[EvidenceEntry]:
    """No entry. Raises StoreDamagedError if leaf hashes and kinds differ in number, or only a part is gone."""
    if row.entries or not len(_parts(row.leaf_hashes)) == len(row.kinds) == row.count:
        raise StoreDamagedError(f"the evidence of stream {to_hex(row.stream)} is damaged from entry {row.index} on")
    return []


def _names(entry: Json, identity: str) -> bool:
    return isinstance(entry, Mapping) and "data" in entry and entry.get("id") == identity


def _parts(joined: bytes) -> list[bytes]:
    return [joined[start : start + SALT_BYTES] for start in range(0, len(joined), SALT_BYTES)]


def _identity(row: tables.IdentityRow) -> Identity:
    proofs = (row.proofs[start : start + NAME_PROOF_BYTES] for start in range(0, len(row.proofs), NAME_PROOF_BYTES))
    return Identity(SubjectKind(row.kind), row.creator, row.identifier, row.salt, tuple(proofs))


# Moves content of streams' logs between database and files, and removes files that no row names.

_ROWS_AT_ONCE = 16
"""Rows that are moved in one transaction, so that other writers get their turn, and a slow disk is not taken for a
process that hangs."""
_REMOVED_AT_ONCE = 64
_AGE_S = 86_400
"""Files that no row names are left for so long."""


def move_content(store: Store, *, into_files: bool) -> int:
    """Move the content of all rows into files, or back into the database; returns the number of entries moved.

    Idempotent; goes on where an earlier call was stopped. Raises SettingsError if the store has no folder, StoreError;
    also at the end, if there are files that cannot be read, whose rows stay as they are.
    """
    if store.evidence is None:
        raise SettingsError("there is no folder for evidence", hint="set evidence_folder")
    with store.reading() as connection:
        found = EvidenceRows(connection).elsewhere(into_files=into_files)
    moved = unreadable = 0
    for stream, firsts in found.items():
        for start in range(0, len(firsts), _ROWS_AT_ONCE):
            now, not_now = _move(store, stream, firsts[start : start + _ROWS_AT_ONCE], into_files=into_files)
            moved, unreadable = moved + now, unreadable + not_now
    if unreadable:
        raise StoreError(
            f"{moved} entries were moved, and {unreadable} are in files that cannot be read",
            hint="see `millmark status --deep`; restore evidence_folder from a backup",
        )
    return moved


def _move(store: Store, stream: bytes, firsts: Sequence[int], *, into_files: bool) -> tuple[int, int]:
    """The numbers of entries that were moved, and of those that could not be read."""
    with store.transaction() as connection:
        rows = EvidenceRows(connection)
        # Read again under the write lock: they may have been dropped since.
        going = [one for one in rows.beginning(stream, firsts) if not one.is_dropped and bool(one.file) != into_files]
        moved = [rows.moved_out(row) for row in going] if into_files else list(_read(rows, going))
        rows.update(moved)
    if not into_files:
        indexes = {row.index for row in moved}
        remove_files(store, stream, {row.index: row.file for row in going if row.index in indexes})
    count = sum(row.count for row in moved)
    return count, sum(row.count for row in going) - count


def _read(rows: EvidenceRows, going: Sequence[tables.EvidenceRow]) -> Iterator[tables.EvidenceRow]:
    for row in going:
        with suppress(StoreError):
            yield rows.with_content(row)


def remove_files(store: Store, stream: bytes, named: Mapping[int, str]) -> None:
    """Remove the files that rows of a stream named, by the rows' first index, unless they name them again. To be called
    after the commit: a crash in between leaves files that no row names. Raises StoreError."""
    if store.evidence is None or not any(named.values()):
        return
    with store.transaction() as connection:
        # PostgreSQL ends the session of a process that stands still here, and with it its lock: what another one writes
        # then is younger than this moment.
        now_s = time.time()
        kept = {row.file for row in EvidenceRows(connection).beginning(stream, named)}
        store.evidence.remove(stream, set(named.values()) - kept - {""}, now_s)


def prune_files(store: Store) -> int:
    """Remove files that were written more than a day ago and that no row names, as crashes leave them; returns their
    number. Files of rows that another copy of the database has are among them. Raises SettingsError if the store has no
    folder, StoreError."""
    files, before_s, removed = store.evidence, time.time() - _AGE_S, 0
    if files is None:
        raise SettingsError("there is no folder for evidence", hint="set evidence_folder")
    for stream in files.streams():
        months: dict[str, list[str]] = defaultdict(list)
        for name in files.names(stream, before_s):
            months[name.partition("/")[0]].append(name)
        for month, names in months.items():
            with store.reading() as connection:
                unnamed = sorted(set(names) - EvidenceRows(connection).named(stream, month))
            for start in range(0, len(unnamed), _REMOVED_AT_ONCE):
                # Under the write lock: what a row names since was written since, so that it is younger now.
                with store.transaction():
                    removed += files.remove(stream, unnamed[start : start + _REMOVED_AT_ONCE], before_s)
    return removed
