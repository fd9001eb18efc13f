"""Whether an outbox is older than the ledger, because its database was restored from a backup.

A record is sent under a nonce that the outbox allocated before. So the outbox knows all of its key's transactions as
long as the chain has counted no more nonces than the outbox has allocated. If it has, the key's records in the index
tell whether one of them is unknown here. Then nothing may be recorded: requests that were answered after the backup
would be recorded again, and records that were waiting then would be refused, although they are on the ledger.

A relay's key makes no records of its own: those that its transactions made belong to the keys that signed the
requests. So for a relay, the transactions behind all records are looked at.

Not covered: records that a relay sent for the key, whose requests carry nonces of their own that execute only once;
transactions that the outbox does not know and that are in no block yet when it sends its next one.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from millmark.ledger import errors
from millmark.ledger.chain import BlockTransaction, Chain, Receipt, read_calls, read_execute
from millmark.ledger.records import Contract
from millmark.ledger.store import Store, outbox_writer
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import FORWARDER, SentTransaction
from millmark.ledger.store.rows import RecordRow
from millmark.ledger.submit.tracker import find_spender, version_of

# Records of the outbox that were final, in blocks that the chain lost.
#
# A chain whose validators set it back, or restored it from a backup, lacks blocks that were final. Whether it will have
# them again, nobody but its operators knows. So nothing goes out again by itself: recording stops, and says how to go
# on.

_PAGE = 200


def is_set_back(chain: Chain, store: Store, signer: bytes) -> bool:
    """Whether the block of the key's last final transaction is not on the chain. A node that is behind proves nothing:
    it must have another block of that number. Raises ChainError, WrongChainError if it serves another network."""
    with store.reading() as connection:
        found = outbox_writer.final_transactions(connection, signer, None, 1)
    header = chain.node.find_header(found[0].block_number) if found else None
    if header is None or header.hash == found[0].block_hash:
        return False
    chain.verify_served()
    return True


def reopen_records(chain: Chain, store: Store, signer: bytes) -> int:
    """Have the records sent again that were final in blocks which the chain lost. Returns their number. Idempotent.
    Raises ChainError, also NodeBehindError as long as the chain is shorter than it was: the node may be behind."""
    chain.verify_served()
    lost = list(_find_set_back(chain, store, signer))
    used = chain.node.transaction_count(signer)
    # In one transaction: a crash leaves the outbox as it was.
    with store.transaction() as connection:
        records = sum(outbox_writer.reopen(connection, one.id) for one in lost)
        if lost:
            outbox_writer.forget_unused(connection, signer, used)
    return records


def _find_set_back(chain: Chain, store: Store, signer: bytes) -> Iterator[outbox_writer.FinalTransaction]:
    """The key's final transactions whose blocks are not on the chain, newest first."""
    below: int | None = None
    while True:
        with store.reading() as connection:
            page = outbox_writer.final_transactions(connection, signer, below, _PAGE)
        for one in page:
            header = chain.node.find_header(one.block_number)
            if header is None:
                raise errors.NodeBehindError(
                    f"the node has no block {one.block_number}, in which 0x{signer.hex()} used nonce {one.nonce}",
                    hint="wait until its chain is as long as it was; nothing was changed",
                )
            if header.hash == one.block_hash:
                return  # a key's nonces ascend with the blocks, so all earlier ones are there
            yield one
        if not page:
            return
        below = page[-1].nonce


_SPARE = 2
"""Gas limit of a transaction, should it have to be sent again, for each unit of gas that it used."""


class Standing(enum.Enum):
    """The result of a comparison."""

    CURRENT = enum.auto()
    """The outbox knows all records that its key made."""
    UNDECIDED = enum.auto()
    """The index has to reach the chain's head first."""
    OLDER = enum.auto()
    """The key made records that the outbox does not know."""
    SET_BACK = enum.auto()
    """The chain lost blocks that were final, with records of the outbox."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A transaction of the key, and the records that it made."""

    transaction: BlockTransaction
    rows: list[RecordRow]


def forward_key(digest: bytes) -> str:
    """The idempotency key of a forward request in a relay's outbox."""
    return f"relay/{digest.hex()}"


