"""Whether a block is final on the chain that the node shows, and not just by the number of its latest block.

Behind one address there may be several nodes, one of which is cut off and on a fork. Then a receipt may be of a block
on the fork, and the latest block of another node, so far above it that the fork's block seems to be final.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from millmark.ledger.chain import Chain, Sight
from millmark.ledger.errors import ChainError
from millmark.ledger.events import Header

__all__ = ["find_buried"]


def find_buried(chain: Chain, blocks: Collection[tuple[int, bytes]], sight: Sight) -> set[bytes]:
    """The hashes of those blocks, given by number and hash, that are final by `sight`, and have on top of them as many
    others as that takes, each naming the one below by its hash.

    All in one question. A header that the node fails to show makes none of the blocks below it final.
    """
    depth = sight.head.number - sight.final
    candidates = {(number, block_hash) for number, block_hash in blocks if number <= sight.final}
    if depth == 0 or not candidates:
        return {block_hash for _, block_hash in candidates}
    numbers = sorted({above for number, _ in candidates for above in range(number + 1, number + depth + 1)})
    headers = dict(zip(numbers, chain.node.find_headers(numbers), strict=True))
    return {block_hash for number, block_hash in candidates if _is_buried(number, block_hash, depth, headers)}


def _is_buried(number: int, block_hash: bytes, depth: int, headers: Mapping[int, Header | ChainError | None]) -> bool:
    below = block_hash
    for above in range(number + 1, number + depth + 1):
        header = headers[above]
        if not isinstance(header, Header) or header.parent_hash != below:
            return False
        below = header.hash
    return True
