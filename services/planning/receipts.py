"""Receipts: the coordinator's signed word that it had an offer, and when.

The signature is over EIP-712 typed data in the domain of checkpoints (ledger/TRUST.md), all numbers unsigned:

    OfferReceipt(bytes32 call,bytes32 offer,uint64 receivedAt)

A receipt is given once for an offer that counts, whenever its hand-over arrives; a repeated one is the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from millmark.ledger.canonical import Json, keccak256, parse_json
from millmark.ledger.errors import CanonicalError, SigningError
from millmark.ledger.signatures import Address, Signature, Signer, recover_address
from millmark.ledger.store import Registry, Rows
from millmark.services.directory.document import typed_digest
from millmark.services.planning.errors import PlanningError
from millmark.services.planning.repository import CallRow, LeafRow, ReceiptRow, What

_MOST: Final = 4096
_MAX_ANSWER_BYTES: Final = 2 << 20
_LATEST_S: Final = 2**40
_HEX: Final = re.compile("0x[0-9a-f]*")

_TYPE = keccak256(b"OfferReceipt(bytes32 call,bytes32 offer,uint64 receivedAt)")


@dataclass(frozen=True, slots=True)
class Receipt:
    """Not established: whose key signed it."""

    call: bytes
    offer: bytes
    """Leaf hash, 32 bytes."""
    received_at: int
    """Seconds since 1970."""
    signature: bytes
    """65 bytes: r, s and v = 27 or 28."""

    def recover_signer(self, chain_id: int, ledger: bytes) -> Address:
        """The address that signed. Raises PlanningError for an invalid signature; one for another ledger has another
        signer."""
        digest = _digest(chain_id, ledger, self.call, self.offer, self.received_at)
        try:
            return recover_address(digest, Signature.from_bytes(self.signature))
        except SigningError as error:
            raise PlanningError(f"the signature of a receipt is invalid: {error.cause}") from None


def sign_receipt(chain_id: int, ledger: bytes, call: bytes, offer: bytes, received_at: int, signer: Signer) -> Receipt:
    """Raises SigningError."""
    signature = signer.sign_digest(_digest(chain_id, ledger, call, offer, received_at)).to_bytes()
    return Receipt(call, offer, received_at, signature)


def parse_receipts(answer: bytes) -> tuple[Receipt, ...]:
    """The receipts in the answer to a hand-over, not verified; none if it has none that is well-formed."""
    try:
        value = parse_json(answer, max_bytes=_MAX_ANSWER_BYTES, max_depth=8)
    except CanonicalError:
        return ()
    listed = value.get("receipts") if isinstance(value, dict) else None
    found = map(_parse, listed[:_MOST]) if isinstance(listed, list) else ()
    return tuple(one for one in found if one is not None)


def verify_receipts(rows: Rows, registry: Registry, receipts: Iterable[Receipt], coordinator: int) -> list[ReceiptRow]:
    """Those that an active key of the coordinator signed, for own offers to its calls."""
    ledger, found = registry.identity(), []
    for one in receipts:
        offer, call = rows.get(LeafRow, one.offer), rows.get(CallRow, one.call)
        if ledger is None or offer is None or call is None:
            continue
        if (offer.what, offer.call, call.coordinator) != (What.OFFER, one.call, coordinator):
            continue
        try:
            signer = registry.participant_of(one.recover_signer(ledger.chain_id, ledger.ledger))
        except PlanningError:
            continue
        if signer is not None and signer.number == coordinator:
            found.append(ReceiptRow(one.offer, one.call, one.received_at, one.signature))
    return found


def _parse(value: Json) -> Receipt | None:
    if not isinstance(value, dict):
        return None
    call, offer, signature = (_bytes(value.get(name), size) for name, size in _SIZES.items())
    at = value.get("received_at")
    if call is None or offer is None or signature is None:
        return None
    return None if not isinstance(at, int) or not 0 <= at <= _LATEST_S else Receipt(call, offer, at, signature)


_SIZES: Final = {"call": 32, "offer": 32, "signature": 65}


def _bytes(value: Json, size: int) -> bytes | None:
    if not isinstance(value, str) or len(value) != 2 * size + 2 or not _HEX.fullmatch(value):
        return None
    return bytes.fromhex(value[2:])


def _digest(chain_id: int, ledger: bytes, call: bytes, offer: bytes, received_at: int) -> bytes:
    return typed_digest(chain_id, ledger, _TYPE + call + offer + received_at.to_bytes(32, "big"))