def compare_outbox(
    chain: Chain, store: Store, signer: bytes, *, relay: bool = False, remember: bool = True
) -> Standing:
    """Compare the outbox with what the key did on the ledger, for others if it is a `relay`'s. Raises ChainError.

    The first comparison of an empty outbox is remembered: what the key did before does not concern that outbox. Unless
    `remember`, nothing is stored.
    """
    if is_set_back(chain, store, signer):
        return Standing.SET_BACK
    # The chain's count first: whatever this outbox allocates meanwhile only makes its own number greater.
    used, head = chain.node.transaction_count(signer), chain.head_number()
    with store.reading() as connection:
        known, is_used, indexed = (
            outbox_writer.next_nonce(connection, signer),
            outbox_writer.has_records(connection),
            outbox_writer.indexed_block(connection),
        )
    if used <= (known or 0):
        if known is None and remember:
            # Stored although it is zero: a backup from before the first record then shows what was made after it.
            with store.transaction() as connection:
                outbox_writer.raise_nonce(connection, signer, used)
        return Standing.CURRENT
    if known is not None or is_used:
        if indexed < head:
            return Standing.UNDECIDED
        with store.reading() as connection:
            rows = outbox_writer.find_unknown_records(connection, signer, relay=relay)
        if next(_find_unknown(chain, rows, signer, known or 0), None) is not None:
            return Standing.OLDER
    # The key was used elsewhere, for nothing that is a record, or before this outbox was made.
    if remember:
        with store.transaction() as connection:
            outbox_writer.raise_nonce(connection, signer, used)
    return Standing.CURRENT


def verify_outbox(chain: Chain, store: Store, signer: bytes, *, relay: bool = False, remember: bool = True) -> bool:
    """Returns whether the outbox is current; False while that is undecided. `remember`: as in `compare_outbox`. Raises
    OutboxOlderError, LedgerSetBackError, ChainError."""
    found = compare_outbox(chain, store, signer, relay=relay, remember=remember)
    if found is Standing.OLDER:
        did, command = ("relayed", "adopt --relay") if relay else ("made", "adopt")
        raise errors.OutboxOlderError(
            f"the outbox is older than the ledger: key 0x{signer.hex()} {did} records that it does not know",
            hint=f"restore a newer backup, or have it take them in: `millmark outbox {command} 0x{signer.hex()}`",
        )
    if found is Standing.SET_BACK:
        raise errors.LedgerSetBackError(
            f"the chain was set back: it lost final blocks with records of key 0x{signer.hex()}",
            hint="if it stays so: `millmark rebuild`, then have them sent again: "
            f"`millmark outbox reopen 0x{signer.hex()}`",
        )
    return found is Standing.CURRENT


def adopt_records(chain: Chain, store: Store, signer: bytes, *, relay: bool = False) -> outbox_writer.Adoption:
    """Have the outbox know all records that the key made, up to the last indexed block; or those that it sent for
    others, if it is a `relay`'s.

    Afterwards it is current, if the index is. Waiting records that are on the ledger are final. Idempotent. Raises
    ChainError, also while the block of such a record is not final: a reorganisation could still undo it.
    """
    final = chain.final_number()
    with store.reading() as connection:
        known = outbox_writer.next_nonce(connection, signer)
        rows = outbox_writer.find_unknown_records(connection, signer, relay=relay)
    found = sorted(_find_unknown(chain, rows, signer, known or 0), key=lambda one: one.transaction.nonce)
    latest = max((row.block_number for one in found for row in one.rows), default=final)
    if latest > final:
        raise errors.ChainUnreachableError(
            f"block {latest} has records of 0x{signer.hex()} and is not final yet: the last final block is {final}",
            hint="repeat the command in a few blocks; nothing was changed",
        )
    lost = list(_find_lost(chain, store, signer, final))
    adopted, adoption = [_build(chain, signer, one) for one in found], outbox_writer.Adoption()
    # In one transaction: a crash leaves the outbox as it was, and so still older.
    with store.transaction() as connection:
        # First those that wait again because of this: a later transaction may have made them.
        for transaction_id in lost:
            outbox_writer.release_lost(connection, transaction_id)
        for transaction in adopted:
            outbox_writer.adopt_transaction(connection, transaction, adoption)
    return adoption


