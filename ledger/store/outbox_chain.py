"""Which ledger the outbox's records are for, and how far its chain was seen.

Records that are final on another chain, even one with the same id and addresses, are not on the ledger. So the outbox
remembers its ledger with the first step of a submitter, and no submitter works on it for another one.
"""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import Connection, func, select

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import WrongChainError
from millmark.ledger.store.outbox_tables import OutboxChain, outbox_chain, outbox_transactions
from millmark.ledger.store.repository import Rows
from millmark.ledger.store.rows import ChainIdentityRow, CursorRow

__all__ = ["bind_chain", "seen_block"]

_ONLY = 1
_HINT = "use that network's node and deployment file, or another database"


def bind_chain(connection: Connection, chain: OutboxChain) -> None:
    """Verify that outbox and index are for this ledger; an outbox that is for none yet is for this one from now on.

    Raises WrongChainError.
    """
    index = Rows(connection).get(ChainIdentityRow, _ONLY)
    if index is not None and (index.genesis_hash, index.ledger_id) != (chain.genesis_hash, chain.ledger_id):
        raise _wrong("the index follows", index.genesis_hash, index.ledger_id, chain)
    row = connection.execute(select(outbox_chain)).first()
    if row is None:
        connection.execute(outbox_chain.insert().values(id=_ONLY, **asdict(chain)))
        return
    stored = OutboxChain(*row[1:])
    if stored != chain:
        raise _wrong("the outbox's records are for", stored.genesis_hash, stored.ledger_id, chain)


def seen_block(connection: Connection) -> int:
    """The highest block that the outbox has a transaction in, or that is indexed; -1 if there is none.

    Of forward requests, only their relay says in which block they are: no node can be held to that.
    """
    query = select(func.max(outbox_transactions.c.block_number)).where(outbox_transactions.c.relayed.is_(False))
    mined = connection.execute(query).scalar_one()
    cursor = Rows(connection).get(CursorRow, _ONLY)
    return max(-1 if mined is None else int(mined), -1 if cursor is None else cursor.block_number)


def _wrong(whose: str, genesis_hash: bytes, ledger_id: bytes, chain: OutboxChain) -> WrongChainError:
    return WrongChainError(
        f"{whose} the ledger with the id {to_hex(ledger_id)} on the chain with genesis block {to_hex(genesis_hash)}, "
        f"the deployment is that with {to_hex(chain.ledger_id)} on {to_hex(chain.genesis_hash)}",
        hint=_HINT,
    )
