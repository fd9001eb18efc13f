"""Two checks of the index against the chain, at two costs, and one of the private book against the index.

`check_index` computes every history's head and the digest of the whole index from the records' bytes, and compares
them with the stored ones. It also compares the heads and the numbers of records with storage proofs at the last
indexed block. So it finds every record of an order or lot that was changed, moved, removed or added, even if whoever
did so changed the rest of the database to match. Cost: reading all records once, and one proof per order and lot. Not
found: a changed row that is only derived from the records (a lot, a certificate), and a changed record of the registry
or of a stream if the digest was changed to match.

`check_rows` follows the chain again, into an empty database, and compares every row of every table, so it finds every
difference in what is derived from the chain. Cost: that of a rebuild, and the space of a second index.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from millmark.ledger.canonical import sha256, to_hex
from millmark.ledger.chain import Chain, fetch_proofs
from millmark.ledger.claims import parse_claims
from millmark.ledger.errors import MillmarkError
from millmark.ledger.evidence import EvidenceEntry, LeafKind, build_leaf_data
from millmark.ledger.ids import SubjectKind, identifier_hash
from millmark.ledger.ids import subject as build_subject
from millmark.ledger.index.follower import Follower
from millmark.ledger.index.state import ONLY, fetch_status
from millmark.ledger.index.writer import extend_digest, inner_of_record, start_digest
from millmark.ledger.merkle import Tree, leaf_hash, verify_inclusion
from millmark.ledger.records import Contract
from millmark.ledger.slots import decode_sequence, head_slot, link, sequence_slot, start_of
from millmark.ledger.store import Book, Connection, Rows, Store, key_of
from millmark.ledger.store import rows as tables
from millmark.ledger.store.schema import INDEX

_BATCH_HEADS = 2_000
"""Heads that are fetched at once; their proofs take some 3 kB each."""
_MAX_FINDINGS = 100
_WORD = 32
"""Bytes in a word of the ABI encoding."""


@dataclass(slots=True)
class IndexCheck:
    """What a check found. Without findings, the index is right only as far as that check reaches (see the module)."""

    block_number: int
    """The last indexed block, at which index and chain were compared."""
    records: int = 0
    """Number of records that were read."""
    heads: int = 0
    """Number of heads that were compared."""
    differences: int = 0
    findings: list[str] = field(default_factory=list)
    """The first hundred differences, one line each."""

    def note(self, lines: Iterable[str]) -> None:
        """Add differences. All are counted, the first hundred are kept."""
        for line in lines:
            self.differences += 1
            if len(self.findings) < _MAX_FINDINGS:
                self.findings.append(line)


def check_index(store: Store, chain: Chain) -> IndexCheck | None:
    """Compare records, heads and digest with each other and with the chain; None if nothing is indexed yet. Raises
    ChainError if the node does not keep the state of the last indexed block."""
    with store.reading() as connection:
        rows = Rows(connection)
        identity, cursor = rows.get(tables.ChainIdentityRow, ONLY), rows.get(tables.CursorRow, ONLY)
        if identity is None or cursor is None or cursor.block_number < 0:
            return None
        # In one read transaction, so that a follower at work does not look like damage.
        found = IndexCheck(cursor.block_number)
        computed = _Computed(identity)
        found.note(computed.read(rows))
        found.note(computed.compare(rows, cursor))
    found.records = sum(computed.counts.values())
    found.heads = len(computed.heads)
    header = chain.header(cursor.block_number)
    # Otherwise the state at that number is of another branch, and every comparison with it would fail.
    if header.hash != cursor.block_hash:
        found.note([f"block {cursor.block_number} has another hash on the chain"])
    else:
        found.note(_compare_with_chain(chain, cursor.block_number, computed))
    return found


class _Links:
    """Reads the stored links of all histories once, in the order of the ledger's records."""

    def __init__(self, rows: Rows) -> None:
        self._rest = rows.scan(tables.RecordHistoryRow)
        self._next = next(self._rest, None)

    def before(self, sequence: int | None) -> Iterator[str]:
        """Read the links before `sequence`, or all that are left, and yield a finding for each missing record."""
        while self._next is not None and (sequence is None or self._next.sequence < sequence):
            yield f"the history of {to_hex(self._next.subject)} holds record {self._next.sequence}, which is missing"
            self._next = next(self._rest, None)

    def take(self, sequence: int) -> Iterator[tables.RecordHistoryRow]:
        while self._next is not None and self._next.sequence == sequence:
            yield self._next
            self._next = next(self._rest, None)