def _find_lost(chain: Chain, store: Store, signer: bytes, final: int) -> Iterator[int]:
    """The ids of the outbox's open transactions whose nonces were used in final blocks without making their records."""
    found = Outbox(store).open_transactions(signer)
    used = chain.node.transaction_count(signer, None if chain.profile.finality_depth == 0 else final) if found else 0
    for transaction in found:
        if transaction.nonce < used and not _made_its_records(chain, transaction, final):
            yield transaction.id


def _made_its_records(chain: Chain, transaction: SentTransaction, final: int) -> bool:
    spender = find_spender(chain.node, transaction.signer, transaction.nonce, final)
    if spender is None:
        raise errors.ChainUnreachableError(
            f"the node does not show what used nonce {transaction.nonce} of 0x{transaction.signer.hex()}",
            hint="use a node that is in sync and keeps the states and receipts of its latest blocks",
        )
    return version_of(transaction, spender) is False and spender.receipt.succeeded


def _find_unknown(chain: Chain, unknown: Sequence[RecordRow], signer: bytes, nonce: int) -> Iterator[_Found]:
    """The key's own transactions with at least this nonce that made these records, newest first."""
    blocks = groupby(unknown, key=lambda row: (row.block_number, row.block_hash))
    for (number, block_hash), rows in blocks:
        header, transactions = chain.node.transactions(number)
        if header.hash != block_hash:
            raise errors.ChainUnreachableError(f"the node has another block {number} than the index", hint="try again")
        of_key = [one for one in transactions if one.nonce >= nonce and one.sender == signer]
        yield from _pair(reversed(of_key), list(rows))
        if not of_key and any(one.sender == signer for one in transactions):
            return  # a key's nonces ascend with the blocks, so all earlier ones are below


def _pair(transactions: Iterable[BlockTransaction], rows: list[RecordRow]) -> Iterator[_Found]:
    for transaction in transactions:
        made = [row for row in reversed(rows) if row.transaction_hash == transaction.hash]
        if made:
            yield _Found(transaction, made)


def _build(chain: Chain, signer: bytes, found: _Found) -> outbox_writer.AdoptedTransaction:
    transaction, first = found.transaction, found.rows[0]
    receipt = chain.node.receipt(transaction.hash)
    if receipt is None:
        raise errors.ChainUnreachableError(
            f"the node has no receipt of transaction 0x{transaction.hash.hex()}", hint="use a node that keeps them"
        )
    return outbox_writer.AdoptedTransaction(
        signer=signer,
        nonce=transaction.nonce,
        recipient=transaction.to,
        data=transaction.data,
        gas_limit=_SPARE * receipt.gas_used,
        hash=transaction.hash,
        block_number=first.block_number,
        block_hash=first.block_hash,
        records=_records(chain, found, receipt),
    )


def _records(chain: Chain, found: _Found, receipt: Receipt) -> list[outbox_writer.AdoptedRecord]:
    """The records by the calls that made them; empty for a transaction in another form than the submitter's."""
    if found.transaction.to == chain.forwarder:
        return _forwarded(chain, found, receipt)
    contract = next((one for one in Contract if chain.address(one) == found.transaction.to), None)
    rows = [row for row in found.rows if contract is not None and row.contract == contract.value]
    try:
        calls = () if contract is None else read_calls(contract, found.transaction.data)
    except errors.RecordError:
        return []
    if len(calls) != len(rows):
        return []
    return [
        outbox_writer.AdoptedRecord(row.contract, kind, payload, row.sequence)
        for (kind, payload), row in zip(calls, rows, strict=True)
    ]


def _forwarded(chain: Chain, found: _Found, receipt: Receipt) -> list[outbox_writer.AdoptedRecord]:
    """The forward request that a relay sent; its sequence is that of the first record."""
    signed = read_execute(chain.chain_id, chain.forwarder, found.transaction.data, receipt.logs)
    if signed is None:
        return []
    key = forward_key(signed.request.digest)
    return [outbox_writer.AdoptedRecord(FORWARDER, "Forward", signed.to_bytes(), found.rows[0].sequence, key)]
