"""The private book: what the chain does not say, known only to who keeps this database."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, delete, select

from ledger.canonical import MAX_SAFE_INTEGER, Json, canonical_json
from ledger.errors import StoreDamagedError
from ledger.evidence import SALT_BYTES, EvidenceEntry, EvidenceLog
from ledger.ids import Identity, SubjectKind, canonical_identifier
from ledger.store.repository import Rows
from ledger.store.rows import (
    BookRevisionRow,
    DocumentRow,
    EvidenceRow,
    FindingRow,
    IdentityRow,
    InferenceRow,
    ModelFileRow,
    ParticipantNameRow,
)
from ledger.store.tables import evidence, participant_names

_RUN = 256
"""Entries in one row: many enough for a row to cost them little, few enough to read one of them."""


class Book:
    """Reads and writes within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows = Rows(connection)

    def add_identity(self, identity: Identity) -> None:
        """Notes what a subject is called. Once more is fine: its name is the hash of all that is noted."""
        row = IdentityRow(identity.subject, int(identity.kind), identity.creator, identity.identifier, identity.salt)
        if self._rows.get(IdentityRow, row.subject) is None:
            self._rows.insert([row])
            self._revise()

    def identity(self, subject: bytes) -> Identity | None:
        row = self._rows.get(IdentityRow, subject)
        return None if row is None else _identity(row)

    def identities(self, identifier: str) -> list[Identity]:
        """Every subject of that identifier, in whatever spelling; several when companies use the same one.

        Raises IdentifierError for what has no canonical form."""
        return [_identity(row) for row in self._rows.find(IdentityRow, identifier=canonical_identifier(identifier))]

    def identifiers(self, subjects: Iterable[bytes]) -> dict[bytes, str]:
        """What the given subjects are called, as far as it is known."""
        return {row.subject: row.identifier for row in self._rows.among(IdentityRow, "subject", subjects)}

    def put_document(self, root: bytes, document: str) -> None:
        """Keeps the document behind a claims root; replaces it when fields were erased from it."""
        self._rows.put(DocumentRow(root, document))

    def document(self, root: bytes) -> str | None:
        found = self._rows.get(DocumentRow, root)
        return None if found is None else found.document

    def documents(self, roots: Iterable[bytes]) -> dict[bytes, str]:
        """Those of the documents that are here, by their roots."""
        return {row.root: row.document for row in self._rows.among(DocumentRow, "root", roots)}

    def add_evidence(self, stream: bytes, entries: Sequence[EvidenceEntry]) -> None:
        """Keeps entries of a stream's log that follow each other. Raises StoreError when the first is there already."""
        if entries:
            texts = [canonical_json(entry.entry) for entry in entries]
            salts, leaves = [entry.salt for entry in entries], [entry.leaf_hash for entry in entries]
            self.add_evidence_run(stream, entries[0].index, salts, texts, leaves)

    def add_evidence_run(
        self, stream: bytes, first: int, salts: Sequence[bytes], texts: Sequence[bytes], leaves: Sequence[bytes]
    ) -> None:
        """As `add_evidence`, of entries that are canonical text already, from index `first` on."""
        self._rows.insert(
            [
                EvidenceRow(
                    stream,
                    first + start,
                    len(texts[start : start + _RUN]),
                    b"".join(salts[start : start + _RUN]),
                    b"\n".join(texts[start : start + _RUN]).decode(),
                    b"".join(leaves[start : start + _RUN]),
                )
                for start in range(0, len(texts), _RUN)
            ]
        )

    def evidence_size(self, stream: bytes) -> int:
        """Number of a stream's entries that are kept: a log has no gaps, so it ends where its last row does."""
        row = select(evidence.c.index + evidence.c.count).where(evidence.c.stream == stream)
        return self._connection.execute(row.order_by(evidence.c.index.desc()).limit(1)).scalar() or 0

    def latest_evidence(self, stream: bytes) -> Json:
        """The last entry of a stream that is kept; None for none."""
        found = self._run(stream, MAX_SAFE_INTEGER)
        return None if found is None else _entries(found)[-1].entry

    def leaves(self, stream: bytes, size: int) -> list[bytes]:
        """Hashes of a stream's first `size` leaves, fewer where the book does not have them."""
        query = select(evidence.c.index, evidence.c.leaf_hashes).where(
            evidence.c.stream == stream, evidence.c.index < size
        )
        leaves: list[bytes] = []
        for index, hashes in self._connection.execute(query.order_by(evidence.c.index)):
            if index != len(leaves):
                break
            leaves += _parts(hashes)
        return leaves[:size]

    def evidence(self, stream: bytes) -> EvidenceLog:
        """A stream's log as far as it is known from its beginning, all of it in memory."""
        log = EvidenceLog()
        for row in self._rows.find(EvidenceRow, stream=stream):
            if row.index != len(log.entries):
                break
            for entry in _entries(row):
                log.append(entry.entry, entry.salt)
        return log

    def evidence_entry(self, stream: bytes, index: int) -> EvidenceEntry | None:
        """One entry of a stream's log, if it is kept."""
        row = self._run(stream, index)
        return None if row is None or index >= row.index + row.count else _entries(row)[index - row.index]

    def evidence_texts(self, stream: bytes, indexes: Iterable[int]) -> dict[int, str]:
        """Those of the entries that are kept, as canonical JSON, by their indexes."""
        found: dict[int, str] = {}
        first, texts = 0, list[str]()
        for index in sorted(set(indexes)):
            if index >= first + len(texts):
                row = self._run(stream, index)
                first, texts = (0, []) if row is None else (row.index, row.entries.split("\n"))
            if index < first + len(texts):
                found[index] = texts[index - first]
        return found

    def _run(self, stream: bytes, index: int) -> EvidenceRow | None:
        """The last row that begins with that entry, or with one before it."""
        query = select(evidence).where(evidence.c.stream == stream, evidence.c.index <= index)
        found = self._connection.execute(query.order_by(evidence.c.index.desc()).limit(1)).one_or_none()
        return None if found is None else EvidenceRow(*found)

    def put_inference(self, certificate: int, salt: bytes, quantised: bytes, logits: Sequence[int]) -> None:
        """Keeps what a certificate's inference digest is made of."""
        self._rows.put(InferenceRow(certificate, salt, quantised, json.dumps(list(logits))))

    def inference(self, certificate: int) -> InferenceRow | None:
        return self._rows.get(InferenceRow, certificate)

    def put_model(self, digest: bytes, content: bytes, card: str = "") -> None:
        """Keeps a model's canonical bytes under their SHA-256, with the card that training wrote."""
        self._rows.put(ModelFileRow(digest, content, card))

    def model(self, digest: bytes) -> ModelFileRow | None:
        return self._rows.get(ModelFileRow, digest)

    def put_finding(self, certificate: int, defect: bool, found_at: int) -> None:
        """Notes what became of a certified part; a later finding replaces an earlier one."""
        self._rows.put(FindingRow(certificate, defect, found_at))

    def findings(self, certificates: Iterable[int]) -> dict[int, bool]:
        """Whether the parts of the given certificates had the defect, as far as it was found out."""
        return {row.certificate: row.defect for row in self._rows.among(FindingRow, "certificate", certificates)}

    def inferences(self, certificates: Iterable[int]) -> dict[int, InferenceRow]:
        """What the given certificates' digests are made of, as far as it is kept."""
        return {row.certificate: row for row in self._rows.among(InferenceRow, "certificate", certificates)}

    def set_names(self, names: Mapping[int, str]) -> None:
        """Replaces all participant names by those of the configuration."""
        self._connection.execute(delete(participant_names))
        self._rows.insert([ParticipantNameRow(number, name) for number, name in sorted(names.items())])
        self._revise()

    def revision(self) -> int:
        """Another number after each change of what things and participants are called."""
        found = self._rows.get(BookRevisionRow, 1)
        return 0 if found is None else found.number

    def _revise(self) -> None:
        self._rows.put(BookRevisionRow(1, self.revision() + 1))

    def names(self) -> dict[int, str]:
        return {row.number: row.name for row in self._rows.find(ParticipantNameRow)}


def _entries(row: EvidenceRow) -> list[EvidenceEntry]:
    """Raises StoreDamagedError when the row does not have as many of each as it says."""
    salts, texts, leaves = _parts(row.salts), row.entries.split("\n"), _parts(row.leaf_hashes)
    if not len(salts) == len(texts) == len(leaves) == row.count:
        raise StoreDamagedError(
            f"the evidence of stream 0x{row.stream.hex()} is damaged from entry {row.index} on",
            hint="restore the private book from a backup",
        )
    return [
        EvidenceEntry(index, salt, json.loads(text), leaf)
        for index, (salt, text, leaf) in enumerate(zip(salts, texts, leaves, strict=True), row.index)
    ]


def _parts(joined: bytes) -> list[bytes]:
    return [joined[start : start + SALT_BYTES] for start in range(0, len(joined), SALT_BYTES)]


def _identity(row: IdentityRow) -> Identity:
    return Identity(SubjectKind(row.kind), row.creator, row.identifier, row.salt)