class _Computed:
    """Heads, digest and numbers of records, computed from the records' bytes."""

    def __init__(self, identity: tables.ChainIdentityRow) -> None:
        self._identity = identity
        self.digest = start_digest(identity)
        self.heads: dict[bytes, tables.HeadRow] = {}
        self.counts = dict.fromkeys(Contract, 0)

    def read(self, rows: Rows) -> Iterator[str]:
        """Read all records in the order of the chain, and yield what is wrong with them and their links."""
        links = _Links(rows)
        for row in rows.scan(tables.RecordRow, "block_number", "log_index"):
            try:
                yield from self._take(row, links)
            except (ValueError, OverflowError):
                yield f"record {row.sequence} of the {row.contract} cannot be of a chain: its fields are malformed"
        yield from links.before(None)

    def _take(self, row: tables.RecordRow, links: _Links) -> Iterator[str]:
        contract, inner = Contract(row.contract), inner_of_record(row)
        self.counts[contract] += 1
        if row.sequence != self.counts[contract]:
            yield f"record {row.sequence} of the {row.contract} is in the place of record {self.counts[contract]}"
        self.digest = extend_digest(self.digest, contract, row)
        if inner != row.inner:
            yield f"record {row.sequence} of the {row.contract} does not match the hash stored for its links"
        if contract is Contract.LEDGER:
            # The registry's records are in no history, and numbered apart.
            yield from links.before(row.sequence)
            stored = list(links.take(row.sequence))
            for position, subject in enumerate(_histories(row.data)):
                computed = tables.RecordHistoryRow(row.sequence, position, subject, self._extend(row, inner, subject))
                if computed not in stored:
                    yield f"the history of {to_hex(subject)} lacks the link to record {row.sequence}"
                else:
                    stored.remove(computed)
            for spare in stored:
                yield f"the history of {to_hex(spare.subject)} has a wrong link to record {row.sequence}"

    def _extend(self, row: tables.RecordRow, inner: bytes, subject: bytes) -> bytes:
        """Add a record to a history; returns the history's new head."""
        head = self.heads.get(subject)
        if head is None:
            own = self._identity
            start = start_of(own.chain_id, own.ledger, own.ledger_id, subject)
            head = self.heads[subject] = tables.HeadRow(subject, start, length=0, sequence=0)
        head.head = link(head.head, row.topic, inner)
        head.length += 1
        head.sequence = row.sequence
        return head.head

    def compare(self, rows: Rows, cursor: tables.CursorRow) -> Iterator[str]:
        """Compare with the stored heads and cursor, and yield the differences."""
        stored = {row.subject: row for row in rows.scan(tables.HeadRow)}
        for subject in sorted(stored.keys() | self.heads.keys()):
            if stored.get(subject) != self.heads.get(subject):
                yield f"the stored head of {to_hex(subject)} does not follow from its records"
        if self.digest != cursor.digest:
            yield "the stored digest does not follow from the records"
        for contract, stated in (
            (Contract.REGISTRY, cursor.registry_sequence),
            (Contract.LEDGER, cursor.ledger_sequence),
        ):
            if self.counts[contract] != stated:
                yield f"the {contract.value} has {self.counts[contract]} stored records, {stated} were indexed"


