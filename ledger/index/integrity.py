"""Two checks of the index against the chain, at two costs.

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

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from millmark.ledger.canonical import to_hex
from millmark.ledger.chain import Chain, fetch_proofs
from millmark.ledger.heads import inner_of, link, start_of
from millmark.ledger.index.digest import extend_digest, start_digest
from millmark.ledger.index.follower import Follower
from millmark.ledger.index.status import fetch_status
from millmark.ledger.records import Contract
from millmark.ledger.slots import decode_sequence, head_slot, sequence_slot
from millmark.ledger.store import Rows, Store, key_of
from millmark.ledger.store.rows import ChainIdentityRow, CursorRow, HeadRow, RecordHistoryRow, RecordRow
from millmark.ledger.store.tables import INDEX

_ONLY = 1
"""Primary key in tables with one row."""
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
    """Compare records, heads and digest with each other and with the chain; None if nothing is indexed yet.

    Raises ChainError if the node does not keep the state of the last indexed block.
    """
    with store.reading() as connection:
        rows = Rows(connection)
        identity, cursor = rows.get(ChainIdentityRow, _ONLY), rows.get(CursorRow, _ONLY)
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
        self._rest = rows.scan(RecordHistoryRow)
        self._next = next(self._rest, None)

    def before(self, sequence: int | None) -> Iterator[str]:
        """Read the links before `sequence`, or all that are left, and yield a finding for each missing record."""
        while self._next is not None and (sequence is None or self._next.sequence < sequence):
            yield f"the history of {to_hex(self._next.subject)} holds record {self._next.sequence}, which is missing"
            self._next = next(self._rest, None)

    def take(self, sequence: int) -> Iterator[RecordHistoryRow]:
        while self._next is not None and self._next.sequence == sequence:
            yield self._next
            self._next = next(self._rest, None)


class _Computed:
    """Heads, digest and numbers of records, computed from the records' bytes."""

    def __init__(self, identity: ChainIdentityRow) -> None:
        self._identity = identity
        self.digest = start_digest(identity)
        self.heads: dict[bytes, HeadRow] = {}
        self.counts = dict.fromkeys(Contract, 0)

    def read(self, rows: Rows) -> Iterator[str]:
        """Read all records in the order of the chain, and yield what is wrong with them and their links."""
        links = _Links(rows)
        for row in rows.scan(RecordRow, "block_number", "log_index"):
            try:
                yield from self._take(row, links)
            except (ValueError, OverflowError):
                yield f"record {row.sequence} of the {row.contract} cannot be of a chain: its fields are malformed"
        yield from links.before(None)

    def _take(self, row: RecordRow, links: _Links) -> Iterator[str]:
        contract, inner = Contract(row.contract), _inner(row)
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
                computed = RecordHistoryRow(row.sequence, position, subject, self._extend(row, inner, subject))
                if computed not in stored:
                    yield f"the history of {to_hex(subject)} lacks the link to record {row.sequence}"
                else:
                    stored.remove(computed)
            for spare in stored:
                yield f"the history of {to_hex(spare.subject)} has a wrong link to record {row.sequence}"

    def _extend(self, row: RecordRow, inner: bytes, subject: bytes) -> bytes:
        """Add a record to a history; returns the history's new head."""
        head = self.heads.get(subject)
        if head is None:
            own = self._identity
            start = start_of(own.chain_id, own.ledger, own.ledger_id, subject)
            head = self.heads[subject] = HeadRow(subject, start, length=0, sequence=0)
        head.head = link(head.head, row.topic, inner)
        head.length += 1
        head.sequence = row.sequence
        return head.head

    def compare(self, rows: Rows, cursor: CursorRow) -> Iterator[str]:
        """Compare with the stored heads and cursor, and yield the differences."""
        stored = {row.subject: row for row in rows.scan(HeadRow)}
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

    Returns None if nothing is indexed yet. Raises as `Follower.follow` does.
    """
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
        found.records = sum(1 for _ in Rows(theirs).scan(RecordRow))
        found.heads = sum(1 for _ in Rows(theirs).scan(HeadRow))
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


def _inner(row: RecordRow) -> bytes:
    return inner_of(
        sequence=row.sequence, participant=row.participant, key=row.key, data=row.data, block_time=row.block_time
    )


def _histories(data: bytes) -> Iterator[bytes]:
    """Decode the second field of an event's data, after the key: `bytes32[] histories`. Raises ValueError.

    Decoded by hand, since a damaged record may not decode as the event that it claims to be.
    """
    start = int.from_bytes(data[_WORD : 2 * _WORD], "big")
    count = int.from_bytes(data[start : start + _WORD], "big")
    first = start + _WORD
    if start < 2 * _WORD or len(data) < first + count * _WORD:
        raise ValueError("the data do not have a list of histories")
    return (data[place : place + _WORD] for place in range(first, first + count * _WORD, _WORD))
