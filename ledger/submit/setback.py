"""Records of the outbox that were final, in blocks that the chain lost.

A chain whose validators set it back, or restored it from a backup, lacks blocks that were final. Whether it will have
them again, nobody but its operators knows. So nothing goes out again by itself: recording stops, and says how to go on.
"""

from __future__ import annotations

from collections.abc import Iterator

from millmark.ledger.chain import Chain
from millmark.ledger.errors import NodeBehindError
from millmark.ledger.store import Store
from millmark.ledger.store.outbox_writer import FinalTransaction, final_transactions, forget_unused, reopen

__all__ = ["is_set_back", "reopen_records"]

_PAGE = 200


def is_set_back(chain: Chain, store: Store, signer: bytes) -> bool:
    """Whether the block of the key's last final transaction is not on the chain. A node that is behind proves nothing:
    it must have another block of that number. Raises ChainError, WrongChainError if it serves another network."""
    with store.reading() as connection:
        found = final_transactions(connection, signer, None, 1)
    header = chain.node.find_header(found[0].block_number) if found else None
    if header is None or header.hash == found[0].block_hash:
        return False
    chain.verify_served()
    return True


def reopen_records(chain: Chain, store: Store, signer: bytes) -> int:
    """Have the records sent again that were final in blocks which the chain lost. Returns their number. Idempotent.

    Raises ChainError, also NodeBehindError as long as the chain is shorter than it was: the node may be behind.
    """
    chain.verify_served()
    lost = list(_find_lost(chain, store, signer))
    used = chain.node.transaction_count(signer)
    # In one transaction: a crash leaves the outbox as it was.
    with store.transaction() as connection:
        records = sum(reopen(connection, one.id) for one in lost)
        if lost:
            forget_unused(connection, signer, used)
    return records


def _find_lost(chain: Chain, store: Store, signer: bytes) -> Iterator[FinalTransaction]:
    """The key's final transactions whose blocks are not on the chain, newest first."""
    below: int | None = None
    while True:
        with store.reading() as connection:
            page = final_transactions(connection, signer, below, _PAGE)
        for one in page:
            header = chain.node.find_header(one.block_number)
            if header is None:
                raise NodeBehindError(
                    f"the node has no block {one.block_number}, in which 0x{signer.hex()} used nonce {one.nonce}",
                    hint="wait until its chain is as long as it was; nothing was changed",
                )
            if header.hash == one.block_hash:
                return  # a key's nonces ascend with the blocks, so all earlier ones are there
            yield one
        if not page:
            return
        below = page[-1].nonce