def _compare_with_chain(chain: Chain, number: int, computed: _Computed) -> Iterator[str]:
    addresses = {contract: chain.address(contract) for contract in Contract}
    counts = fetch_proofs(chain.node, {addresses[contract]: [sequence_slot(contract)] for contract in Contract}, number)
    for contract, address in addresses.items():
        made = decode_sequence(contract, counts.words[address, sequence_slot(contract)])
        if made != computed.counts[contract]:
            yield f"the {contract.value} has {made} records on the chain, {computed.counts[contract]} in the index"
    subjects = sorted(computed.heads)
    for first in range(0, len(subjects), _BATCH_HEADS):
        slots = {subject: head_slot(subject) for subject in subjects[first : first + _BATCH_HEADS]}
        proofs = fetch_proofs(chain.node, {chain.ledger: list(slots.values())}, number)
        for subject, slot in slots.items():
            if proofs.words[chain.ledger, slot] != computed.heads[subject].head:
                yield f"the history of {to_hex(subject)} has another head on the chain"


def check_rows(store: Store, chain: Chain, scratch: Store) -> IndexCheck | None:
    """Follow the chain into the empty store `scratch` up to the last indexed block, and compare every row with it.
    Returns None if nothing is indexed yet. Raises as `Follower.follow` does."""
    status = fetch_status(store)
    if status is None or status.block_number < 0:
        return None
    follower = Follower(chain, scratch)
    follower.follow(limit=0)  # creates the cursor, from which the number of blocks follows
    begun = fetch_status(scratch)
    follower.follow(limit=status.block_number - (begun.block_number if begun else -1))
    return compare_rows(store, scratch, status.block_number)


def compare_rows(store: Store, right: Store, block_number: int) -> IndexCheck:
    """Compare every row of two indexes at the same block. `right` is taken to be the correct one."""
    found = IndexCheck(block_number)
    with store.reading() as ours, right.reading() as theirs:
        for kind in INDEX:
            found.note(_compare_table(kind, Rows(ours), Rows(theirs)))
        found.records = sum(1 for _ in Rows(theirs).scan(tables.RecordRow))
        found.heads = sum(1 for _ in Rows(theirs).scan(tables.HeadRow))
    return found


def _compare_table(kind: type, ours: Rows, theirs: Rows) -> Iterator[str]:
    """Merge both tables by primary key, and yield the rows that are only in one of them, or differ."""
    # A merge of two sorted scans, since neither table need fit into memory.
    name = kind.__name__.removesuffix("Row").lower()
    mine: Iterator[object] = ours.scan(kind)
    yours: Iterator[object] = theirs.scan(kind)
    one, two = next(mine, None), next(yours, None)
    while one is not None or two is not None:
        if one is not None and (two is None or key_of(one) < key_of(two)):
            yield f"{name} {_shown(one)} does not follow from the chain"
            one = next(mine, None)
        elif two is not None and (one is None or key_of(two) < key_of(one)):
            yield f"{name} {_shown(two)} is missing"
            two = next(yours, None)
        else:
            if one != two:
                yield f"{name} {_shown(one)} differs"
            one, two = next(mine, None), next(yours, None)


def _shown(row: object) -> str:
    return ", ".join(to_hex(part) if isinstance(part, bytes) else str(part) for part in key_of(row))


def _histories(data: bytes) -> Iterator[bytes]:
    """Decode the second field of an event's data, after the key: `bytes32[] histories`. Raises ValueError. Decoded by
    hand, since a damaged record may not decode as the event that it claims to be."""
    start = int.from_bytes(data[_WORD : 2 * _WORD], "big")
    count = int.from_bytes(data[start : start + _WORD], "big")
    first = start + _WORD
    if start < 2 * _WORD or len(data) < first + count * _WORD:
        raise ValueError("the data do not have a list of histories")
    return (data[place : place + _WORD] for place in range(first, first + count * _WORD, _WORD))


# A check of the private book against the ledger: each name, document and entry with its hash there.
#
# Found are a changed identifier or salt, changed or removed claims, a changed entry of an evidence log, own or another
# company's, and changed bytes of a model. Not found: a row that is missing as a whole, since a book need not know
# everything; names of participants, which are from the configuration; and findings of inspections, which are in no
# hash.


def check_book(store: Store) -> list[str]:
    """The first hundred differences, one line each; empty if there are none. Reads the whole book once."""
    with store.reading() as connection:
        return [finding for finding, _ in zip(_check(store, connection), range(_MAX_FINDINGS), strict=False)]


