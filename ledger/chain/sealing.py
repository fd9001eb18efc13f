"""Seals the embedded chain's blocks with validators' keys, as a QBFT network does. See ledger/SEALS.md.

All keys are in one process. On a network, each is in another company's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from millmark.ledger.errors import InputError, SealsError
from millmark.ledger.seals import QbftExtra, encode_seal, verify_order
from millmark.ledger.signatures import Signer

__all__ = ["QBFT_MIX_HASH", "Sealing"]

QBFT_MIX_HASH = bytes.fromhex("63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365")
"""`mixHash` of every QBFT block: the end of "practical byzantine fault tolerance" in ASCII."""
_VANITY = b"millmark-devchain".ljust(32, b"\0")
_KEPT = 1 << 14


class Sealing:
    """The validators of a chain, with their keys. Raises InputError if they are none, too many, or one is doubled."""

    def __init__(self, signers: Sequence[Signer]) -> None:
        self._signers = sorted(signers, key=lambda one: one.address)
        try:
            verify_order([one.address for one in self._signers])
        except SealsError as error:
            raise InputError(f"the chain cannot have these validators: {error.cause}") from None
        self._extra = QbftExtra(_VANITY, tuple(one.address for one in self._signers), None, 0, ())
        self._sealed: OrderedDict[bytes, bytes] = OrderedDict()

    @property
    def extra_data(self) -> bytes:
        """`extraData` of every block in the form that is hashed."""
        return self._extra.to_bytes()

    def seal(self, block_hash: bytes) -> bytes:
        """`extraData` of a block as a node holds it: with a seal of every validator, committed in round 0.

        The digest of round 0 is the block's hash. Signatures are deterministic (RFC 6979), so a block always gets the
        same ones, and the latest are kept.
        """
        found = self._sealed.get(block_hash)
        if found is None:
            seals = tuple(encode_seal(one.sign_digest(block_hash)) for one in self._signers)
            found = self._sealed[block_hash] = replace(self._extra, seals=seals).to_bytes()
            if len(self._sealed) > _KEPT:
                self._sealed.popitem(last=False)
        return found
