"""The key that pays for relayed requests must have no other use.

Whatever else records with it has an outbox of its own, or a submitter of its own on the same outbox. Both would choose
the nonces of the key's transactions, and each would take those of the other.
"""

from __future__ import annotations

from typing import cast

from millmark.ledger.chain import Chain
from millmark.ledger.errors import SettingsError
from millmark.ledger.records import Contract

_HINT = "make a key for relaying alone: `millmark keys new`; it needs no role"


def verify_payer(chain: Chain, payer: bytes, company: bytes | None) -> None:
    """Verifies that the relay's key is neither the gateway's signing key `company`, nor a participant's, nor the
    registry owner's. All are addresses of 20 bytes. Raises SettingsError, ChainUnreachableError."""
    if payer == company:
        raise SettingsError("the relay's key is the key with which this gateway records", hint=_HINT)
    number = cast(int, chain.read_struct(Contract.REGISTRY, "keyOf", payer)["participant"])
    if number:
        raise SettingsError(f"the relay's key is a key of participant {number}", hint=_HINT)
    if chain.read(Contract.REGISTRY, "owner")[0] == payer:
        raise SettingsError("the relay's key is the key that owns the registry", hint=_HINT)