def _check(store: Store, connection: Connection) -> Iterator[str]:
    rows = Rows(connection)
    yield from _damage(connection)
    for identity in rows.scan(tables.IdentityRow):
        if _subject_of(identity) != identity.subject:
            yield f"the name {identity.identifier!r} is not that of {to_hex(identity.subject)}"
    for document in rows.scan(tables.DocumentRow):
        if _root_of(document.document) != document.root:
            yield f"the claims with the root {to_hex(document.root)} are not those behind it"
    for model in rows.scan(tables.ModelFileRow):
        if sha256(model.content) != model.digest:
            yield f"the model's bytes are not those of digest {to_hex(model.digest)}"
    yield from _check_evidence(store, connection, rows)
    # Entries of others' logs prove themselves one by one: nothing is missing where their neighbours are.
    for entry in rows.scan(tables.CertifiedEntryRow):
        if not _is_certified(entry, rows.get(tables.CertificateRow, entry.certificate)):
            yield f"the entry that certificate {entry.certificate} names is not the one kept here"


def _damage(connection: Connection) -> Iterator[str]:
    """What SQLite finds: rows that an index lacks, for example because they were changed behind its back."""
    if connection.dialect.name == "sqlite":
        found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check")]
        yield from (f"the database file: {line}" for line in found if line != "ok")


def _subject_of(row: tables.IdentityRow) -> bytes | None:
    try:
        return build_subject(SubjectKind(row.kind), row.creator, identifier_hash(row.salt, row.identifier))
    except (MillmarkError, ValueError):
        return None


def _root_of(document: str) -> bytes | None:
    try:
        return parse_claims(json.loads(document)).root
    except (MillmarkError, ValueError):
        return None


def _check_evidence(store: Store, connection: Connection, rows: Rows) -> Iterator[str]:
    """Each entry against the hash of its leaf, and the leaves against the roots that the ledger anchored."""
    anchors: dict[bytes, list[tables.AnchorRow]] = defaultdict(list)
    for anchor in rows.scan(tables.AnchorRow):
        anchors[anchor.stream].append(anchor)
    book = Book(connection)
    for row, entries in book.evidence_runs():
        if entries is None and not _was_moved(store, row):
            yield f"the evidence of stream {to_hex(row.stream)} cannot be read from entry {row.index} on"
        for entry in entries or ():
            if not _is_of_leaf(entry):
                yield f"entry {entry.index} of stream {to_hex(row.stream)} is not that of its leaf"
    for opened in rows.scan(tables.OpenedEntryRow):
        shown = book.opened(opened.stream, opened.index)
        if shown is None or not _is_of_leaf(shown):
            yield f"entry {opened.index} of stream {to_hex(opened.stream)}, which another company showed, was changed"
    for stream, anchored in anchors.items():
        tree = Tree(book.leaves(stream, max(anchor.size for anchor in anchored)))
        for anchor in anchored:
            if anchor.size <= tree.size and tree.root(anchor.size) != anchor.root:
                yield f"the evidence of stream {to_hex(stream)} is not that of the anchor in record {anchor.sequence}"


def _was_moved(store: Store, row: tables.EvidenceRow) -> bool:
    """Whether a row that could not be read names another file by now, or none: what was dropped or moved meanwhile has
    no file any more, as an older state of the database still says."""
    with store.reading() as connection:
        return all(now.file != row.file for now in Book(connection).runs_from(row.stream, [row.index]))


def _is_certified(entry: tables.CertifiedEntryRow, named: tables.CertificateRow | None) -> bool:
    try:
        leaf = leaf_hash(build_leaf_data(LeafKind(entry.kind), entry.salt, json.loads(entry.entry)))
        proof = [entry.inclusion[start : start + len(leaf)] for start in range(0, len(entry.inclusion), len(leaf))]
        if named is None or leaf != named.leaf_hash:
            return False
        verify_inclusion(leaf, named.leaf_index, named.anchor_size, proof, named.anchor_root)
    except (MillmarkError, ValueError):
        return False
    return True


def _is_of_leaf(entry: EvidenceEntry) -> bool:
    try:
        return leaf_hash(build_leaf_data(entry.kind, entry.salt, entry.entry)) == entry.leaf_hash
    except MillmarkError:
        return False
